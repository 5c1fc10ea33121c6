import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareMaps } from '../../src/map/compare.ts';
import { ExtentMap } from '../../src/map/extent-map.ts';
import { extentLayout } from '../../src/map/layouts.ts';
import { BLOCKS, change, type Meaning, mapSteps } from '../support/map-model.ts';
import { levelsOf, PageFile } from '../support/page-file.ts';
import { SeededRandom } from '../support/random.ts';

interface Difference {
  readonly start: number;
  readonly end: number;
  readonly a: boolean;
  readonly b: boolean;
}

/** The differences block by block: 'a' and 'b' say which sides hold something, '=' that nothing differs. */
function blocksOf(differences: Iterable<Difference>): string[] {
  const result: string[] = new Array(BLOCKS).fill('=');
  let at = 0;
  for (const { start, end, a, b } of differences) {
    expect(start).toBeGreaterThanOrEqual(at);
    expect(end).toBeGreaterThan(start);
    at = end;
    result.fill(`${a ? 'a' : ''}${b ? 'b' : ''}`, start, end);
  }
  expect(at).toBeLessThanOrEqual(BLOCKS);
  return result;
}

interface Side {
  readonly map: ExtentMap;
  readonly model: Meaning[];
}

/** Blocks that both have lost may count as different or, in a page that both hold, as the same. */
function expectDifference(a: Side, b: Side): void {
  const found = blocksOf(compareMaps(a.map, b.map)).map((what, block) =>
    a.model[block] === 'lost' && b.model[block] === 'lost' ? '=' : what,
  );
  expect(found).toEqual(bruteForce(a.model, b.model));
}

function bruteForce(a: readonly Meaning[], b: readonly Meaning[]): string[] {
  return a.map((meaning, block) =>
    meaning === b[block] ? '=' : `${meaning === undefined ? '' : 'a'}${b[block] === undefined ? '' : 'b'}`,
  );
}

describe('compareMaps', () => {
  it('is the difference of two arrays, whatever the maps share and whether they are written or not', () => {
    const manySteps = (maxLength: number) => fc.array(mapSteps, { maxLength, size: 'max' });
    fc.assert(
      fc.property(manySteps(150), manySteps(8), manySteps(8), fc.nat({ max: 7 }), (common, onlyA, onlyB, flushes) => {
        const file = new PageFile();
        const base = new ExtentMap(file.store(), null);
        const baseModel: Meaning[] = new Array(BLOCKS).fill(undefined);
        for (const step of common) change(base, baseModel, step);
        const root = base.tree.flush(file.sink());
        const sides = [onlyA, onlyB].map((steps, index) => {
          let map = new ExtentMap(file.store(), root);
          const model = [...baseModel];
          for (const step of steps) change(map, model, step);
          if ((flushes >> index) % 2 === 1) map = new ExtentMap(file.store(), map.tree.flush(file.sink()));
          return { map, model };
        });
        for (const x of sides) for (const y of sides) expectDifference(x, y);
        expectDifference({ map: base, model: baseModel }, sides[0] as Side);
        const [x, y] = sides as [Side, Side];
        const within = { start: 100 * flushes, end: 100 * flushes + 333 };
        const isLost = (block: number) => x.model[block] === 'lost' && y.model[block] === 'lost';
        const cut = bruteForce(x.model, y.model).map((what, block) =>
          block >= within.start && block < within.end ? what : '=',
        );
        const found = blocksOf(compareMaps(x.map, y.map, within));
        expect(found.map((what, block) => (isLost(block) ? '=' : what))).toEqual(cut);
      }),
    );
  });

  it('takes lost blocks of two maps for different, because nobody knows what they held', () => {
    const file = new PageFile();
    const lose = (): ExtentMap => {
      const map = new ExtentMap(file.store(), null);
      map.setLost(5, 20);
      map.set(7, 1, 3);
      // Too many for a root without a page.
      for (let block = 100; block < 400; block += 2) map.set(block, 1, 5 * block);
      return new ExtentMap(file.store(), map.tree.flush(file.sink()));
    };
    const same = lose();
    expect(blocksOf(compareMaps(same, lose())).filter((what) => what === 'ab')).toHaveLength(14);
    expect([...compareMaps(same, new ExtentMap(file.store(), same.tree.savedRoot))]).toEqual([]);
  });

  const EXTENTS = 100_000;

  function bigMap(extents = EXTENTS): { file: PageFile; root: ReturnType<ExtentMap['tree']['flush']>; levels: number } {
    const file = new PageFile();
    const map = new ExtentMap(file.store(), null);
    for (let index = 0; index < extents; index++) map.set(2 * index, 1, 3 * index);
    const root = map.tree.flush(file.sink());
    return { file, root, levels: levelsOf(extentLayout, file.store(), root) };
  }

  it('reads a handful of pages for one block among 100,000 extents', () => {
    const { file, root, levels } = bigMap();
    for (const block of [0, 1, 100_000, 100_001, 2 * EXTENTS - 2, 2 * EXTENTS + 5]) {
      const changed = new ExtentMap(file.store(), root);
      changed.set(block, 1, 2 ** 40);
      const other = changed.tree.flush(file.sink());
      const pages = file.store();
      const counts = file.storage.during(() => {
        const found = [...compareMaps(new ExtentMap(pages, root), new ExtentMap(pages, other))];
        expect(found).toEqual([{ start: block, end: block + 1, a: block % 2 === 0 && block < 2 * EXTENTS, b: true }]);
      });
      expect(counts.reads).toBeLessThanOrEqual(2 * levels + 2);
    }
  });

  it('reads a handful of pages for a range of maps that share nothing', () => {
    const [one, other] = [bigMap(20_000), bigMap(20_000)];
    const pages = [one.file.store(), other.file.store()] as const;
    const start = 20_000;
    const compare = () => {
      const [a, b] = [new ExtentMap(pages[0], one.root), new ExtentMap(pages[1], other.root)];
      b.set(start + 2, 1, 2 ** 40);
      b.set(start + 2000, 1, 2 ** 40);
      return [...compareMaps(a, b, { start, end: start + 10 })];
    };
    const reads = one.file.storage.during(() =>
      expect(compare()).toEqual([{ start: start + 2, end: start + 3, a: true, b: true }]),
    ).reads;
    expect(reads).toBeLessThanOrEqual(2 * one.levels + 2);
  });

  it('reads nothing but the tops for maps that are the same, and what was cleared for a map that lost its end', () => {
    const { file, root, levels } = bigMap();
    const pages = file.store();
    expect(
      file.storage.during(() =>
        expect([...compareMaps(new ExtentMap(pages, root), new ExtentMap(pages, root))]).toEqual([]),
      ).reads,
    ).toBe(0);
    const shorter = new ExtentMap(file.store(), root);
    shorter.clear(2 * EXTENTS - 2000, 2 * EXTENTS);
    const other = shorter.tree.flush(file.sink());
    const cold = file.store();
    const { reads } = file.storage.during(() =>
      expect([...compareMaps(new ExtentMap(cold, root), new ExtentMap(cold, other))]).toHaveLength(1000),
    );
    expect(reads).toBeLessThan(60 + 4 * levels);
  });

  it('reads in proportion to the changes, also where pages were split and joined', () => {
    const { file, root, levels } = bigMap();
    const random = new SeededRandom(5);
    const changed = new ExtentMap(file.store(), root);
    for (let index = 0; index < 20; index++) {
      const start = random.below(2 * EXTENTS);
      if (index % 2 === 0) changed.clear(start, start + 300);
      else for (let block = start; block < start + 300; block++) changed.set(block, 1, random.below(2 ** 40));
    }
    const other = changed.tree.flush(file.sink());
    const all = file.reachable(extentLayout, root).size;
    const pages = file.store();
    const { reads } = file.storage.during(() =>
      expect([...compareMaps(new ExtentMap(pages, root), new ExtentMap(pages, other))].length).toBeGreaterThan(1000),
    );
    expect(reads).toBeLessThan(20 * (15 + 2 * levels));
    expect(reads).toBeLessThan(all / 2);
  });
});
