import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { kill } from 'node:process';
import { beforeEach, describe, expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { client, nbdShell, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

const place = workspace();
const { ok, json, run, fails, path, directory } = place;
let runtime = 0;
/** Servers and commands of one test find each other in a directory of their own. */
let env: Record<string, string> = {};

beforeEach(async () => {
  const name = path(`runtime-${++runtime}`);
  mkdirSync(name, { mode: 0o700 });
  env = { XDG_RUNTIME_DIR: name };
  await ok(['create', 'a.vsi', '16M', '--force', '-q']);
  await ok(['write', 'a.vsi', '--data', 'first', '-q']);
  await ok(['commit', 'a.vsi', '-m', 'one', '-q']);
});

/** Keeps a client that has the working state open, and wrote to it without a flush, while `words` run in a shell. */
async function whileWritten(uri: string, text: string, words: readonly string[]): Promise<string> {
  return nbdShell(
    uri,
    `
import os, subprocess, sys
h.connect_uri(uri)
h.pwrite(b${JSON.stringify(text)}, 4096)
done = subprocess.run(${JSON.stringify([process.execPath, BINARY, ...words])}, cwd=${JSON.stringify(directory)}, env={**os.environ, **${JSON.stringify(env)}}, capture_output=True, text=True)
print(done.returncode, done.stdout + done.stderr, sep='|', end='')
assert h.pread(${text.length}, 4096) == b${JSON.stringify(text)}
h.shutdown()
`,
  );
}

describe('while a server has the image open for writing', () => {
  it('commit makes a version of all that a client wrote and was answered, flushed or not', async () => {
    const server = await startServing(place, [], { env });
    const said = await whileWritten(server.uri(), 'of a guest', ['commit', 'a.vsi', '-m', 'two', '--tag', 'v2']);
    expect(said).toMatch(/^0\|\[main 2 [0-9a-f]{8}\] two\n/);
    expect(await ok(['read', 'a.vsi@v2', '--offset', '4096', '--length', '10'], { env })).toBe('of a guest');
    // It can be opened as soon as it is there.
    expect(await nbdShell(server.uri('v2'), "h.connect_uri(uri); print(h.pread(10, 4096).decode(), end='')")).toBe(
      'of a guest',
    );
  });

  it('another server waits for its end, as for that of any process that has the image', async () => {
    const server = await startServing(place, [], { env });
    const refused = await fails(75, ['serve', 'a.vsi', '--wait', '0.2', '--socket', 'late.sock'], { env });
    expect(refused).toContain(`another process is writing it: pid ${server.pid}`);
    const waiting = ok(['serve', 'a.vsi', '--wait', '30', '--', 'echo', 'served'], { env });
    await server.stop();
    expect(await waiting).toBe('served\n');
  });

  it('commands give the output, documents and statuses that they have elsewhere', async () => {
    await startServing(place, [], { env });
    const before = await json(['log', 'a.vsi'], { env });
    expect(await json(['tag', 'a.vsi', 'v1', '1'], { env })).toMatchObject({ tag: { name: 'v1', version: 1 } });
    expect(await fails(73, ['tag', 'a.vsi', 'v1', '1'], { env })).toContain("'v1' exists already");
    expect(await fails(64, ['tag', 'a.vsi', 'a..b', '1'], { env })).toContain('a..b');
    const { status, stderr } = await run(['commit', 'a.vsi', '-m', 'same', '--json'], { env });
    expect({ status, ...JSON.parse(stderr) }).toMatchObject({ status: 78, code: 'refused', 'exit-status': 78 });
    expect(await ok(['amend', 'a.vsi', '1', '-m', 'better', '-q'], { env })).toBe('');
    expect((await json(['log', 'a.vsi'], { env })).versions[0].message).toBe('better');
    expect(await json(['gc', 'a.vsi'], { env })).toMatchObject({ 'dry-run': false });
    expect(await json(['forget', 'a.vsi', '--keep-last', '1', '--gc'], { env })).toMatchObject({
      keep: [{ version: 1 }],
    });
    expect(before.versions).toHaveLength(1);
  });

  it('they may change the working state when no client writes it, with files as their caller names them', async () => {
    await startServing(place, [], { env });
    mkdirSync(path('below'), { recursive: true });
    writeFileSync(path('below/patch.bin'), noise(5000, 1));
    const below = { env, cwd: path('below') };
    await ok(['write', '../a.vsi', 'patch.bin', '--offset', '1M', '-q'], below);
    await ok(['commit', '../a.vsi', '-m', 'patched', '-q'], below);
    await ok(['read', 'a.vsi@2', '--offset', '1M', '--length', '5000', '-o', 'back.bin', '-q'], { env });
    expect(readFileSync(path('back.bin')).equals(noise(5000, 1))).toBe(true);
    await ok(['checkout', 'a.vsi', '1', '-q'], { env });
    await ok(['resize', 'a.vsi', '+16M', '-q'], { env });
    expect((await json(['info', 'a.vsi'], { env }))['virtual-size']).toBe(32 * MIB);
  });

  it('they have the stdin of their caller, however much it is', async () => {
    const server = await startServing(place, [], { env });
    const bytes = noise(5 * MIB + 77, 3);
    await ok(['write', 'a.vsi', '-', '--offset', '1M', '-q'], { env, stdin: bytes });
    const back = await run(['read', 'a.vsi', '--offset', '1M', '--length', String(bytes.length)], { env });
    expect(back.stdoutBytes.equals(bytes)).toBe(true);
    await ok(['commit', 'a.vsi', '-m', 'of stdin', '-q'], { env });
    await ok(['import', '-', 'a.vsi', '-q'], { env, stdin: noise(16 * MIB, 4) });
    const all = await run(['read', 'a.vsi@3'], { env });
    expect(all.stdoutBytes.equals(noise(16 * MIB, 4))).toBe(true);
    // What is refused before it is read does not wait for it.
    expect(await fails(78, ['write', 'a.vsi', '-', '--offset', '15M'], { env, stdin: bytes })).toContain(
      'beyond the end of the disk',
    );
    expect((await server.stop()).status).toBe(0);
  });

  it('a caller who goes before his stdin ends leaves nothing of it', async () => {
    const server = await startServing(place, [], { env });
    const caller = spawn(process.execPath, [BINARY, 'write', 'a.vsi', '-', '-q'], {
      cwd: directory,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Much more than anything on the way keeps, so that the server has some of it.
    for (let part = 0; part < 8; part++) if (!caller.stdin.write(noise(MIB, part))) await once(caller.stdin, 'drain');
    caller.stdin.on('error', () => {});
    kill(caller.pid as number, 'SIGKILL');
    // It waits for what the server makes of the other one.
    await ok(['tag', 'a.vsi', 'later', '--wait', '20', '-q'], { env });
    expect(await ok(['read', 'a.vsi', '--length', '5'], { env })).toBe('first');
    expect(await ok(['status', 'a.vsi'], { env })).toContain('nothing changed since version 1');
    expect((await server.stop()).status).toBe(0);
  });

  it('a stdin that can not be read is told by its name', async () => {
    await startServing(place, [], { env });
    const { status, stderr } = spawnSync('sh', ['-c', '"$0" "$1" write a.vsi - < .', process.execPath, BINARY], {
      cwd: directory,
      env: { ...process.env, ...env },
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({
      status: 74,
      stderr: 'vsimg: cannot read standard input at byte 0: it is a directory; name a file in it\n',
    });
  });

  it('but take nothing from pipes and devices, which are other ones for the server, or may end in the middle', async () => {
    await startServing(place, [], { env });
    expect(spawnSync('mkfifo', [path('pipe')]).status).toBe(0);
    for (const name of ['/dev/stdin', '/dev/fd/0', '/proc/self/fd/0', 'pipe'])
      expect(await fails(64, ['write', 'a.vsi', name], { env, stdin: 'mine' })).toContain(
        `'${name}' is no regular file`,
      );
    expect(await ok(['read', 'a.vsi', '--length', '5'], { env })).toBe('first');
  });

  it('but not under the hands of a client that does', async () => {
    const server = await startServing(place, [], { env });
    for (const words of [
      ['checkout', 'a.vsi', '1', '--force'],
      ['write', 'a.vsi', '--data', 'x'],
      ['resize', 'a.vsi', '32M'],
    ])
      expect(await whileWritten(server.uri(), 'mine', words)).toMatch(
        /^78\|vsimg: '\w+' would change the working state, which a client has open; /,
      );
    for (const words of [
      ['batch', 'a.vsi', '-c', 'tag x'],
      ['check', 'a.vsi', '--repair'],
    ])
      expect(await fails(78, words, { env })).toContain('is not possible while the image is served');
    // Who has no server to ask finds the image locked, at once.
    expect(await fails(75, ['tag', 'a.vsi', 'x'], { env: { XDG_RUNTIME_DIR: path('below') } })).toContain(
      'another process is writing it',
    );
  });

  it('--wait does not wait for a server that does it', { timeout: 60_000 }, async () => {
    await startServing(place, [], { env });
    await ok(['tag', 'a.vsi', 'waited', '--wait', '1000', '-q'], { env });
  });

  it('a version can not be removed while it is read', async () => {
    const server = await startServing(place, [], { env });
    await ok(['write', 'a.vsi', '--data', 'second', '-q'], { env });
    await ok(['commit', 'a.vsi', '-m', 'two', '-q'], { env });
    const during = await nbdShell(
      server.uri('1'),
      `
import os, subprocess
h.connect_uri(uri)
for words in (['delete', 'a.vsi', '1'], ['forget', 'a.vsi', '--keep-last', '1']):
    done = subprocess.run([${JSON.stringify(process.execPath)}, ${JSON.stringify(BINARY)}, *words], cwd=${JSON.stringify(directory)}, env={**os.environ, **${JSON.stringify(env)}}, capture_output=True, text=True)
    print(done.returncode, done.stdout + done.stderr, sep='|', end='')
h.shutdown()
`,
    );
    expect(during).toContain('78|vsimg: version 1 is being read');
    expect(during).toMatch(/0\|.*in use/s);
    await ok(['delete', 'a.vsi', '1', '-q'], { env });
    expect((await json(['log', 'a.vsi'], { env })).versions.map(({ version }: { version: number }) => version)).toEqual(
      [2],
    );
  });
});

describe('the socket for commands', () => {
  it('is in a directory of this user alone, and goes with the server', async () => {
    const server = await startServing(place, [], { env });
    const at = `${env.XDG_RUNTIME_DIR}/vsimg`;
    expect(lstatSync(at).mode & 0o777).toBe(0o700);
    expect(readdirSync(at)).toHaveLength(1);
    await server.stop();
    expect(readdirSync(at)).toEqual([]);
  });

  it('keeps no server from ending because somebody connects and says nothing', async () => {
    const server = await startServing(place, [], { env });
    const at = `${env.XDG_RUNTIME_DIR}/vsimg`;
    const silent = connect({ path: `${at}/${readdirSync(at)[0]}` });
    await once(silent, 'connect');
    expect((await server.stop()).status).toBe(0);
    silent.destroy();
  });

  it('is not used in a directory that others could change', async () => {
    const at = `${env.XDG_RUNTIME_DIR}/vsimg`;
    mkdirSync(at);
    chmodSync(at, 0o777);
    await startServing(place, [], {
      env,
      stderr: /^commands of other processes can not reach this server: .* could be changed by others\n$/,
    });
    expect(await fails(75, ['tag', 'a.vsi', 'x'], { env })).toContain('another process is writing it');
  });

  it('is not followed to where a link leads', async () => {
    mkdirSync(path('elsewhere'), { recursive: true, mode: 0o700 });
    symlinkSync(path('elsewhere'), `${env.XDG_RUNTIME_DIR}/vsimg`);
    await startServing(place, [], { env, stderr: /could be changed by others/ });
    expect(readdirSync(path('elsewhere'))).toEqual([]);
  });

  it('of a server that was killed is in nobody’s way', async () => {
    const server = await startServing(place, [], { env, mayBeKilled: true });
    kill(server.pid, 'SIGKILL');
    await server.ended;
    await ok(['tag', 'a.vsi', 'after', '-q'], { env });
    await startServing(place, [], { env });
    await ok(['tag', 'a.vsi', 'again', '-q'], { env });
    expect((await json(['log', 'a.vsi'], { env })).versions[0].tags).toEqual(['after', 'again']);
  });
});

describe('a server for reading only', () => {
  it('lets others change the image, and finds what they made', async () => {
    const server = await startServing(place, ['--read-only'], { env });
    await ok(['write', 'a.vsi', '--data', 'second', '-q'], { env });
    await ok(['commit', 'a.vsi', '-m', 'two', '-q'], { env });
    expect(await client('nbdinfo', ['--size', server.uri('2')])).toBe(`${16 * MIB}\n`);
  });
});
