import fc from 'fast-check';
import { expect } from 'vitest';
import { EXTENT_KIND } from '../../src/format/extent-page.ts';
import type { ExtentMap, MapChange } from '../../src/map/extent-map.ts';

/** What a block holds: a log block, nothing, or what was lost. */
export type Meaning = number | undefined | 'lost';

/** Blocks of the disks that maps are compared on. */
export const BLOCKS = 1500;

export type MapStep =
  | { readonly kind: 'set'; readonly start: number; readonly length: number; readonly log: number }
  | { readonly kind: 'clear' | 'lose'; readonly start: number; readonly length: number }
  | { readonly kind: 'set-all'; readonly changes: readonly MapChange[] }
  | { readonly kind: 'flush'; readonly reload: boolean };

const positions = fc.nat({ max: BLOCKS - 1 });
const lengths = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 3 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 200 }) },
  { weight: 1, arbitrary: fc.constant(BLOCKS) },
);
// Some logs are the guest block plus a little, so that neighbours often join.
const logs = fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 2 ** 40 }));

/** Ascending and apart, or touching. */
const manyChanges = fc
  .array(
    fc.tuple(
      fc.oneof(fc.constant(0), fc.nat({ max: 40 }), fc.nat({ max: 400 })),
      fc.integer({ min: 1, max: 5 }),
      fc.option(logs),
    ),
    {
      minLength: 1,
      maxLength: 60,
    },
  )
  .map((list) => {
    const changes: MapChange[] = [];
    let start = 0;
    for (const [gap, length, log] of list) {
      start += gap;
      if (start + length > BLOCKS) break;
      const at = log !== null && log < 6 ? start + log * BLOCKS : (log ?? undefined);
      changes.push({ start, length, log: at });
      start += length;
    }
    return changes;
  });

export const mapSteps: fc.Arbitrary<MapStep> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc
      .tuple(positions, lengths, logs)
      .map(
        ([start, length, log]): MapStep => ({ kind: 'set', start, length, log: log < 6 ? start + log * BLOCKS : log }),
      ),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom<'clear' | 'lose'>('clear', 'clear', 'lose'),
      start: positions,
      length: lengths,
    }),
  },
  { weight: 2, arbitrary: manyChanges.map((changes): MapStep => ({ kind: 'set-all', changes })) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const), reload: fc.boolean() }) },
);

/** Takes a step on the map and on the array. */
export function change(map: ExtentMap, model: Meaning[], step: MapStep): void {
  if (step.kind === 'flush') return;
  if (step.kind === 'set-all') {
    changeAll(map, model, step.changes);
    return;
  }
  const end = Math.min(BLOCKS, step.start + step.length);
  if (step.kind === 'set') map.set(step.start, end - step.start, step.log);
  else if (step.kind === 'clear') map.clear(step.start, end);
  else map.setLost(step.start, end);
  for (let block = step.start; block < end; block++) {
    model[block] = step.kind === 'set' ? step.log + block - step.start : step.kind === 'clear' ? undefined : 'lost';
  }
}

function changeAll(map: ExtentMap, model: Meaning[], changes: readonly MapChange[]): void {
  const covered: Meaning[] = new Array(BLOCKS).fill(undefined);
  map.setAll(changes, ({ start, length, log, kind }) => {
    for (let index = 0; index < length; index++)
      covered[start + index] = kind === EXTENT_KIND.lost ? 'lost' : log + index;
  });
  const before: Meaning[] = new Array(BLOCKS).fill(undefined);
  for (const { start, length, log } of changes)
    for (let index = 0; index < length; index++) {
      before[start + index] = model[start + index];
      model[start + index] = log === undefined ? undefined : log + index;
    }
  // What it says that stood there is what stood there.
  expect(covered).toEqual(before);
}

/** What a map says of each of the first `count` blocks. */
export function meanings(map: ExtentMap, count: number): Meaning[] {
  const result: Meaning[] = new Array(count).fill(undefined);
  for (const extent of map.extents(0, Number.MAX_SAFE_INTEGER)) {
    for (let index = 0; index < extent.length; index++)
      result[extent.start + index] = extent.kind === EXTENT_KIND.lost ? 'lost' : extent.log + index;
  }
  return result;
}
