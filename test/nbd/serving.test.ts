import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { execPath, kill } from 'node:process';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { client, nbdShell, refusedClient, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

const place = workspace();
const { ok, fails, path, directory } = place;
const inPlace = { cwd: directory };

let image = '';
let count = 0;

beforeEach(async () => {
  image = `${++count}.vsi`;
  writeFileSync(path('one.raw'), noise(MIB, 1));
  writeFileSync(path('two.raw'), noise(MIB, 2));
  await ok(['import', 'one.raw', image, '-q', '--tag', 'first']);
});

/** Python to run vsimg, where it gives the exit status, and to connect once more. */
const VSIMG = `
import os, subprocess
os.chdir('${directory}')
def vsimg(*words):
    return subprocess.run(['${execPath}', '${BINARY}', *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
def connect(uri, name):
    other = nbd.NBD()
    other.connect_uri(uri.replace('///', '///' + name))
    return other`;

const size = (uri: string) => client('nbdinfo', ['--size', uri], inPlace);

describe('where serve listens', () => {
  it('is told in one document with --json', async () => {
    const server = await startServing(place, ['--socket', 'told.sock', '--json=lines'], { image });
    expect(server.firstLine).toBe(
      JSON.stringify({
        filename: image,
        uri: `nbd+unix:///?socket=${path('told.sock')}`,
        socket: path('told.sock'),
        'read-only': false,
        tls: false,
      }),
    );
  });

  it('is a port of this machine, any that is free for 0', async () => {
    const server = await startServing(place, ['--port', '0'], { image });
    const { host, hostname, port } = new URL(server.uri());
    expect({ host, hostname }).toEqual({ host: `127.0.0.1:${port}`, hostname: '127.0.0.1' });
    expect(await size(server.uri('1'))).toBe(`${MIB}\n`);
    await ok(['create', 'other.vsi', '1M', '-q']);
    const used = await fails(73, ['serve', 'other.vsi', '--port', port]);
    expect(used).toContain(`cannot listen at 127.0.0.1 port ${port}: it is in use; give another --port`);
    for (const [bind, reason] of [
      ['192.0.2.1', 'this machine has no such address'],
      ['999.0.0.1', 'there is no such host'],
    ] as const)
      expect(await fails(66, ['serve', 'other.vsi', '--bind', bind, '--port', '0', '--allow-remote'])).toContain(
        `cannot listen at ${bind} port 0: ${reason}`,
      );
    const six = await startServing(place, ['--bind', '::1', '--port', '0'], { image: 'other.vsi' });
    expect(six.uri('')).toMatch(/^nbd:\/\/\[::1\]:\d+\/$/);
    expect(await size(six.uri())).toBe(`${MIB}\n`);
  });

  it('is a socket that goes when the server ends', async () => {
    const server = await startServing(place, ['--socket', 'own.sock'], { image });
    expect(existsSync(path('own.sock'))).toBe(true);
    await server.stop();
    expect(existsSync(path('own.sock'))).toBe(false);
  });

  it('may be a socket that a server left behind which was killed, but not one in use or another file', async () => {
    const killed = await startServing(place, ['--socket', 'stale.sock'], { image, mayBeKilled: true });
    kill(killed.pid, 'SIGKILL');
    await killed.ended;
    expect(existsSync(path('stale.sock'))).toBe(true);
    const server = await startServing(place, ['--socket', 'stale.sock'], { image });
    expect(await size(server.uri('1'))).toBe(`${MIB}\n`);
    const used = await fails(73, ['serve', image, '--read-only', '--socket', 'stale.sock']);
    expect(used).toContain(`cannot listen at '${path('stale.sock')}': it is in use`);
    expect(await size(server.uri('1'))).toBe(`${MIB}\n`);
    await fails(73, ['serve', image, '--read-only', '--socket', 'one.raw']);
    expect(readFileSync(path('one.raw')).equals(noise(MIB, 1))).toBe(true);
  });

  it('is not what nobody could mean', async () => {
    const serve = ['serve', image];
    expect(await fails(64, [...serve, '--socket', 's', '--port', '1'])).toContain('--socket excludes');
    expect(await fails(64, [...serve, '--port', '65536'])).toContain('there is no port 65536');
    expect(await fails(64, [...serve, '--socket', 'x'.repeat(108)])).toContain('more than 107 bytes');
    expect(await fails(66, [...serve, '--socket', 'no/such/nbd.sock'])).toContain('there is no such directory');
  });
});

describe('serve', () => {
  it('lets others read the image, commit it, and not change the disk that a client writes to', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri(),
      `${VSIMG}
h.connect_uri(uri)
one, two = open('one.raw', 'rb').read(), open('two.raw', 'rb').read()
h.pwrite(two, 0)
print(vsimg('commit', '${image}', '-q', '-m', 'while it is written'))
h.pwrite(b'later', 0)
print(connect(uri, '2').pread(1 << 20, 0) == two, connect(uri, '1').pread(1 << 20, 0) == one)
print(bytes(connect(uri, '').pread(5, 0)), vsimg('info', '${image}', '-q'))
print(vsimg('resize', '${image}', '2M', '-q') != 0, vsimg('checkout', '${image}', '1', '-q') != 0)
h.shutdown()
print(vsimg('gc', '${image}', '-q'), vsimg('tag', '${image}', 'later', '-q'), connect(uri, 'later').pread(1 << 20, 0) == two)
`,
    );
    expect(printed.trim().split('\n')).toEqual(['0', 'True True', "b'later' 0", 'True True', '0 0 True']);
    await server.stop();
    expect((await ok(['read', image, '--length', '5'])).toString()).toBe('later');
  });

  it('with --read-only shows each client the working state of when it came, while others commit', async () => {
    const server = await startServing(place, ['--read-only'], { image });
    const printed = await nbdShell(
      server.uri(),
      `${VSIMG}
one, two = open('one.raw', 'rb').read(), open('two.raw', 'rb').read()
h.connect_uri(uri)
print(h.is_read_only(), h.pread(1 << 20, 0) == one)
vsimg('import', 'two.raw', '${image}', '-q', '-m', 'second')
vsimg('gc', '${image}', '-q')
print(h.pread(1 << 20, 0) == one)
print(connect(uri, '').pread(1 << 20, 0) == two)
print(connect(uri, '2').pread(1 << 20, 0) == two)
print(connect(uri, 'first').pread(1 << 20, 0) == one)
branch = connect(uri, 'main')
vsimg('import', 'one.raw', '${image}', '-q', '-m', 'third')
print(branch.pread(1 << 20, 0) == two, connect(uri, 'main').pread(1 << 20, 0) == one)
`,
    );
    expect(printed.trim().split('\n')).toEqual(['True True', 'True', 'True', 'True', 'True', 'True True']);
  });

  it('lets one client write, and the others look', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri(),
      `
other, third = nbd.NBD(), nbd.NBD()
h.connect_uri(uri)
other.connect_uri(uri)
print(h.is_read_only(), other.is_read_only())
h.pwrite(b'seen at once', 0)
print(bytes(other.pread(12, 0)))
h.shutdown()
other.shutdown()
third.connect_uri(uri)
print(third.is_read_only(), bytes(third.pread(12, 0)))
`,
    );
    expect(printed).toBe("False True\nb'seen at once'\nFalse b'seen at once'\n");
  });

  it('keeps versions that a client reads from being removed', async () => {
    await ok(['import', 'two.raw', image, '-q']);
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('1'),
      `${VSIMG}
h.connect_uri(uri)
one = open('one.raw', 'rb').read()
vsimg('tag', '${image}', '--delete', 'first', '-q')
print(vsimg('delete', '${image}', '1', '-q') != 0, vsimg('gc', '${image}', '-q'), h.pread(1 << 20, 0) == one)
h.shutdown()
while vsimg('delete', '${image}', '1', '-q') != 0:
    pass
print(vsimg('gc', '${image}', '-q'))
try:
    connect(uri, '')
except nbd.Error:
    print('gone')
`,
    );
    expect(printed).toBe('True 0 True\n0\ngone\n');
  });

  it('with --export has nothing else', async () => {
    const server = await startServing(place, ['--export', 'first', '--export', '1+scratch'], { image });
    const { exports } = JSON.parse(await client('nbdinfo', ['--list', '--json', server.uri()]));
    expect(exports.map((each: Record<string, unknown>) => each['export-name'])).toEqual(['first', '1+scratch']);
    for (const name of ['', '1', 'main']) await refusedClient('nbdinfo', [server.uri(name)]);
    expect(await size(server.uri('first'))).toBe(`${MIB}\n`);
    const missing = await fails(66, ['serve', image, '--read-only', '--socket', 'no.sock', '--export', 'second']);
    expect(missing).toContain("there is no export 'second'");
  });

  it('with --idle-exit ends when nobody is there', async () => {
    const server = await startServing(place, ['--idle-exit', '2'], { image });
    expect(await size(server.uri('1'))).toBe(`${MIB}\n`);
    expect(await server.ended).toEqual({ status: 0, stderr: '' });
  });

  it('with --max-connections turns more clients away', async () => {
    const server = await startServing(place, ['--max-connections', '2'], {
      image,
      // Once, however many come.
      stderr: /^vsimg: a client was turned away: 2 are here already\n$/,
    });
    const printed = await nbdShell(
      server.uri('1'),
      `
others = [nbd.NBD(), nbd.NBD()]
h.connect_uri(uri)
others[0].connect_uri(uri)
try:
    others[1].connect_uri(uri)
    print('came in')
except nbd.Error:
    print('turned away')
h.shutdown()
while True:
    try:
        third = nbd.NBD()
        third.connect_uri(uri)
        break
    except nbd.Error:
        pass
print(len(others[0].pread(1 << 20, 0)), len(third.pread(1 << 20, 0)))
`,
    );
    expect(printed).toBe(`turned away\n${MIB} ${MIB}\n`);
  });

  it('that is told to stop keeps what clients wrote', async () => {
    const server = await startServing(place, [], { image });
    await nbdShell(
      server.uri(),
      `
import os, signal
h.connect_uri(uri)
h.pwrite(open('${path('two.raw')}', 'rb').read(), 0)
os.kill(${server.pid}, signal.SIGTERM)
`,
    );
    await server.ended;
    await ok(['read', image, '-o', 'kept.raw', '-q']);
    await client('cmp', ['two.raw', 'kept.raw'], inPlace);
  });
});

describe('something else at the other end of a socket', () => {
  it('is not removed', async () => {
    const other = createServer((socket) => socket.on('error', () => undefined).end('hello'));
    await new Promise<void>((resolve) => {
      other.listen(path('other.sock'), resolve);
    });
    onTestFinished(() => {
      other.close();
    });
    expect(await fails(73, ['serve', image, '--socket', 'other.sock'])).toContain('it is in use');
    expect(existsSync(path('other.sock'))).toBe(true);
  });
});
