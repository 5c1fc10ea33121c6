import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/format/cursor.ts';
import {
  bytesToKey,
  keyToBytes,
  NUMBER_KEY_BYTES,
  numberInKey,
  numberKey,
  type Records,
  readRecords,
  recordBytes,
  writeRecords,
} from '../../src/format/record-page.ts';
import { counts } from '../support/arbitraries.ts';
import { attack, decodeHostile } from '../support/hostile.ts';

const keys = fc.uint8Array({ maxLength: 262 }).map(bytesToKey);
const recordLists: fc.Arbitrary<Records> = fc.uniqueArray(keys, { maxLength: 30 }).chain((list) =>
  fc.record({
    keys: fc.constant([...list].sort((a, b) => (a < b ? -1 : 1))),
    values: fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: list.length, maxLength: list.length }),
  }),
);

function encode(records: Records): Uint8Array {
  const writer = new ByteWriter(1);
  writeRecords(writer, records);
  return writer.finish();
}

function decode(bytes: Uint8Array, count: number): Records {
  return readRecords(new ByteReader(bytes, 'test'), count);
}

describe('record page', () => {
  it('comes back, in as many bytes as announced', () => {
    fc.assert(
      fc.property(recordLists, (records) => {
        const bytes = encode(records);
        expect(decode(bytes, records.keys.length)).toEqual(records);
        expect(records.keys.reduce((total, _, index) => total + recordBytes(records, index, 0), 0)).toBe(bytes.length);
      }),
    );
  });

  it('changed anywhere is refused, or other records', () => {
    const sample = {
      keys: ['', 'key', `key${'x'.repeat(30)}`, numberKey(2 ** 53 - 1)],
      values: [Uint8Array.of(1), new Uint8Array(0), new Uint8Array(20).fill(7), Uint8Array.of(2)],
    };
    sample.keys.sort();
    attack(encode(sample), (bytes) => decode(bytes, 4), encode);
  });

  it('of random bytes is refused, or records in order', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat({ max: 20 }), (bytes, count) => {
        const outcome = decodeHostile(() => decode(bytes, count));
        if ('value' in outcome) expect(outcome.value.keys).toEqual([...new Set(outcome.value.keys)].sort());
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['a key that shares more than there is', [1, 0, 0], 1],
    ['a key of 4 GiB', [0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3], 1],
    ['a key longer than keys may be', [0, 0x81, 0x04, ...new Uint8Array(600)], 1],
    ['a value of 4 GiB', [0, 1, 65, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], 1],
    ['a key twice', [0, 1, 65, 0, 1, 0, 0], 2],
    ['keys in the wrong order', [0, 1, 66, 0, 0, 1, 65, 0], 2],
    ['more records than there are', [0, 1, 65, 0], 2],
    ['bytes behind its end', [0, 1, 65, 0, 0], 1],
  ])('with %s is corrupt', (_name, bytes, count) => {
    expect(decodeHostile(() => decode(Uint8Array.from(bytes), count))).toEqual({ code: 'corrupt' });
  });
});

describe('number key', () => {
  it('comes back, also from the middle of a key', () => {
    fc.assert(
      fc.property(counts(), counts(), (a, b) => {
        const key = numberKey(a, b);
        expect(key.length).toBe(2 * NUMBER_KEY_BYTES);
        expect([numberInKey(key), numberInKey(key, NUMBER_KEY_BYTES)]).toEqual([a, b]);
        expect(bytesToKey(keyToBytes(key))).toBe(key);
      }),
    );
  });

  it('sorts as its number does', () => {
    fc.assert(
      fc.property(counts(), counts(), (a, b) => {
        expect(numberKey(a) < numberKey(b)).toBe(a < b);
      }),
    );
  });
});
