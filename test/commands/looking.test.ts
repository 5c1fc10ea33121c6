import { cpSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const BLOCK = 4096;
const MIB = 1024 * 1024;

/** a.vsi: versions 1 (v1), 2, 3 (v3, main) in a line, and 4 (side) made from 1; b.vsi: no version. */
function history() {
  const space = workspace();
  const { ok } = space;
  const write = (offset: number, bytes: Uint8Array) =>
    ok(['write', 'a.vsi', '-q', '--offset', String(offset)], { stdin: bytes });
  beforeAll(async () => {
    await ok(['create', 'a.vsi', '16M', '-q', '--compression', 'none']);
    await write(0, noise(2 * MIB, 1));
    await ok(['commit', 'a.vsi', '-m', 'one\n\nwith more to say', '--tag', 'v1', '-q']);
    await write(MIB, noise(MIB, 2));
    await ok(['commit', 'a.vsi', '-m', 'two', '-q']);
    await write(MIB, noise(16 * BLOCK, 3));
    await ok(['write', 'a.vsi', '-q', '--zero', '--offset', '0', '--length', String(3 * BLOCK)]);
    await ok(['commit', 'a.vsi', '-m', 'three', '--tag', 'v3', '-q']);
    await ok(['checkout', 'a.vsi', 'v1', '-b', 'side', '-q']);
    await write(8 * MIB, noise(4 * BLOCK, 4));
    await ok(['commit', 'a.vsi', '-m', 'four', '-q']);
    await ok(['create', 'b.vsi', '1M', '-q']);
  });
  return space;
}

describe('vsimg show', () => {
  const { ok, json, fails } = history();

  it('shows a version as log does, and what it changed', async () => {
    const { versions } = await json(['log', 'a.vsi@3', '-n', '1']);
    expect(await ok(['show', 'a.vsi@v3'])).toBe(
      `${await ok(['log', 'a.vsi@3', '-n', '1'])}\n${[
        '  Offset    Length  Kind',
        '       0     12288  zero',
        ' 1048576     65536  data',
        '2 ranges, 76 KiB: 64 KiB data, 12 KiB zero, 0 B hole',
      ].join('\n')}\n`,
    );
    expect(await json(['show', 'a.vsi', '3'])).toEqual({
      filename: 'a.vsi',
      ...versions[0],
      ranges: [
        { start: 0, length: 3 * BLOCK, kind: 'zero' },
        { start: MIB, length: 16 * BLOCK, kind: 'data' },
      ],
      'range-count': 2,
      'data-bytes': 16 * BLOCK,
      'zero-bytes': 3 * BLOCK,
      'hole-bytes': 0,
    });
  });

  it('shows HEAD by default, compared with its parent and not with what came before it', async () => {
    const shown = await json(['show', 'a.vsi']);
    expect([shown.version, shown.parent]).toEqual([4, 1]);
    expect(shown.ranges).toEqual([{ start: 8 * MIB, length: 4 * BLOCK, kind: 'data' }]);
  });

  it('compares a first version with an empty disk', async () => {
    expect((await json(['show', 'a.vsi@1'])).ranges).toEqual([{ start: 0, length: 2 * MIB, kind: 'data' }]);
  });

  it('says when nothing changed', async () => {
    await ok(['create', 'c.vsi', '1M', '-q']);
    await ok(['commit', 'c.vsi', '-m', 'empty', '-q']);
    expect(await ok(['show', 'c.vsi', '--stat'])).toMatch(/\n\nnothing changed\n$/);
  });

  it('lists as many ranges as are asked for, and counts all', async () => {
    await ok(['create', 'many.vsi', '1M', '-q']);
    for (let block = 0; block < 44; block += 2)
      await ok(['write', 'many.vsi', '-q', '--offset', String(block * BLOCK)], { stdin: 'x' });
    await ok(['commit', 'many.vsi', '-m', 'many', '-q']);
    const text = await ok(['show', 'many.vsi']);
    expect(text.match(/ {2}data$/gm)).toHaveLength(20);
    expect(text).toContain('\n... and 2 more ranges (-n N lists N)\n22 ranges, 88 KiB: ');
    const few = await json(['show', 'many.vsi', '-n', '1']);
    expect([few.ranges.length, few['range-count']]).toEqual([1, 22]);
    expect((await json(['show', 'many.vsi'])).ranges).toHaveLength(22);
    expect(await json(['show', 'many.vsi', '--stat'])).not.toHaveProperty('ranges');
  });

  it('tells with --space what the version alone holds', async () => {
    const { versions } = await json(['du', 'a.vsi']);
    const shown = await json(['show', 'a.vsi@3', '--space']);
    expect(shown.exclusive).toEqual(versions[2].exclusive);
    expect(shown.exclusive['data-bytes']).toBe(16 * BLOCK);
    expect(await ok(['show', 'a.vsi@3', '--space'])).toMatch(
      /\nalone it holds 64 KiB \(data 64 KiB, metadata 0 B\)\n$/,
    );
  });

  it('refuses what it cannot show', async () => {
    await fails(66, ['show', 'b.vsi']);
    await fails(66, ['show', 'a.vsi@9']);
    await fails(64, ['show', 'a.vsi@1', '2']);
    await fails(64, ['show', 'a.vsi', '1', '-l', '2']);
    await fails(64, ['show', 'a.vsi', '-n', 'x']);
  });
});

describe('vsimg status', () => {
  const { ok, json, run, path } = history();

  it('says where one is, and that nothing changed', async () => {
    const { versions } = await json(['log', 'a.vsi', '-n', '1']);
    const id = versions[0]['version-id'].slice(0, 8);
    expect(await ok(['status', 'a.vsi'])).toBe(
      `on branch side, at 4 ${id} (HEAD -> side) four\nnothing changed since version 4\n`,
    );
    for (const option of ['-s', '--porcelain', '-q']) expect(await ok(['status', 'a.vsi', option])).toBe('');
    expect(await json(['status', 'a.vsi'])).toEqual({
      filename: 'a.vsi',
      head: { branch: 'side', version: 4, dirty: false, 'virtual-size': 16 * MIB },
      ranges: [],
      'range-count': 0,
      'data-bytes': 0,
      'zero-bytes': 0,
      'hole-bytes': 0,
    });
    expect((await run(['status', 'a.vsi', '--exit-code'])).status).toBe(0);
  });

  it('lists what changed', async () => {
    cpSync(path('a.vsi'), path('dirty.vsi'));
    await ok(['write', 'dirty.vsi', '-q', '--offset', '4M'], { stdin: 'x' });
    await ok(['write', 'dirty.vsi', '-q', '--zero', '--offset', '0', '--length', '64k']);
    expect((await ok(['status', 'dirty.vsi'])).split('\n').slice(1)).toEqual([
      'changed since version 4:',
      '  Offset    Length  Kind',
      '       0     65536  zero',
      ' 4194304      4096  data',
      '2 ranges, 68 KiB: 4 KiB data, 64 KiB zero, 0 B hole',
      "'vsimg commit' keeps it, 'vsimg checkout --force' drops it",
      '',
    ]);
    for (const option of ['-s', '--porcelain'])
      expect(await ok(['status', 'dirty.vsi', option])).toBe('0 65536 zero\n4194304 4096 data\n');
    expect(await ok(['status', 'dirty.vsi', '-s', '-n', '1'])).toBe('0 65536 zero\n');
    expect(await json(['status', 'dirty.vsi'])).toMatchObject({ head: { dirty: true }, 'range-count': 2 });
    const { status, stdout } = await run(['status', 'dirty.vsi', '--exit-code', '-q']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect((await run(['status', 'dirty.vsi', '--exit-code', '--json'])).status).toBe(1);
    await ok(['checkout', 'dirty.vsi', '--force', '-q']);
    expect(await ok(['status', 'dirty.vsi', '-s'])).toBe('');
  });

  it('works without a version and without a branch', async () => {
    expect(await ok(['status', 'b.vsi'])).toBe('on branch main, no version yet\nnothing changed\n');
    cpSync(path('b.vsi'), path('first.vsi'));
    await ok(['write', 'first.vsi', '-q'], { stdin: 'x' });
    expect(await ok(['status', 'first.vsi'])).toMatch(/\nchanged:\n Offset {3}Length {2}Kind\n {6}0 {5}4096 {2}data\n/);
    cpSync(path('a.vsi'), path('detached.vsi'));
    await ok(['checkout', 'detached.vsi', '2', '-q']);
    expect(await ok(['status', 'detached.vsi'])).toMatch(/^HEAD is detached, at 2 [0-9a-f]{8} \(HEAD\) two\nnothing/);
  });

  it('fits 80 columns', async () => {
    const text = await ok(['status', 'a.vsi']);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe('vsimg rev-parse', () => {
  const { ok, json, fails, run } = history();

  it('prints the number of each version', async () => {
    const { versions } = await json(['log', 'a.vsi']);
    const id: string = versions[1]['version-id'];
    expect(await ok(['rev-parse', 'a.vsi', 'HEAD', 'HEAD~1', 'v3', 'main~1', id.slice(0, 12), '1..3'])).toBe(
      '4\n1\n3\n2\n3\n1\n2\n3\n',
    );
    expect(await ok(['rev-parse', 'a.vsi@v3'])).toBe('3\n');
    expect(await ok(['rev-parse', 'a.vsi'])).toBe('4\n');
    expect(await ok(['rev-parse', 'a.vsi', '3', '--id'])).toBe(`${id}\n`);
    expect(await ok(['rev-parse', 'a.vsi', '--short', 'main'])).toBe(`${id.slice(0, 8)}\n`);
    expect(await json(['rev-parse', 'a.vsi', 'HEAD~1', '3'])).toEqual({
      filename: 'a.vsi',
      revisions: [
        { revision: 'HEAD~1', version: 1, 'version-id': versions[3]['version-id'], name: 'v1' },
        { revision: '3', version: 3, 'version-id': id, name: 'main' },
      ],
    });
  });

  it('prints names', async () => {
    expect(await ok(['rev-parse', 'a.vsi', '--abbrev-ref', 'HEAD', 'v3', '3', '1', '2', 'HEAD~1'])).toBe(
      'side\nv3\nmain\nv1\n2\nv1\n',
    );
    await ok(['checkout', 'a.vsi', '4', '-q']);
    expect(await ok(['rev-parse', 'a.vsi', '--abbrev-ref', 'HEAD', '4'])).toBe('HEAD\nside\n');
    await ok(['checkout', 'a.vsi', 'side', '-q']);
  });

  it('verifies as git does', async () => {
    expect(await ok(['rev-parse', 'a.vsi', '--verify', 'v3'])).toBe('3\n');
    expect(await run(['rev-parse', 'a.vsi', '-q', '--verify', 'v9'])).toMatchObject({
      status: 66,
      stdout: '',
      stderr: '',
    });
    expect(await fails(66, ['rev-parse', 'a.vsi', '--verify', 'v4'])).toContain("did you mean 'v1'?");
    await fails(64, ['rev-parse', 'a.vsi', '--verify', '1', '2']);
    await fails(64, ['rev-parse', 'a.vsi', '-q', '--verify', '1..3']);
  });

  it('prints all or none', async () => {
    await fails(66, ['rev-parse', 'a.vsi', '1', 'nothing']);
    await fails(66, ['rev-parse', 'a.vsi', '7..9']);
    await fails(66, ['rev-parse', 'b.vsi']);
    await fails(64, ['rev-parse', 'a.vsi', '--id', '--abbrev-ref']);
  });
});

describe('vsimg du', () => {
  const { ok, json, fails, path } = history();
  const spaceOf = async (name: string) => (await json(['info', name]))['format-specific'].data.space;

  it('divides the file among those who need it', async () => {
    const du = await json(['du', 'a.vsi']);
    const alone = du.versions.map(
      ({ version, exclusive }: { version: number; exclusive: { 'data-bytes': number } }) => [
        version,
        exclusive['data-bytes'] / BLOCK,
      ],
    );
    // Versions 2 and 3 share what 3 did not write again; the working state is version 4.
    expect(alone).toEqual([
      [1, 0],
      [2, 16],
      [3, 16],
      [4, 0],
    ]);
    expect(du.space).toEqual({ ...(await spaceOf('a.vsi')), 'missing-bytes': undefined });
    const parts = [du.exclusive, du.working, du.shared];
    const sum = (field: string) => parts.reduce((total, part) => total + part[field], 0);
    expect(sum('data-bytes') + du['unneeded-data-bytes']).toBe(du.space['data-bytes']);
    expect(sum('metadata-bytes') + du['overhead-bytes']).toBe(du.space['metadata-bytes']);
  });

  it('prints a table that fits 80 columns', async () => {
    const lines = (await ok(['du', 'a.vsi'])).split('\n');
    expect(lines[0]).toBe('VERSION   ALONE    DATA  METADATA  NAME      MESSAGE');
    expect(lines[2]).toBe('      2  64 KiB  64 KiB       0 B            two');
    expect(lines[4]).toBe('     *4     0 B     0 B       0 B  side      four');
    expect(lines.at(-2)).toMatch(/^file: {16}3\.\d+ MiB \(\d+ bytes\)$/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(await ok(['du', 'b.vsi'])).toMatch(/^versions alone: {6}0 B /);
  });

  it.each([[['2']], [['3']], [['2..3']], [['1', 'v3']], [['1..3']]])(
    'of %j is what gc then gives back',
    async (revs) => {
      const { deleted, reclaimed, reclaimable, ...file } = await json(['du', 'a.vsi', ...revs]);
      const name = `without-${deleted.join('-')}.vsi`;
      cpSync(path('a.vsi'), path(name));
      if (deleted.includes(3)) await ok(['branch', name, '-d', 'main', '-q']);
      await ok(['delete', name, ...deleted.map(String), '-q']);
      await ok(['gc', name, '-q']);
      const before = await spaceOf('a.vsi');
      const after = await spaceOf(name);
      expect(before['data-bytes'] - after['data-bytes']).toBe(reclaimed['data-bytes']);
      expect(reclaimable['data-bytes']).toBe(0);
      const metadataBytes = before['metadata-bytes'] - after['metadata-bytes'];
      expect(file['file-size-before']).toBe(before['file-bytes']);
      expect(file['reclaimed-bytes']).toBe(file['file-size-before'] - file['file-size-after']);
      // Where the name of a branch must go first, that is one change more.
      if (!deleted.includes(3)) expect(file['file-size-after']).toBe(after['file-bytes']);
      expect(Math.abs(metadataBytes - reclaimed['metadata-bytes'])).toBeLessThan(deleted.includes(3) ? 4096 : 1);
    },
  );

  it('tells what comes back without deleting', async () => {
    cpSync(path('a.vsi'), path('deleted.vsi'));
    await ok(['delete', 'deleted.vsi', '2', '-q']);
    expect(await ok(['du', 'deleted.vsi'])).toMatch(/^unneeded data: {7}64 KiB \(see 'vsimg gc'\)$/m);
    expect(await ok(['du', 'deleted.vsi@3'])).toMatch(
      /^deleting version 3, then 'vsimg gc', gives back:\n {2}1\.\d+ MiB \(data 1\.06 MiB, metadata .*\)\nof which gc gives back without deleting:\n {2}\S+ KiB \(data 64 KiB, .*\)\nthe file becomes 1\.\d+ MiB shorter: \S+ MiB -> \S+ [KM]iB\n$/,
    );
    await ok(['gc', 'deleted.vsi', '-q']);
    expect(await ok(['du', 'deleted.vsi', '1', '3'])).toMatch(
      /^deleting 2 versions, then 'vsimg gc', gives back:\n {2}\S+ MiB .*\nthe file becomes .* shorter: .*\n$/,
    );
  });

  it('refuses what is not there', async () => {
    await fails(66, ['du', 'a.vsi', '9']);
    await fails(66, ['du', 'a.vsi', '1', '7..9']);
    await fails(66, ['du', 'b.vsi@HEAD']);
  });
});
