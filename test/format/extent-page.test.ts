import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/format/cursor.ts';
import {
  EXTENT_KIND,
  type Extent,
  type ExtentKind,
  type Extents,
  extentBytes,
  extentCount,
  extentEnd,
  extentKind,
  extentLength,
  extentLog,
  extentStart,
  MAX_BLOCKS,
  MAX_EXTENT_BLOCKS,
  makeExtents,
  readExtents,
  sliceExtents,
  spliceExtents,
  writeExtents,
} from '../../src/format/extent-page.ts';
import { counts } from '../support/arbitraries.ts';
import { attack, decodeHostile } from '../support/hostile.ts';

const parts = fc.record({
  gap: counts(2 ** 40),
  length: counts(MAX_EXTENT_BLOCKS - 1).map((value) => value + 1),
  log: counts(2 ** 47),
  kind: fc.constantFrom<ExtentKind>(EXTENT_KIND.data, EXTENT_KIND.data, EXTENT_KIND.lost),
});

/** Extents in order and apart from each other, up to the end of the address space. */
const extentLists: fc.Arbitrary<Extent[]> = fc.array(parts, { maxLength: 30 }).map((list) => {
  let at = 0;
  return list.map(({ gap, length, log, kind }) => {
    const start = at + gap;
    at = start + length;
    return { start, length, log, kind };
  });
});

function list(extents: Extents): Extent[] {
  return Array.from({ length: extentCount(extents) }, (_, index) => ({
    start: extentStart(extents, index),
    length: extentLength(extents, index),
    log: extentLog(extents, index),
    kind: extentKind(extents, index) as ExtentKind,
  }));
}

function encode(extents: Extents): Uint8Array {
  const writer = new ByteWriter(1);
  writeExtents(writer, extents);
  return writer.finish();
}

function decode(bytes: Uint8Array, count: number): Extents {
  return readExtents(new ByteReader(bytes, 'test'), count);
}

/** An extent page of the given numbers. */
function page(...numbers: number[]): Uint8Array {
  const writer = new ByteWriter();
  for (const number of numbers) writer.varint(number);
  return writer.finish();
}

describe('extents in memory', () => {
  it('hold what was put in, with 48-bit blocks', () => {
    fc.assert(
      fc.property(extentLists, (extents) => {
        expect(list(makeExtents(extents))).toEqual(extents);
      }),
    );
    const last = { start: MAX_BLOCKS - 1, length: 1, log: MAX_BLOCKS - 1, kind: EXTENT_KIND.data };
    expect(list(makeExtents([last]))).toEqual([last]);
    expect(extentEnd(makeExtents([last]), 0)).toBe(MAX_BLOCKS);
  });

  it('are sliced and spliced as arrays are', () => {
    fc.assert(
      fc.property(extentLists, extentLists, fc.nat(), fc.nat(), (a, b, x, y) => {
        const from = Math.min(x, y) % (a.length + 1);
        const to = Math.max(from, y % (a.length + 1));
        expect(list(sliceExtents(makeExtents(a), from, to))).toEqual(a.slice(from, to));
        expect(list(spliceExtents(makeExtents(a), from, to, makeExtents(b)))).toEqual([
          ...a.slice(0, from),
          ...b,
          ...a.slice(to),
        ]);
      }),
    );
  });
});

describe('extent page', () => {
  it('comes back, in as many bytes as announced', () => {
    fc.assert(
      fc.property(extentLists, (extents) => {
        const made = makeExtents(extents);
        const bytes = encode(made);
        expect(list(decode(bytes, extents.length))).toEqual(extents);
        expect(extents.reduce((total, _, index) => total + extentBytes(made, index, 0), 0)).toBe(bytes.length);
        for (let first = 0; first < extents.length; first++)
          expect(extentBytes(made, first, first)).toBe(encode(sliceExtents(made, first, first + 1)).length);
      }),
    );
  });

  it('takes one byte for a block that follows the one before in the log', () => {
    const run = Array.from({ length: 20 }, (_, index) => ({
      start: 2 * index,
      length: 1,
      log: index,
      kind: EXTENT_KIND.data,
    }));
    expect(encode(makeExtents(run)).length).toBe(20);
  });

  it('changed anywhere is refused, or other extents', () => {
    const sample = makeExtents([
      { start: 3, length: 1, log: 2 ** 40, kind: EXTENT_KIND.data },
      { start: 4, length: 700, log: 0, kind: EXTENT_KIND.data },
      { start: 2 ** 33, length: 2, log: 0, kind: EXTENT_KIND.lost },
    ]);
    attack(encode(sample), (bytes) => decode(bytes, 3), encode);
  });

  it('of random bytes is refused, or extents in order inside the address space', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat({ max: 30 }), (bytes, count) => {
        const outcome = decodeHostile(() => decode(bytes, count));
        if (!('value' in outcome)) return;
        let end = 0;
        for (const extent of list(outcome.value)) {
          expect(extent.start).toBeGreaterThanOrEqual(end);
          end = extent.start + extent.length;
          expect(end).toBeLessThanOrEqual(MAX_BLOCKS);
          expect(extent.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['more extents than it has bytes', page(0, 0), 2 ** 32],
    ['no blocks', page(1, 0), 1],
    ['too many blocks', page(1, 2 ** 28 * 2), 1],
    ['an unknown kind', page(1, 2 + 1, 2), 1],
    ['a kind of 2^53 - 1', page(1, 2 + 1, 2 ** 53 - 1), 1],
    ['a guest block beyond the end', page(2 ** 48 * 4), 1],
    ['a log block beyond the end', page(2, 2 ** 49), 1],
    ['a log block before the beginning', page(2, 1), 1],
    ['bytes behind its end', page(0, 0), 1],
  ])('with %s is corrupt', (_name, bytes, count) => {
    expect(decodeHostile(() => decode(bytes, count))).toEqual({ code: 'corrupt' });
  });
});
