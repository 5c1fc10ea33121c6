import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/format/cursor.ts';
import { RECORD_PAGE_BYTES } from '../../src/format/layout.ts';
import type { TreeRoot } from '../../src/format/page.ts';
import { bytesToKey, NO_RECORDS, numberKey } from '../../src/format/record-page.ts';
import { recordLayout, spaceLayout } from '../../src/map/layouts.ts';
import {
  floorRecord,
  getRecord,
  putRecord,
  type RecordTree,
  records,
  recordsBackward,
  removeRecord,
} from '../../src/map/records.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { levelsOf, PageFile } from '../support/page-file.ts';
import { SeededRandom } from '../support/random.ts';

const layout = recordLayout('test records');

type Step =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'remove'; readonly key: string }
  | { readonly kind: 'range'; readonly from: string; readonly to: string }
  | { readonly kind: 'flush' | 'reload' };

// Few different bytes, so that keys share beginnings and are met again.
const keys = fc
  .array(fc.constantFrom(0, 65, 66, 255), { maxLength: 6 })
  .map((bytes) => bytesToKey(Uint8Array.from(bytes)));
const values = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 900, maxLength: 3000 }) },
);
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('put' as const), key: keys, value: values }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('remove' as const), key: keys }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('range' as const), from: keys, to: keys }) },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ kind: 'flush' }, { kind: 'reload' }) },
);

function entriesOf(tree: RecordTree): [string, Uint8Array][] {
  return [...records(tree)].map(({ key, value }) => [key, value]);
}

function sorted(model: ReadonlyMap<string, Uint8Array>): [string, Uint8Array][] {
  return [...model].sort(([a], [b]) => (a < b ? -1 : 1));
}

function expectEqual(tree: RecordTree, model: ReadonlyMap<string, Uint8Array>, probe: string): void {
  const all = sorted(model);
  expect(entriesOf(tree)).toEqual(all);
  expect([...recordsBackward(tree)].map(({ key }) => key)).toEqual(all.map(([key]) => key).reverse());
  const below = all.filter(([key]) => key <= probe);
  expect([...recordsBackward(tree, probe)].map(({ key }) => key)).toEqual(below.map(([key]) => key).reverse());
  expect(floorRecord(tree, probe)?.key).toBe(below.at(-1)?.[0]);
  expect(getRecord(tree, probe)).toEqual(model.get(probe));
  expect([...records(tree, probe)].map(({ key }) => key)).toEqual(
    all.filter(([key]) => key >= probe).map(([key]) => key),
  );
  expect([...records(tree, undefined, probe)].map(({ key }) => key)).toEqual(
    all.filter(([key]) => key < probe).map(([key]) => key),
  );
}

describe('record tree', () => {
  it('agrees with a Map, keeps every older root as it was, and gives up exactly the pages that are out of reach', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 150, size: 'max' }), keys, (list, probe) => {
        const file = new PageFile();
        let tree: RecordTree = new PersistentTree(layout, file.store(), null);
        const model = new Map<string, Uint8Array>();
        const history: { root: TreeRoot; entries: [string, Uint8Array][] }[] = [];
        let root: TreeRoot = null;
        const flush = (): void => {
          const before = file.reachable(layout, root);
          file.forgetHistory();
          root = tree.flush(file.sink());
          const after = file.reachable(layout, root);
          const gone = [...before].filter((place) => !after.has(place)).sort();
          expect(file.released.map(({ place }) => place).sort()).toEqual(gone);
          for (const place of file.written.keys()) expect(after.has(place)).toBe(true);
          history.push({ root, entries: sorted(model) });
        };
        for (const step of list) {
          if (step.kind === 'put') {
            putRecord(tree, step.key, step.value);
            model.set(step.key, step.value);
          } else if (step.kind === 'remove') {
            removeRecord(tree, step.key);
            model.delete(step.key);
          } else if (step.kind === 'range') {
            const [from, to] = step.from < step.to ? [step.from, step.to] : [step.to, step.from];
            tree.replaceRange(from, to, NO_RECORDS);
            for (const key of [...model.keys()]) if (key >= from && key < to) model.delete(key);
          } else {
            flush();
            if (step.kind === 'reload') tree = new PersistentTree(layout, file.store(), root);
          }
        }
        expectEqual(tree, model, probe);
        flush();
        expectEqual(tree, model, probe);
        for (const old of history)
          expect(entriesOf(new PersistentTree(layout, file.store(), old.root))).toEqual(old.entries);
      }),
      { numRuns: 40 },
    );
  });

  it('splits into pages that keep their limit, and gives all of them back when it is emptied', () => {
    const random = new SeededRandom(1);
    for (const order of ['ascending', 'descending', 'random'] as const) {
      const file = new PageFile();
      const tree: RecordTree = new PersistentTree(layout, file.store(), null);
      const numbers = Array.from({ length: 3000 }, (_, index) => index);
      if (order === 'descending') numbers.reverse();
      for (const number of order === 'random' ? random.shuffled(numbers) : numbers)
        putRecord(tree, numberKey(number), random.bytes(30));
      const root = tree.flush(file.sink());
      const pages = file.reachable(layout, root);
      expect(Math.max(...file.written.values())).toBeLessThanOrEqual(RECORD_PAGE_BYTES);
      expect(levelsOf(layout, file.store(), root)).toBeGreaterThan(2);
      const total = [...file.written.values()].reduce((sum, length) => sum + length, 0);
      // Pages are at least half full: 3000 records of 34 to 40 bytes.
      expect(total).toBeLessThan(3000 * 40 * 2);
      file.forgetHistory();
      for (const number of random.shuffled(numbers)) removeRecord(tree, numberKey(number));
      expect(tree.flush(file.sink())).toBe(null);
      expect(file.written.size).toBe(0);
      expect(new Set(file.released.map(({ place }) => place))).toEqual(pages);
      expect(file.released.length).toBe(pages.size);
    }
  });

  it('shrinks as records go, one by one', () => {
    const file = new PageFile();
    const tree: RecordTree = new PersistentTree(layout, file.store(), null);
    for (let number = 0; number < 5000; number++) putRecord(tree, numberKey(number), new Uint8Array(20));
    const full = file.reachable(layout, tree.flush(file.sink())).size;
    for (let number = 0; number < 5000; number++) if (number % 20 !== 0) removeRecord(tree, numberKey(number));
    const rest = file.reachable(layout, tree.flush(file.sink())).size;
    expect(rest).toBeLessThan(full / 5);
  });

  it('takes values of nearly a whole page of the largest size', () => {
    const file = new PageFile();
    const tree: RecordTree = new PersistentTree(layout, file.store(), null);
    for (let number = 0; number < 10; number++) putRecord(tree, numberKey(number), new Uint8Array(60_000).fill(number));
    const root = tree.flush(file.sink());
    expect(entriesOf(new PersistentTree(layout, file.store(), root)).map(([, value]) => value[59_999])).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
  });

  it('is written again only where it was changed', () => {
    const file = new PageFile();
    const tree: RecordTree = new PersistentTree(layout, file.store(), null);
    for (let number = 0; number < 10_000; number++) putRecord(tree, numberKey(number), new Uint8Array(8));
    const root = tree.flush(file.sink());
    file.forgetHistory();
    expect(tree.flush(file.sink())).toBe(root);
    expect(file.written.size).toBe(0);
    putRecord(tree, numberKey(5000), new Uint8Array(9));
    tree.flush(file.sink());
    expect(file.written.size).toBe(levelsOf(layout, file.store(), root));
  });

  it('keeps the greatest value of a sum in its inner pages', () => {
    const random = new SeededRandom(2);
    const file = new PageFile();
    const tree: RecordTree = new PersistentTree(spaceLayout, file.store(), null);
    const lengths = new Map<number, number>();
    const encoded = (length: number): Uint8Array => {
      const writer = new ByteWriter(9);
      writer.varint(length);
      return writer.finish();
    };
    for (let round = 0; round < 4000; round++) {
      const number = random.below(1500);
      if (random.below(3) === 0) {
        removeRecord(tree, numberKey(number));
        lengths.delete(number);
      } else {
        const length = random.below(100_000);
        putRecord(tree, numberKey(number), encoded(length));
        lengths.set(number, length);
      }
      if (round % 500 === 0) tree.flush(file.sink());
      const top = tree.topNode();
      if (top !== null && 'sums' in top) expect(Math.max(...top.sums)).toBe(Math.max(...lengths.values()));
    }
  });
});
