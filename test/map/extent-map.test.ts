import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXTENT_KIND, MAX_EXTENT_BLOCKS } from '../../src/format/extent-page.ts';
import { EXTENT_PAGE_BYTES } from '../../src/format/layout.ts';
import type { TreeRoot } from '../../src/format/page.ts';
import { ExtentMap } from '../../src/map/extent-map.ts';
import { extentLayout } from '../../src/map/layouts.ts';
import { BLOCKS, change, type Meaning, mapSteps, meanings } from '../support/map-model.ts';
import { levelsOf, PageFile } from '../support/page-file.ts';
import { SeededRandom } from '../support/random.ts';

function expectEqual(map: ExtentMap, model: readonly Meaning[], probe: readonly [number, number]): void {
  expect(meanings(map, BLOCKS)).toEqual(model);
  expect(map.endBlock()).toBe(model.findLastIndex((meaning) => meaning !== undefined) + 1);
  const [from, to] = [Math.min(...probe), Math.max(...probe)];
  let at = from;
  for (const run of map.runs(from, to)) {
    expect(run.start).toBe(at);
    expect(run.length).toBeGreaterThan(0);
    const expected: Meaning = run.kind === EXTENT_KIND.lost ? 'lost' : run.log;
    expect(model[run.start]).toBe(expected);
    at += run.length;
  }
  expect(at).toBe(to);
  const cut = [...map.extents(from, to)];
  expect(cut.reduce((total, { length }) => total + length, 0)).toBe(
    model.slice(from, to).filter((meaning) => meaning !== undefined).length,
  );
}

describe('ExtentMap', () => {
  it('agrees with an array, keeps every older root as it was, and gives up exactly the pages that are out of reach', () => {
    const probes = fc.tuple(fc.nat({ max: BLOCKS }), fc.nat({ max: BLOCKS }));
    fc.assert(
      fc.property(fc.array(mapSteps, { maxLength: 200, size: 'max' }), probes, (list, probe) => {
        const file = new PageFile();
        let map = new ExtentMap(file.store(), null);
        const model: Meaning[] = new Array(BLOCKS).fill(undefined);
        const history: { root: TreeRoot; model: Meaning[] }[] = [];
        let root: TreeRoot = null;
        for (const step of list) {
          if (step.kind !== 'flush') {
            change(map, model, step);
            continue;
          }
          const before = file.reachable(extentLayout, root);
          file.forgetHistory();
          root = map.tree.flush(file.sink());
          const after = file.reachable(extentLayout, root);
          expect(file.released.map(({ place }) => place).sort()).toEqual(
            [...before].filter((place) => !after.has(place)).sort(),
          );
          history.push({ root, model: [...model] });
          if (step.reload) map = new ExtentMap(file.store(), root);
        }
        expectEqual(map, model, probe);
        map = new ExtentMap(file.store(), map.tree.flush(file.sink()));
        expectEqual(map, model, probe);
        for (const old of history) expect(meanings(new ExtentMap(file.store(), old.root), BLOCKS)).toEqual(old.model);
      }),
    );
  });

  it('holds the same extents whether ranges are changed one by one or all at once', () => {
    const random = new SeededRandom(7);
    const [one, all] = [0, 0].map(() => new ExtentMap(new PageFile().store(), null)) as [ExtentMap, ExtentMap];
    for (let round = 0; round < 60; round++) {
      const changes = [];
      let start = random.below(50);
      for (; changes.length < 300 && start < 40_000; start += 1 + random.below(random.below(4) === 0 ? 2000 : 6)) {
        const log = random.below(5) === 0 ? undefined : random.below(2) === 0 ? start + 50_000 : random.below(2 ** 40);
        changes.push({ start, length: 1, log });
      }
      for (const { start, length, log } of changes)
        if (log === undefined) one.clear(start, start + length);
        else one.set(start, length, log);
      all.setAll(changes, () => {});
    }
    expect([...all.extents(0, 50_000)]).toEqual([...one.extents(0, 50_000)]);
  });

  it('keeps one extent for writes that follow each other in guest and log', () => {
    const file = new PageFile();
    const map = new ExtentMap(file.store(), null);
    for (const block of [5, 6, 9, 8, 7]) map.set(block, 1, 100 + block);
    expect([...map.extents(0, 100)]).toEqual([{ start: 5, length: 5, log: 105, kind: EXTENT_KIND.data }]);
    map.set(10, 1, 200);
    expect([...map.extents(0, 100)]).toHaveLength(2);
    map.set(10, 1, 110);
    expect([...map.extents(0, 100)]).toHaveLength(1);
    map.clear(7, 8);
    map.set(7, 1, 107);
    expect([...map.extents(0, 100)]).toHaveLength(1);
  });

  it('splits runs that are longer than an extent can be', () => {
    const file = new PageFile();
    const map = new ExtentMap(file.store(), null);
    map.set(0, MAX_EXTENT_BLOCKS, 0);
    map.set(MAX_EXTENT_BLOCKS, MAX_EXTENT_BLOCKS, MAX_EXTENT_BLOCKS);
    map.setLost(2 ** 30, 2 ** 31);
    const again = new ExtentMap(file.store(), map.tree.flush(file.sink()));
    expect(again.endBlock()).toBe(2 ** 31);
    const runs = [...again.runs(0, 2 ** 31 + 1)].map(({ start, length, log, kind }) => ({
      end: start + length,
      log,
      kind,
    }));
    const data = EXTENT_KIND.data;
    expect(runs.slice(0, 3)).toEqual([
      { end: MAX_EXTENT_BLOCKS, log: 0, kind: data },
      { end: 2 * MAX_EXTENT_BLOCKS, log: MAX_EXTENT_BLOCKS, kind: data },
      { end: 2 ** 30, log: undefined, kind: data },
    ]);
    expect(runs.slice(3, -1).every(({ kind }) => kind === EXTENT_KIND.lost)).toBe(true);
    expect(runs.at(-2)?.end).toBe(2 ** 31);
    expect(runs.at(-1)).toEqual({ end: 2 ** 31 + 1, log: undefined, kind: data });
  });

  it('holds blocks up to the end of the address space', () => {
    const file = new PageFile();
    const map = new ExtentMap(file.store(), null);
    map.set(2 ** 48 - 2, 2, 2 ** 48 - 2);
    map.set(0, 1, 5);
    const again = new ExtentMap(file.store(), map.tree.flush(file.sink()));
    expect([...again.extents(0, Number.MAX_SAFE_INTEGER)].map(({ start, log }) => [start, log])).toEqual([
      [0, 5],
      [2 ** 48 - 2, 2 ** 48 - 2],
    ]);
  });

  it('lives in its root while it is small, and in nothing while it is empty', () => {
    const file = new PageFile();
    const map = new ExtentMap(file.store(), null);
    map.set(0, 1000, 0);
    const root = map.tree.flush(file.sink());
    expect(root).toBeInstanceOf(Uint8Array);
    expect(file.written.size).toBe(0);
    map.clear(0, 1000);
    expect(map.tree.flush(file.sink())).toBe(null);
  });

  it('gives all its pages back when it is emptied, at once or bit by bit', () => {
    const random = new SeededRandom(3);
    for (const piece of [100_000, 777, 1]) {
      const file = new PageFile();
      const map = new ExtentMap(file.store(), null);
      const count = piece === 1 ? 3000 : 20_000;
      for (const index of random.shuffled(Array.from({ length: count }, (_, number) => number)))
        map.set(2 * index, 1, random.below(2 ** 40));
      const root = map.tree.flush(file.sink());
      const pages = file.reachable(extentLayout, root);
      expect(pages.size).toBeGreaterThan(20);
      expect(Math.max(...file.written.values())).toBeLessThanOrEqual(EXTENT_PAGE_BYTES);
      file.forgetHistory();
      for (let start = 0; start < 2 * count; start += piece) map.clear(start, start + piece);
      expect(map.tree.flush(file.sink())).toBe(null);
      expect(new Set(file.released.map(({ place }) => place))).toEqual(pages);
      expect(file.released.length).toBe(pages.size);
    }
  });

  it('finds one block among 100,000 extents with one read a level, and changes it with hardly more than one page a level', () => {
    const file = new PageFile();
    const map = new ExtentMap(file.store(), null);
    for (let index = 0; index < 100_000; index++) map.set(2 * index, 1, 3 * index);
    const root = map.tree.flush(file.sink());
    const levels = levelsOf(extentLayout, file.store(), root);
    const cold = new ExtentMap(file.store(), root);
    const { reads } = file.storage.during(() => expect([...cold.extents(77_776, 77_777)][0]?.log).toBe(3 * 38_888));
    expect(reads).toBe(levels);
    file.forgetHistory();
    cold.set(77_776, 1, 2 ** 40);
    cold.tree.flush(file.sink());
    // A page that was full is split.
    expect(file.written.size).toBeLessThanOrEqual(levels + 1);
  });
});
