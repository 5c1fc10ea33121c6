import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { execPath } from 'node:process';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { client, nbdShell, refusedClient, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SIZE_BYTES = 12 * MIB + 512;
/** Where the second version differs from the first one, among zeros. */
const CHANGED = { start: 9 * MIB, end: 9 * MIB + 64 * 1024 };

const place = workspace();
const { ok, path, directory } = place;
const inPlace = { cwd: directory };

const first = Buffer.alloc(SIZE_BYTES);
first.set(noise(2 * MIB, 1));
first.set(noise(512, 2), SIZE_BYTES - 512);
const second = Buffer.from(first);
second.set(noise(CHANGED.end - CHANGED.start, 3), CHANGED.start);

beforeAll(async () => {
  writeFileSync(path('one.raw'), first);
  writeFileSync(path('two.raw'), second);
  await ok(['import', 'one.raw', 'a.vsi', '-q', '-m', 'the first']);
  await ok(['import', 'two.raw', 'a.vsi', '-q', '-m', 'the second']);
  await ok(['tag', 'a.vsi', 'release-1.2', '1', '-q']);
  await ok(['branch', 'a.vsi', 'stable', '1', '-q']);
});

describe('nbdinfo', () => {
  it('lists the working state, branches, tags and versions, with what they are', async () => {
    const server = await startServing(place);
    const { exports } = JSON.parse(await client('nbdinfo', ['--list', '--json', server.uri()]));
    expect(
      exports.map((each: Record<string, unknown>) => [each['export-name'], each['description'], each['is_read_only']]),
    ).toEqual([
      ['', 'the working state', false],
      ['main', 'branch, version 2: the second', true],
      ['release-1.2', 'tag, version 1: the first', true],
      ['stable', 'branch, version 1: the first', true],
      ['2', 'version 2: the second', true],
      ['1', 'version 1: the first', true],
    ]);
  });

  it('learns what an export can do: several connections only to what stays as it is', async () => {
    const server = await startServing(place);
    const facts = async (name: string) => JSON.parse(await client('nbdinfo', ['--json', server.uri(name)])).exports[0];
    const anyExport = { 'export-size': SIZE_BYTES, can_df: true, can_cache: true, can_flush: true };
    const readOnly = { ...anyExport, is_read_only: true, can_trim: false, can_zero: false, can_fua: false };
    const writable = { ...anyExport, is_read_only: false, can_trim: true, can_zero: true, can_fua: true };
    const sizes = { block_size_minimum: 1, block_size_preferred: 4096, block_size_maximum: 32 * MIB };
    for (const name of ['1', 'release-1.2'])
      expect(await facts(name)).toMatchObject({ ...readOnly, can_multi_conn: true });
    expect(await facts('stable')).toMatchObject({ ...readOnly, can_multi_conn: false });
    for (const name of ['', '1+scratch'])
      expect(await facts(name)).toMatchObject({ ...writable, ...sizes, can_multi_conn: false, can_fast_zero: true });
  });

  it('maps data and holes, and what changed since a version', async () => {
    const server = await startServing(place);
    const map = async (what: string) =>
      JSON.parse(await client('nbdinfo', [`--map${what}`, '--json', server.uri('2')]));
    const lastBlock = SIZE_BYTES - 512;
    expect(await map('')).toEqual([
      { offset: 0, length: 2 * MIB, type: 0, description: 'data' },
      { offset: 2 * MIB, length: 7 * MIB, type: 3, description: 'hole,zero' },
      { offset: CHANGED.start, length: CHANGED.end - CHANGED.start, type: 0, description: 'data' },
      { offset: CHANGED.end, length: lastBlock - CHANGED.end, type: 3, description: 'hole,zero' },
      { offset: lastBlock, length: 512, type: 0, description: 'data' },
    ]);
    for (const rev of ['1', 'release-1.2', 'HEAD~1'])
      expect(await map(`=qemu:dirty-bitmap:${rev}`)).toEqual([
        { offset: 0, length: CHANGED.start, type: 0, description: 'clean' },
        { offset: CHANGED.start, length: CHANGED.end - CHANGED.start, type: 1, description: 'dirty' },
        { offset: CHANGED.end, length: SIZE_BYTES - CHANGED.end, type: 0, description: 'clean' },
      ]);
    expect((await map('=vsimg:changed-since:1')).map((run: { type: number }) => run.type)).toEqual([0, 1, 0]);
  });

  it('is told what is not there', async () => {
    const server = await startServing(place);
    for (const name of ['3', 'no-such', '../one.raw', '/etc/passwd', '3+scratch', '+scratch', '1+scratch+scratch'])
      expect(await refusedClient('nbdinfo', [server.uri(name)])).toContain('No such file or directory');
  });
});

describe('an image of very many versions', () => {
  const COUNT = 1100;

  it('is listed whole by nbdinfo as far as lists of exports go, and all of it can be asked for', async () => {
    await ok(['create', 'many.vsi', '8M', '-q']);
    const script = Array.from({ length: COUNT }, (_, index) => [
      `write --pattern ${(index % 250) + 1} --offset ${index * 4096} --length 4096 -q`,
      `commit -m 'state ${index + 1}' -q`,
    ]);
    await ok(['batch', 'many.vsi', '-q'], { stdin: `${script.flat().join('\n')}\n` });
    const server = await startServing(place, [], { image: 'many.vsi' });
    const { exports } = JSON.parse(await client('nbdinfo', ['--list', '--json', server.uri()]));
    const names = exports.map((each: Record<string, unknown>) => each['export-name']);
    expect(names.slice(0, 3)).toEqual(['', 'main', String(COUNT)]);
    expect(names).toHaveLength(2 + 1000);
    const changed = JSON.parse(await client('nbdinfo', ['--map=qemu:dirty-bitmap:7', '--json', server.uri('9')]));
    expect(changed).toMatchObject([{ type: 0, length: 7 * 4096 }, { type: 1, length: 2 * 4096 }, { type: 0 }]);
  });
});

describe('nbdcopy', () => {
  it('copies a version into a file, over several connections', async () => {
    const server = await startServing(place);
    for (const [name, content] of [
      ['release-1.2', first],
      ['2', second],
    ] as const) {
      await client('nbdcopy', ['--connections=4', '--requests=8', server.uri(name), 'copy.raw'], inPlace);
      expect(readFileSync(path('copy.raw')).equals(content)).toBe(true);
    }
  });

  it('copies a file, and a version, into the working state', async () => {
    await ok(['import', 'one.raw', 'copied.vsi', '-q']);
    const server = await startServing(place, [], { image: 'copied.vsi' });
    await client('nbdcopy', ['--flush', 'two.raw', server.uri()], inPlace);
    const other = await startServing(place);
    const compared = await client('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', server.uri(), other.uri('2')]);
    expect(compared).toBe('Images are identical.\n');
    await client('nbdcopy', ['--flush', other.uri('1'), server.uri()]);
    await server.stop();
    await ok(['read', 'copied.vsi', '-o', 'back.raw', '-q']);
    expect(readFileSync(path('back.raw')).equals(first)).toBe(true);
  });
});

describe('qemu-img', () => {
  it('knows the size, and compares versions, tags and branches', async () => {
    const server = await startServing(place);
    const info = JSON.parse(await client('qemu-img', ['info', '--output=json', server.uri('stable')]));
    expect(info).toMatchObject({ 'virtual-size': SIZE_BYTES, format: 'raw' });
    const compare = ['compare', '-f', 'raw', '-F', 'raw'];
    for (const name of ['stable', 'release-1.2', '1+scratch'])
      expect(await client('qemu-img', [...compare, 'one.raw', server.uri(name)], inPlace)).toContain('identical');
    expect(await refusedClient('qemu-img', [...compare, server.uri('1'), server.uri('main')])).toContain(
      `Content mismatch at offset ${CHANGED.start}!`,
    );
  });

  it('maps, and asks for what is dirty by its own driver', async () => {
    const server = await startServing(place);
    const data = async (source: readonly string[]) =>
      JSON.parse(await client('qemu-img', ['map', '--output=json', ...source]))
        .filter((run: Record<string, unknown>) => run['data'] === true)
        .map(({ start, length }: { start: number; length: number }) => ({ start, end: start + length }));
    expect(await data(['-f', 'raw', server.uri('1')])).toEqual([
      { start: 0, end: 2 * MIB },
      { start: SIZE_BYTES - 512, end: SIZE_BYTES },
    ]);
    const socket = new URL(server.uri()).searchParams.get('socket') ?? '';
    const bitmap = `driver=nbd,path=${socket},export=2,x-dirty-bitmap=qemu:dirty-bitmap:1`;
    // The driver tells dirty bits as the absence of data.
    expect(await data(['--image-opts', bitmap])).toEqual([
      { start: 0, end: CHANGED.start },
      { start: CHANGED.end, end: SIZE_BYTES },
    ]);
  });

  it('puts a qcow2 on top of a version', async () => {
    const server = await startServing(place);
    await client('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', server.uri('1'), 'top.qcow2'], inPlace);
    await client('qemu-io', ['-c', `write -q -P 9 ${MIB} 64k`, 'top.qcow2'], inPlace);
    await client('qemu-img', ['convert', '-O', 'raw', 'top.qcow2', 'flat.raw'], inPlace);
    expect(readFileSync(path('flat.raw')).equals(Buffer.from(first).fill(9, MIB, MIB + 65_536))).toBe(true);
  });
});

describe('a backup client', () => {
  it('copies what changed since the version that it has, and nothing else', async () => {
    const server = await startServing(place);
    writeFileSync(path('backup.raw'), first);
    const printed = await nbdShell(
      server.uri('2'),
      `
h.add_meta_context('qemu:dirty-bitmap:1')
h.connect_uri(uri)
changed = []
def extents(name, offset, entries, error):
    for length, dirty in zip(entries[0::2], entries[1::2]):
        if dirty:
            changed.append((offset, length))
        offset += length
h.block_status(h.get_size(), 0, extents)
with open('${path('backup.raw')}', 'r+b') as backup:
    for offset, length in changed:
        backup.seek(offset)
        backup.write(h.pread(length, offset))
print(sum(length for _, length in changed))
`,
    );
    expect(printed).toBe(`${CHANGED.end - CHANGED.start}\n`);
    expect(readFileSync(path('backup.raw')).equals(second)).toBe(true);
  });
});

describe('a socket that another program left open', () => {
  it('is served, and nothing is printed, as libnbd starts servers', async () => {
    const server = ['[', execPath, BINARY, 'serve', 'a.vsi'];
    expect(await client('nbdinfo', ['--size', ...server, ']'], inPlace)).toMatch(/^\d+\n$/);
    await ok(['export', 'a.vsi@1', 'whole.raw', '-q', '--force']);
    await client('nbdcopy', ['--', ...server, '-x', '1', ']', 'copied.raw'], inPlace);
    await client('cmp', ['whole.raw', 'copied.raw'], inPlace);
  });

  it('is not served without TLS to everybody on the network, if nobody said so', async () => {
    const script = `
import os, socket, sys
listening = socket.create_server((sys.argv[1], 0))
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
`;
    const listenAt = (host: string, ...more: readonly string[]) =>
      spawnSync('python3', ['-c', script, host, execPath, BINARY, 'serve', 'a.vsi', ...more], {
        ...inPlace,
        encoding: 'utf8',
        timeout: 20_000,
      });
    const refused = listenAt('0.0.0.0');
    expect(refused).toMatchObject({ status: 64, stdout: '' });
    expect(refused.stderr).toMatch(/^vsimg: everybody on the network could read the image at 0\.0\.0\.0; [^\n]+\n$/);
    for (const [host, ...more] of [['127.0.0.1'], ['0.0.0.0', '--allow-remote']] as const)
      expect(listenAt(host, ...more, '--idle-exit', '1')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });
});
