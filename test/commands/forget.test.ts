import { beforeEach, describe, expect, it } from 'vitest';
import { workspace } from '../support/workspace.ts';

interface Entry {
  readonly version: number;
  readonly parent: number | null;
  readonly reasons?: readonly string[];
}

const DAY = 86_400;
/** A Wednesday. */
const START = 1_767_780_000;

describe('vsimg forget', () => {
  const { ok, json, fails } = workspace();

  const later = { env: { SOURCE_DATE_EPOCH: String(START + 9 * DAY) } };

  const numbers = (entries: readonly Entry[]) => entries.map(({ version }) => version);
  const present = async () => numbers((await json(['log', 'a.vsi'])).versions);
  const generation = async () => (await json(['info', 'a.vsi']))['format-specific'].data.generation;

  /** Versions 1 to 6, one a day, on main. */
  beforeEach(async () => {
    await ok(['create', 'a.vsi', '1M', '-q', '--force']);
    for (let number = 1; number <= 6; number++) {
      const env = { SOURCE_DATE_EPOCH: String(START + number * DAY) };
      await ok(['write', 'a.vsi', '-q', '--offset', `${number * 8}k`], { stdin: `state ${number}` });
      await ok(['commit', 'a.vsi', '-m', `state ${number}`, '-q'], { env });
    }
  });

  it('removes what no rule keeps, at once, and leaves the others whole', async () => {
    const before = await generation();
    expect(await ok(['forget', 'a.vsi', '--keep-last', '2', '--keep-weekly', '2'])).toMatch(
      new RegExp(
        [
          '^keep 3 versions:',
          '  6  2026-01-13T10:00:00Z  last, weekly, branch main, HEAD  state 6',
          '  5  2026-01-12T10:00:00Z  last {29}state 5',
          '  4  2026-01-11T10:00:00Z  weekly {27}state 4',
          'remove 3 versions:',
          '  3  2026-01-10T10:00:00Z {35}state 3',
          '  2 .*',
          '  1 .*',
          "3 versions removed; 'vsimg gc' gives the space back\n$",
        ].join('\n'),
      ),
    );
    expect(await generation()).toBe(before + 1);
    const { versions } = await json(['log', 'a.vsi']);
    expect(versions.map(({ version, parent }: Entry) => [version, parent])).toEqual([
      [6, 5],
      [5, 4],
      [4, null],
    ]);
    expect(await ok(['read', 'a.vsi@4', '--offset', '8k', '--length', '7'])).toBe('state 1');
    await ok(['gc', 'a.vsi', '-q']);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('keeps the head, branches and what is locked, and says why', async () => {
    await ok(['branch', 'a.vsi', 'old', '1', '-q']);
    await ok(['tag', 'a.vsi', '--lock', '3', '-q']);
    await ok(['tag', 'a.vsi', 'v2', '2', '-q']);
    await ok(['checkout', 'a.vsi', '4', '-q']);
    const document = await json(['forget', 'a.vsi', '--keep-tag', 'v*']);
    expect(document.keep.map(({ version, reasons }: Entry) => [version, reasons])).toEqual([
      [6, ['branch main']],
      [4, ['HEAD']],
      [3, ['locked']],
      [2, ['tag v2']],
      [1, ['branch old']],
    ]);
    expect(numbers(document.remove)).toEqual([5]);
    expect(document).toMatchObject({ 'dry-run': false, 'deleted-tags': [], 'reclaimed-bytes': null });
    expect(await present()).toEqual([6, 4, 3, 2, 1]);
  });

  it('--dry-run tells the same and changes nothing', async () => {
    await ok(['tag', 'a.vsi', 'v1', '1', '-q']);
    const before = await generation();
    const argv = ['forget', 'a.vsi', '--keep-within', '2d1h'];
    const planned = await json([...argv, '--dry-run', '--gc'], later);
    expect(planned).toMatchObject({ 'dry-run': true, 'deleted-tags': ['v1'], 'reclaimed-bytes': expect.any(Number) });
    expect(await json([...argv, '--dry-run'], later)).toMatchObject({ 'reclaimed-bytes': null });
    expect(await ok([...argv, '-n', '--gc'], later)).toMatch(
      /\nnothing was removed: this was a dry run \(with gc: \S+ [KM]iB -> \S+ [KM]iB\)\n$/,
    );
    expect(numbers(planned.keep)).toEqual([6, 5, 4]);
    expect(await ok([...argv, '-n'], later)).toMatch(
      /\n {2}1 .*\(tag v1\) .*state 1\nnothing was removed: this was a dry run\n$/,
    );
    expect(await generation()).toBe(before);
    const done = await json(argv, later);
    expect(numbers(done.remove)).toEqual(numbers(planned.remove));
    expect(done['deleted-tags']).toEqual(['v1']);
    expect((await json(['tag', 'a.vsi'])).tags).toEqual([]);
  });

  it('-q says nothing of what it did, as other commands that change something', async () => {
    expect(await ok(['forget', 'a.vsi', '--keep-last', '2', '--dry-run', '-q'])).toMatch(/^keep 2 versions:/);
    expect(await ok(['forget', 'a.vsi', '--keep-last', '2', '--gc', '-q'])).toBe('');
    expect(await present()).toEqual([6, 5]);
  });

  it('--gc gives the space back', async () => {
    const size = async () => (await json(['info', 'a.vsi']))['format-specific'].data.space['data-bytes'];
    for (let number = 7; number <= 9; number++) {
      await ok(['write', 'a.vsi', '-q'], { stdin: Buffer.alloc(300_000, `${number} and more`) });
      await ok(['commit', 'a.vsi', '-m', `state ${number}`, '-q'], later);
    }
    const before = await size();
    const planned = await json(['forget', 'a.vsi', '--keep-last', '1', '--gc', '--dry-run']);
    const document = await json(['forget', 'a.vsi', '--keep-last', '1', '--gc']);
    expect(document['reclaimed-bytes']).toBeGreaterThan(0);
    expect(planned['reclaimed-bytes']).toBe(document['reclaimed-bytes']);
    expect(await size()).toBeLessThan(before);
    expect(await present()).toEqual([9]);
    expect(await ok(['forget', 'a.vsi', '--keep-last', '1', '--gc'])).toMatch(
      /\nremove 0 versions\n0 versions removed: /,
    );
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('keeps everything with unlimited counts', async () => {
    const { keep, remove } = await json(['forget', 'a.vsi', '--keep-daily', 'unlimited']);
    expect([keep.length, remove.length]).toEqual([6, 0]);
    expect(await ok(['forget', 'a.vsi', '--keep-last', '99'])).toMatch(/state 1\nremove 0 versions\n$/);
  });

  it('measures from SOURCE_DATE_EPOCH as the present', async () => {
    const env = { SOURCE_DATE_EPOCH: String(START + 4 * DAY) };
    const { keep } = await json(['forget', 'a.vsi', '--keep-within', '25h', '-n'], { env });
    expect(numbers(keep)).toEqual([6, 5, 4, 3]);
  });

  it('refuses to remove all for want of a rule', async () => {
    expect(await fails(64, ['forget', 'a.vsi'])).toContain('no rule');
    await fails(64, ['forget', 'a.vsi', '--keep-last', '0']);
    await fails(64, ['forget', 'a.vsi', '--keep-last', '-1']);
    await fails(64, ['forget', 'a.vsi', '--keep-last', 'two']);
    for (const span of ['', '3', '0d', '3w', '1d2d', 'd', '1.5y', '-1d', '1 d'])
      expect(await fails(64, ['forget', 'a.vsi', `--keep-within=${span}`])).toContain('--keep-within');
    expect(await fails(66, ['forget', 'a.vsi', '--keep-tag', 'relaese'])).toContain("no tag 'relaese'");
    await fails(66, ['forget', 'a.vsi', '--keep-tag', 'main']);
    expect(await present()).toHaveLength(6);
  });

  it('an image without versions has nothing to forget', async () => {
    await ok(['create', 'empty.vsi', '1M', '-q']);
    expect(await ok(['forget', 'empty.vsi', '--keep-last', '3', '--keep-within', '1d'])).toBe(
      'keep 0 versions\nremove 0 versions\n',
    );
  });
});
