import { statSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { EPOCH, noise, workspace } from '../support/workspace.ts';

const BLOCK = 4096;

describe('vsimg info and diff', () => {
  const { ok, json, fails, run, path } = workspace();

  beforeAll(async () => {
    await ok(['create', 'a.vsi', '1M', '-q']);
    await ok(['write', 'a.vsi', '-q'], { stdin: noise(16 * BLOCK, 1) });
    await ok(['commit', 'a.vsi', '-m', 'one', '--tag', 'v1', '-q']);
    await ok(['write', 'a.vsi', '-q', '--offset', String(4 * BLOCK)], { stdin: noise(2 * BLOCK, 2) });
    await ok(['write', 'a.vsi', '-q', '--zero', '--offset', String(8 * BLOCK), '--length', String(3 * BLOCK)]);
    await ok(['commit', 'a.vsi', '-m', 'two', '-q']);
    await ok(['write', 'a.vsi', '-q', '--offset', '512k'], { stdin: 'x' });
  });

  it("info has qemu-img's names", async () => {
    const info = await json(['info', 'a.vsi']);
    expect(info).toMatchObject({
      filename: 'a.vsi',
      format: 'vsi',
      'virtual-size': 1048576,
      'actual-size': statSync(path('a.vsi')).blocks * 512,
      'cluster-size': BLOCK,
      'dirty-flag': true,
    });
    expect(info.snapshots.map(({ id, name }: { id: string; name: string }) => [id, name])).toEqual([
      ['1', 'v1'],
      ['2', '2'],
    ]);
    expect(info.snapshots[0]).toMatchObject({
      'vm-state-size': 0,
      'date-sec': EPOCH,
      'date-nsec': 0,
      'vm-clock-sec': 0,
      'vm-clock-nsec': 0,
      'version-id': expect.stringMatching(/^[0-9a-f]{32}$/),
      message: 'one',
    });
    expect(info['format-specific']).toMatchObject({
      type: 'vsi',
      data: {
        'format-version': expect.any(Number),
        'block-size': BLOCK,
        compression: 'zstd:2',
        'version-count': 2,
        head: { branch: 'main', version: 2, dirty: true, 'virtual-size': 1048576 },
        features: {
          compatible: expect.any(Array),
          'read-only-compatible': expect.any(Array),
          incompatible: expect.any(Array),
        },
      },
    });
    const { space } = info['format-specific'].data;
    expect(space['file-bytes']).toBe(statSync(path('a.vsi')).size);
    expect(space['data-bytes'] + space['metadata-bytes'] + space['free-bytes']).toBeLessThanOrEqual(
      space['file-bytes'],
    );
  });

  it('info is for people too', async () => {
    const text = await ok(['info', 'a.vsi']);
    expect(text).toContain('virtual size: 1 MiB (1048576 bytes)\n');
    expect(text).toContain('head:         main, version 2, uncommitted changes\n');
    expect(text).toMatch(/^ {2}ID {2}NAME /m);
    expect(text).toMatch(/^ {3}1 {2}v1 .* one$/m);
    expect(text).toMatch(/^ {2}\*2 {2}main .* two$/m);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('info lists ten versions and all with --all', async () => {
    await ok(['create', 'many.vsi', '1M', '-q']);
    for (let count = 1; count <= 12; count++)
      await ok(['commit', 'many.vsi', '-m', `n${count}`, '--allow-empty', '-q']);
    const text = await ok(['info', 'many.vsi']);
    expect(text).toContain('newest 10 versions (2 older: --all shows them):\n');
    expect(text).not.toMatch(/ n2$/m);
    expect(await ok(['info', 'many.vsi', '--all'])).toMatch(/ n1$/m);
    const few = await json(['info', 'many.vsi']);
    expect(few.snapshots.map(({ id }: { id: string }) => Number(id))).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(few['format-specific'].data['version-count']).toBe(12);
    expect((await json(['info', 'many.vsi', '--all'])).snapshots).toHaveLength(12);
  });

  it('diff shows ranges between versions', async () => {
    const text = await ok(['diff', 'a.vsi', '1', '2']);
    expect(text).toBe([' Offset   Length  Kind', '  16384     8192  data', '  32768    12288  zero', ''].join('\n'));
    for (const argv of [['1..2'], ['v1..'], ['v1', 'HEAD'], ['HEAD~1..main']])
      expect(await ok(['diff', 'a.vsi', ...argv])).toBe(text);
    expect(await ok(['diff', 'a.vsi@1', '2'])).toBe(text);
  });

  it('diff compares with the working state by default', async () => {
    const expected = {
      filename: 'a.vsi',
      a: { version: 2, 'virtual-size': 1048576 },
      b: { version: null, 'virtual-size': 1048576 },
    };
    const totals = { 'range-count': 1, 'data-bytes': BLOCK, 'zero-bytes': 0, 'hole-bytes': 0 };
    const ranges = [{ start: 524288, length: BLOCK, kind: 'data' }];
    expect(await json(['diff', 'a.vsi'])).toEqual({ ...expected, ranges, ...totals });
    expect(await json(['diff', 'a.vsi', '--stat'])).toEqual({ ...expected, ...totals });
    expect((await json(['diff', 'a.vsi', '1'])).ranges).toHaveLength(3);
    expect((await json(['diff', 'a.vsi', '-l', '1'])).ranges).toHaveLength(3);
  });

  it('diff sums up', async () => {
    expect(await ok(['diff', 'a.vsi', '1..2', '--stat'])).toBe('2 ranges, 20 KiB: 8 KiB data, 12 KiB zero, 0 B hole\n');
    expect(await ok(['diff', 'a.vsi', '1..1', '--stat'])).toBe('no differences\n');
    expect(await ok(['diff', 'a.vsi', '1..1'])).toBe('');
  });

  it('diff has a status for scripts', async () => {
    expect(await run(['diff', 'a.vsi', '1', '2', '--exit-code', '-q'])).toMatchObject({
      status: 1,
      stdout: '',
      stderr: '',
    });
    expect(await run(['diff', 'a.vsi', '1', '1', '--exit-code'])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect((await run(['diff', 'a.vsi', '1', '2', '--exit-code', '--json'])).status).toBe(1);
  });

  it('diff refuses what it cannot compare', async () => {
    await fails(64, ['diff', 'a.vsi', '1...2']);
    await fails(64, ['diff', 'a.vsi', '1..2', '2']);
    await fails(66, ['diff', 'a.vsi', '1..9']);
    await fails(66, ['diff', 'b.vsi']);
  });
});
