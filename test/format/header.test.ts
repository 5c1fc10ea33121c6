import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeHeader,
  encodeHeader,
  type Header,
  MAX_FOREIGN_BYTES,
  MAX_HEADER_BYTES,
  MAX_RESERVE_RANGES,
  refuseUnwritable,
  TREE_NAMES,
} from '../../src/format/header.ts';
import {
  INLINE_ROOT_BYTES,
  MAX_CONTAINER_BYTES,
  MAX_GENERATION,
  RECORDS_OFFSET,
  SLOT_BYTES,
} from '../../src/format/layout.ts';
import { type Document, decodeDocument, encodeDocument } from '../../src/format/msgpack.ts';
import { encodeSlot, readSlot, readSlots } from '../../src/format/slot.ts';
import { counts, foreignFields, roots, texts } from '../support/arbitraries.ts';
import { attack, bitFlips, decodeHostile, truncations } from '../support/hostile.ts';

const names = fc.array(texts, { maxLength: 3 });
const places = counts(2 ** 50).map((value) => value + RECORDS_OFFSET);

const headers: fc.Arbitrary<Header> = fc.record({
  features: fc.record({ compatible: names, readOnlyCompatible: names, incompatible: fc.constant([]) }),
  imageId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  blockBytes: fc.integer({ min: 9, max: 16 }).map((bits) => 2 ** bits),
  compression: fc.oneof(
    fc.constant({ codec: 'none' as const }),
    fc.record({ codec: fc.constant('zstd' as const), level: fc.integer({ min: 0, max: 22 }) }),
  ),
  nextVersion: counts(),
  versionCount: counts(),
  unreclaimed: counts(),
  head: fc.record({ branch: fc.option(texts), version: fc.option(counts()) }),
  working: fc.record({ sizeBytes: counts(), map: roots, sharedGeneration: counts() }),
  log: fc.tuple(counts(2 ** 48), counts(2 ** 48), counts(), counts()).map(([a, b, dataBytes, deadBlocks]) => ({
    next: Math.max(a, b),
    youngMark: Math.min(a, b),
    dataBytes,
    deadBlocks,
  })),
  trees: fc.record({ versions: roots, children: roots, refs: roots, marks: roots, log: roots }),
  space: fc
    .tuple(roots, roots, roots, fc.array(places, { minLength: 1, maxLength: 9 }), counts(), counts())
    .map(([free, bySize, pending, list, freeBytes, pendingBytes]) => {
      const bounds = list.sort((a, b) => a - b);
      const end = bounds.at(-1) ?? RECORDS_OFFSET;
      const reserve = Array.from({ length: Math.floor(bounds.length / 2) }, (_, index) => ({
        start: bounds[2 * index] ?? end,
        end: bounds[2 * index + 1] ?? end,
      }));
      return { free, bySize, pending, reserve, end, freeBytes, pendingBytes };
    }),
});

const small: Header = {
  features: { compatible: [], readOnlyCompatible: [], incompatible: [] },
  imageId: new Uint8Array(16),
  blockBytes: 4096,
  compression: { codec: 'zstd', level: 2 },
  nextVersion: 3,
  versionCount: 1,
  unreclaimed: 0,
  head: { branch: 'main', version: 2 },
  working: { sizeBytes: 2 ** 33, map: Uint8Array.of(1, 2), sharedGeneration: 1 },
  log: { next: 5, youngMark: 4, dataBytes: 100, deadBlocks: 0 },
  trees: {
    versions: { place: 9000, lengthBytes: 400, checksum: 1 },
    children: null,
    refs: null,
    marks: null,
    log: null,
  },
  space: {
    free: null,
    bySize: null,
    pending: null,
    reserve: [{ start: 8192, end: 9000 }],
    end: 10_000,
    freeBytes: 0,
    pendingBytes: 0,
  },
};

const decode = (bytes: Uint8Array): Header => decodeHeader(bytes, 'test');

/** The small header with some fields of its document replaced. */
function altered(change: Document, inside?: string): Uint8Array {
  const document = decodeDocument(encodeHeader(small), 'test');
  if (inside === undefined) return encodeDocument({ ...document, ...change });
  return encodeDocument({ ...document, [inside]: { ...(document[inside] as Document), ...change } });
}

const codeOf = (bytes: Uint8Array) => decodeHostile(() => decode(bytes));

describe('header', () => {
  it('comes back', () => {
    fc.assert(
      fc.property(headers, (header) => {
        expect(decode(encodeHeader(header))).toEqual(header);
      }),
    );
  });

  it('keeps its size whatever the image holds, and leaves room in the slot', () => {
    expect(encodeHeader(small).length).toBeLessThan(1000);
  });

  it('of another format version is unsupported, whatever else it says', () => {
    expect(codeOf(altered({ format: 99, 'block-size': 'huge' }))).toEqual({ code: 'unsupported' });
    expect(codeOf(encodeDocument({ format: 99 }))).toEqual({ code: 'unsupported' });
  });

  it('says which feature it needs', () => {
    const bytes = encodeHeader({
      ...small,
      features: { compatible: ['a'], readOnlyCompatible: ['b'], incompatible: ['encryption'] },
    });
    expect(() => decode(bytes)).toThrow(/needs the feature 'encryption'/);
  });

  it('may have unknown features that do no harm, and those that forbid writing', () => {
    const features = { compatible: ['a', 'b'], readOnlyCompatible: ['later'], incompatible: [] };
    const header = decode(encodeHeader({ ...small, features }));
    expect(header.features).toEqual(features);
    expect(() => refuseUnwritable(header, 'disk')).toThrow(/^disk: writing it needs the feature 'later'$/);
    refuseUnwritable(small, 'disk');
    refuseUnwritable({ ...small, features: { ...features, readOnlyCompatible: [] } }, 'disk');
  });

  it('keeps fields that it does not know, in every map, as they are', () => {
    const PARTS = ['working', 'log', 'trees', 'space'] as const;
    const foreign = fc.record({
      top: foreignFields,
      working: foreignFields,
      log: foreignFields,
      trees: foreignFields,
      space: foreignFields,
    });
    fc.assert(
      fc.property(headers, foreign, (header, fields) => {
        const known = decodeDocument(encodeHeader(header), 'test');
        const document: Document = {
          ...known,
          ...fields.top,
          ...Object.fromEntries(PARTS.map((part) => [part, { ...(known[part] as Document), ...fields[part] }])),
        };
        const bytes = encodeDocument(document);
        const again = encodeHeader({ ...decode(bytes), nextVersion: 77 });
        const expected = encodeDocument({ ...document, 'next-version': 77 });
        expect(decodeDocument(again, 'test')).toEqual(decodeDocument(expected, 'test'));
        expect(again.length).toBe(expected.length);
      }),
    );
  });

  it('of the greatest length has room for foreign fields, and more of them forbid writing', () => {
    const root = new Uint8Array(INLINE_ROOT_BYTES).fill(1);
    const [most, place] = [Number.MAX_SAFE_INTEGER, MAX_CONTAINER_BYTES];
    const longest: Header = {
      ...small,
      compression: { codec: 'zstd', level: 22 },
      nextVersion: most,
      versionCount: most,
      unreclaimed: most,
      head: { branch: 'b'.repeat(255), version: most },
      working: { sizeBytes: most, map: root, sharedGeneration: most },
      log: { next: 2 ** 48, youngMark: 2 ** 48, dataBytes: most, deadBlocks: most },
      trees: { versions: root, children: root, refs: root, marks: root, log: root },
      space: {
        free: root,
        bySize: root,
        pending: root,
        reserve: Array.from({ length: MAX_RESERVE_RANGES }, () => ({ start: place, end: place })),
        end: place,
        freeBytes: most,
        pendingBytes: most,
      },
    };
    // A map of 16 fields and more has a longer head.
    const maps = 5 * 2;
    expect(encodeHeader(longest).length).toBeLessThanOrEqual(MAX_HEADER_BYTES - MAX_FOREIGN_BYTES - maps);
    const withBytes = (count: number): Header => ({ ...longest, unknown: { log: { x: new Uint8Array(count) } } });
    const full = withBytes(MAX_FOREIGN_BYTES - 6);
    refuseUnwritable(full, 'disk');
    expect(readSlots(encodeSlot(1, full), new Uint8Array(0), 'x').header).toEqual(full);
    expect(() => refuseUnwritable(withBytes(MAX_FOREIGN_BYTES), 'disk')).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringMatching(/there is room to keep 1024$/) }),
    );
    const named = { ...small, features: { ...small.features, compatible: ['n'.repeat(MAX_FOREIGN_BYTES)] } };
    expect(() => refuseUnwritable(named, 'disk')).toThrow(expect.objectContaining({ code: 'unsupported' }));
  });

  it.each([
    [{ id: new Uint8Array(15) }],
    [{ branch: '\u001b[2J' }],
    [{ compatible: ['a\nb'] }],
    [{ id: 'sixteen letters.' }],
    [{ 'block-size': 4095 }],
    [{ 'block-size': 256 }],
    [{ 'block-size': 2 ** 17 }],
    [{ 'block-size': 2 ** 40 }],
    [{ compression: 'lzma' }],
    [{ level: 23 }],
    [{ 'next-version': null }],
    [{ 'next-version': '1' }],
    [{ branch: 1 }],
    [{ head: 'main' }],
    [{ incompatible: 'x' }],
    [{ incompatible: [1] }],
    [{ working: null }],
    [{ working: [] }],
    [{ trees: Uint8Array.of(1) }],
    [{ space: {} }],
  ])('is corrupt with %j', (change) => {
    expect(codeOf(altered(change))).toEqual({ code: 'corrupt' });
  });

  it.each([
    [{ end: RECORDS_OFFSET - 1 }],
    [{ end: 2 ** 51 + 1 }],
    [{ reserve: [9001, 9000] }],
    [{ reserve: [9000, 10_001] }],
    [{ reserve: [0, 9000] }],
    [{ reserve: [RECORDS_OFFSET - 1, 9000] }],
    [{ reserve: [9000] }],
    [{ reserve: [9000, '9001'] }],
    [{ reserve: new Array(1000).fill(9000) }],
    [{ reserve: 9000 }],
    [{ free: [1, 2] }],
    [{ free: new Uint8Array(0) }],
    [{ pending: [9000, 0, 1] }],
    [{ pending: [9000, 65_537, 1] }],
    [{ pending: [9000, 400, 2 ** 32] }],
  ])('is corrupt with space %j', (change) => {
    expect(codeOf(altered(change, 'space'))).toEqual({ code: 'corrupt' });
  });

  it.each([[{ next: 2 ** 48 + 1 }], [{ 'young-mark': 6 }]])('is corrupt with log %j', (change) => {
    expect(codeOf(altered(change, 'log'))).toEqual({ code: 'corrupt' });
  });

  it.each([...TREE_NAMES])('is corrupt when the root of tree %s is malformed', (name) => {
    expect(codeOf(altered({ [name]: 'root' }, 'trees'))).toEqual({ code: 'corrupt' });
  });

  it('changed anywhere is refused, or a header', () => {
    attack(encodeHeader(small), decode, encodeHeader);
  });

  it('of random documents is refused', () => {
    fc.assert(
      fc.property(fc.dictionary(texts, counts()), (document) => {
        expect(codeOf(encodeDocument(document))).toEqual({ code: 'corrupt' });
      }),
    );
  });
});

describe('slot', () => {
  const generations = counts(MAX_GENERATION);

  it('comes back', () => {
    fc.assert(
      fc.property(generations, headers, (generation, header) => {
        const slot = encodeSlot(generation, header);
        expect(slot.length).toBe(SLOT_BYTES);
        expect(readSlot(slot)).toEqual({ generation, headerBytes: encodeHeader(header) });
        expect(readSlots(slot, slot, 'x')).toEqual({ generation, header, staleSlot: undefined });
      }),
    );
  });

  it('with any byte of its frame or header changed is not taken', () => {
    const slot = encodeSlot(7, small);
    const covered = 24 + encodeHeader(small).length;
    for (const bytes of bitFlips(slot.slice(0, covered))) {
      expect(readSlot(Uint8Array.from([...bytes, ...slot.subarray(covered)]))).toBe(undefined);
    }
  });

  it('that is cut off is not taken', () => {
    for (const bytes of truncations(encodeSlot(7, small))) expect(readSlot(bytes)).toBe(undefined);
  });

  it('that claims a header longer than itself, or an impossible generation, is not taken', () => {
    for (const length of [SLOT_BYTES - 23, SLOT_BYTES, 2 ** 32 - 1]) {
      const slot = encodeSlot(7, small);
      new DataView(slot.buffer).setUint32(16, length, true);
      expect(readSlot(slot)).toBe(undefined);
    }
    const slot = encodeSlot(7, small);
    new DataView(slot.buffer).setBigUint64(8, 2n ** 64n - 1n, true);
    expect(readSlot(slot)).toBe(undefined);
  });

  it('of random bytes is not taken', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: SLOT_BYTES }), (bytes) => {
        expect(readSlot(bytes)).toBe(undefined);
      }),
    );
  });

  it('refuses a header that does not fit', () => {
    const branch = 'x'.repeat(SLOT_BYTES);
    expect(() => encodeSlot(1, { ...small, head: { branch, version: null } })).toThrow(/does not fit/);
  });
});

describe('both slots', () => {
  const older = encodeSlot(7, { ...small, nextVersion: 7 });
  const newer = encodeSlot(8, { ...small, nextVersion: 8 });
  const bad = newer.map((byte, index) => (index === 100 ? byte ^ 1 : byte));
  const none = new Uint8Array(SLOT_BYTES);

  it.each([
    ['the newer one is first', newer, older, 8, 'b'],
    ['the newer one is second', older, newer, 8, 'a'],
    ['the first is damaged', bad, older, 7, 'a'],
    ['the second is damaged', older, bad, 7, 'b'],
    ['the first was never written', none, newer, 8, 'a'],
    ['the second is missing', newer, new Uint8Array(0), 8, 'b'],
  ])('the newest whole one counts when %s', (_name, a, b, generation, staleSlot) => {
    const slots = readSlots(a, b, 'x.vsi');
    expect(slots).toMatchObject({ generation, staleSlot });
    expect(slots.header.nextVersion).toBe(generation);
  });

  it('damaged are told apart from a file that is no container', () => {
    expect(() => readSlots(bad, bad, 'x.vsi')).toThrow('x.vsi: both headers are damaged');
    expect(() => readSlots(bad, none, 'x.vsi')).toThrow('x.vsi: both headers are damaged');
    expect(() => readSlots(none, none, 'x.vsi')).toThrow('x.vsi: is not an image of vsimg');
    expect(() => readSlots(none.subarray(0, 3), none.subarray(0, 0), 'x.vsi')).toThrow(
      'x.vsi: is not an image of vsimg',
    );
  });
});
