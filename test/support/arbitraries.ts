import fc from 'fast-check';
import { MAX_PAGE_BYTES, RECORDS_OFFSET } from '../../src/format/layout.ts';
import type { Document } from '../../src/format/msgpack.ts';
import type { PageRef, TreeRoot } from '../../src/format/page.ts';

/** Counts of every magnitude up to 2^53 - 1, or up to `max`. */
export function counts(max: number = Number.MAX_SAFE_INTEGER): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer({ min: 0, max: Math.min(max, 300) }),
    fc.integer({ min: 0, max: Math.min(max, 2 ** 20) }),
    fc.maxSafeNat().map((value) => (max === Number.MAX_SAFE_INTEGER ? value : value % (max + 1))),
    fc.constantFrom(127, 128, 2 ** 32 - 1, 2 ** 32, 2 ** 35, 2 ** 48, 2 ** 53 - 1).map((value) => Math.min(value, max)),
  );
}

export const checksums = fc.integer({ min: 0, max: 2 ** 32 - 1 });

export const pageRefs: fc.Arbitrary<PageRef> = fc.record({
  place: counts(2 ** 50).map((value) => value + RECORDS_OFFSET),
  lengthBytes: fc.integer({ min: 1, max: MAX_PAGE_BYTES }),
  checksum: checksums,
});

export const roots: fc.Arbitrary<TreeRoot> = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ minLength: 1, maxLength: 192 }),
  pageRefs,
);

/** Whole text, without lone surrogates. */
export const texts = fc.string({ unit: 'grapheme', maxLength: 60 });

/** Keys of fields that no version of the format has, some of which mean something in JavaScript. */
const foreignKeys = fc.oneof(
  texts.map((text) => `x-${text}`),
  fc.constantFrom('constructor', 'toJSON', 'hasOwnProperty', 'valueOf', 'length', '1', ''),
);

/** Fields of every type that documents have. */
export const foreignFields: fc.Arbitrary<Document> = fc.dictionary(
  foreignKeys,
  fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', maxDepth: 3 },
      fc.constantFrom(null, false, true),
      counts(),
      texts,
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(foreignKeys, tie('value'), { maxKeys: 3 }),
    ),
  })).value,
  { maxKeys: 3, noNullPrototype: true },
);
