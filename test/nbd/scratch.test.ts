import { writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { client, nbdShell, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

const place = workspace();
const { ok, json, fails, path, directory } = place;

let image = '';
let count = 0;

beforeEach(async () => {
  image = `${++count}.vsi`;
  writeFileSync(path('disk.raw'), noise(MIB, 1));
  await ok(['import', 'disk.raw', image, '-q', '-m', 'base']);
  await ok(['resize', image, '4M', '-q']);
  await ok(['commit', image, '-q', '-m', 'larger']);
});

const compare = (a: string, b: string) =>
  client('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', a, b], { cwd: directory });

describe('a scratch export', () => {
  it('is private to its client, keeps what is written as long as that stays, and is gone then', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('2+scratch'),
      `
other = nbd.NBD()
h.connect_uri(uri)
other.connect_uri(uri)
before = h.pread(4096, 0)
h.pwrite(b'mine', 10)
other.pwrite(b'theirs', 10)
h.zero(1000, 5000)
h.trim(1 << 20, 512 << 10)
h.pwrite(b'far', (4 << 20) - 3, nbd.CMD_FLAG_FUA)
h.flush()
print(bytes(h.pread(4, 10)), bytes(other.pread(6, 10)), bytes(h.pread(3, (4 << 20) - 3)))
print(h.pread(1000, 5000) == bytes(1000), h.pread(1 << 20, 512 << 10) == bytes(1 << 20), other.pread(10, 0)== before[:10])
h.shutdown()
again = nbd.NBD()
again.connect_uri(uri)
print(again.pread(4096, 0) == before)
`,
    );
    expect(printed).toBe("b'mine' b'theirs' b'far'\nTrue True True\nTrue\n");
    await server.stop();
    expect(await json(['status', image])).toMatchObject({ head: { version: 2, dirty: false } });
    expect((await json(['log', image])).versions).toHaveLength(2);
  });

  it('knows what was changed in it since its version, and since others', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('2+scratch'),
      `
h.add_meta_context('qemu:dirty-bitmap:2')
h.add_meta_context('base:allocation')
h.connect_uri(uri)
h.pwrite(b'x', 2 << 20)
found = {}
def extents(name, offset, entries, error):
    found[name] = entries
h.block_status(4 << 20, 0, extents)
print(found['qemu:dirty-bitmap:2'], found['base:allocation'])
`,
    );
    const before = 2 * MIB;
    const after = before - 4096;
    expect(printed).toBe(`[${before}, 0, 4096, 1, ${after}, 0] [${MIB}, 0, ${MIB}, 3, 4096, 0, ${after}, 3]\n`);
  });

  it('is there for every way to name a version, and leaves that as it is', async () => {
    const server = await startServing(place, [], { image });
    const script = [
      'write -q -P 0x5a 64k 64k',
      'write -q -z 0 4k',
      'read -q -P 0x5a 64k 64k',
      'read -q -P 0 0 4k',
      'flush',
    ];
    const commands = script.flatMap((command) => ['-c', command]);
    const printed = await client('qemu-io', ['-f', 'raw', ...commands, server.uri('HEAD~1+scratch')]);
    expect(printed).not.toContain('fail');
    expect(await compare('disk.raw', server.uri('1+scratch'))).toContain('identical');
  });
});

describe('--commit-on-disconnect', () => {
  it('makes a version of each scratch disk that was written to, beside what is checked out', async () => {
    const keeping = ['--commit-on-disconnect', '-m', 'by a guest'];
    const server = await startServing(place, keeping, {
      image,
      stderr: /^(version \d+ was made from version \d+\n)+$/,
    });
    const write = (pattern: string) =>
      client('qemu-io', ['-f', 'raw', '-c', `write -q -P ${pattern} 4k 8k`, server.uri('1+scratch')]);
    await write('0x11');
    await write('0x22');
    await client('qemu-io', ['-f', 'raw', '-c', 'read -q 0 4k', server.uri('1+scratch')]);
    await server.stop();
    const log = await json(['log', image]);
    expect(log.versions).toMatchObject([
      { version: 4, parent: 1, message: 'by a guest' },
      { version: 3, parent: 1, message: 'by a guest' },
      { version: 2 },
      { version: 1 },
    ]);
    expect(await json(['status', image])).toMatchObject({ head: { version: 2 } });
    for (const [number, pattern] of [
      [3, 0x11],
      [4, 0x22],
    ] as const) {
      const { ranges } = await json(['diff', image, '1', String(number)]);
      expect(ranges).toMatchObject([{ start: 4096, length: 8192 }]);
      const content = noise(MIB, 1).fill(pattern, 4096, 12_288);
      await ok(['export', `${image}@${number}`, `${number}.raw`, '-q']);
      writeFileSync(path('expected.raw'), content);
      expect(await compare('expected.raw', `${number}.raw`)).toContain('identical');
    }
  });

  it('needs a message, and an image that may be written', async () => {
    const serve = ['serve', image, '--socket', 'no.sock', '--commit-on-disconnect'];
    expect(await fails(64, serve)).toContain('a version needs a message');
    expect(await fails(64, [...serve, '-m', 'x', '--read-only'])).toContain('exclude each other');
    expect(await fails(64, ['serve', image, '--socket', 'no.sock', '-m', 'x'])).toContain('--commit-on-disconnect');
  });
});
