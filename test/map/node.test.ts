import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Extent, makeExtents } from '../../src/format/extent-page.ts';
import type { Records } from '../../src/format/record-page.ts';
import { extentLayout, recordLayout } from '../../src/map/layouts.ts';
import { type LeafNode, nodeBytes, spliceLeaf, type TreeLayout } from '../../src/map/node.ts';

/** A leaf that was never measured. */
function fresh<L>({ leaf }: LeafNode<L>): LeafNode<L> {
  return { level: 0, birth: Number.POSITIVE_INFINITY, leaf };
}

function expectMeasured<K, L>(layout: TreeLayout<K, L>, all: L, [from, to, more]: [number, number, number]): void {
  const count = layout.count(all);
  const [low, high] = [Math.min(from, to, count), Math.min(Math.max(from, to), count)];
  const inserted = layout.slice(all, low, Math.min(count, low + more));
  const spliced = spliceLeaf(layout, { level: 0, birth: 1, leaf: all }, { from: low, to: high, inserted });
  expect(nodeBytes(layout, spliced)).toBe(nodeBytes(layout, fresh(spliced)));
}

const cuts = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 60 }), fc.nat({ max: 9 }));

it('measures a leaf that was changed as if it were new: extents', () => {
  const steps = fc.array(
    fc.tuple(fc.nat({ max: 300 }), fc.integer({ min: 1, max: 70_000 }), fc.nat({ max: 2 ** 40 })),
    {
      maxLength: 60,
    },
  );
  fc.assert(
    fc.property(steps, cuts, (list, cut) => {
      let start = 0;
      const extents = list.map(([gap, length, log]): Extent => {
        start += gap + length;
        return { start: start - length, length, log, kind: 0 };
      });
      expectMeasured(extentLayout, makeExtents(extents), cut);
    }),
  );
});

it('measures a leaf that was changed as if it were new: records', () => {
  const entries = fc.uniqueArray(fc.tuple(fc.string({ maxLength: 9 }), fc.uint8Array({ maxLength: 200 })), {
    selector: ([key]) => key,
    maxLength: 60,
  });
  fc.assert(
    fc.property(entries, cuts, (list, cut) => {
      const sorted = [...list].sort(([a], [b]) => (a < b ? -1 : 1));
      const leaf: Records = { keys: sorted.map(([key]) => key), values: sorted.map(([, value]) => value) };
      expectMeasured(recordLayout('test'), leaf, cut);
    }),
  );
});
