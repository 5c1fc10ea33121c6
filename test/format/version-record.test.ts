import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeDocument, encodeDocument } from '../../src/format/msgpack.ts';
import {
  decodeVersion,
  encodeVersion,
  isRoomy,
  MAX_AMENDED_BYTES,
  MAX_UNKNOWN_BYTES,
  type VersionRecord,
} from '../../src/format/version-record.ts';
import { counts, foreignFields, roots, texts } from '../support/arbitraries.ts';
import { attack, decodeHostile } from '../support/hostile.ts';

const NUMBER = 2 ** 50;

const records: fc.Arbitrary<VersionRecord> = fc
  .record({
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    parent: fc.option(counts(NUMBER - 1)),
    sizeBytes: counts(),
    timeSeconds: counts(),
    message: texts,
    map: roots,
  })
  .chain((record) =>
    fc
      .record({ amended: texts, locked: fc.constant(true as const) }, { requiredKeys: [] })
      .map((optional) => ({ ...record, ...optional })),
  );

const sample: VersionRecord = {
  id: new Uint8Array(16).fill(3),
  parent: 1,
  sizeBytes: 2 ** 42,
  timeSeconds: 1_700_000_000,
  message: 'first',
  map: { place: 8192, lengthBytes: 300, checksum: 5 },
};

describe('version record', () => {
  it('comes back', () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(decodeVersion(encodeVersion(record), NUMBER)).toEqual(record);
      }),
    );
  });

  it('keeps fields that it does not know as they are', () => {
    fc.assert(
      fc.property(records, foreignFields, (record, fields) => {
        const document = { ...decodeDocument(encodeVersion(record), 'test'), ...fields };
        const again = encodeVersion({ ...decodeVersion(encodeDocument(document), NUMBER), parent: null });
        const expected = encodeDocument({ ...document, p: null });
        expect(decodeDocument(again, 'test')).toEqual(decodeDocument(expected, 'test'));
        expect(again.length).toBe(expected.length);
      }),
    );
  });

  it('has at most 16 KiB of them', () => {
    const withBytes = (count: number) => encodeVersion({ ...sample, unknown: { x: new Uint8Array(count) } });
    expect(decodeVersion(withBytes(MAX_UNKNOWN_BYTES - 6), 2).unknown).toHaveProperty('x');
    expect(decodeHostile(() => decodeVersion(withBytes(MAX_UNKNOWN_BYTES), 2))).toEqual({ code: 'corrupt' });
  });

  it('has no more for those that are optional, so that programs that do not know them can read it', () => {
    const withMessage = (count: number) =>
      encodeVersion({ ...sample, locked: true, amended: 'x'.repeat(count), unknown: { x: new Uint8Array(1000) } });
    expect(decodeVersion(withMessage(MAX_AMENDED_BYTES - 30), 2).locked).toBe(true);
    expect(decodeHostile(() => decodeVersion(withMessage(MAX_AMENDED_BYTES + 30), 2))).toEqual({ code: 'corrupt' });
    expect(isRoomy({ ...sample, amended: 'x'.repeat(MAX_AMENDED_BYTES), locked: true })).toBe(true);
  });

  it('keeps them in fields of these names', () => {
    const document = decodeDocument(encodeVersion({ ...sample, amended: 'later', locked: true }), 'test');
    expect(document).toMatchObject({ m: 'first', a: 'later', l: true });
    expect(Object.keys(decodeDocument(encodeVersion(sample), 'test')).sort()).toEqual([...'imprst']);
  });

  it('is small: a hundred thousand of them fit in 10 MB', () => {
    expect(encodeVersion(sample).length).toBeLessThan(100);
  });

  it('changed anywhere is refused, or another record', () => {
    attack(encodeVersion(sample), (bytes) => decodeVersion(bytes, NUMBER), encodeVersion);
  });

  it.each([
    [{ i: new Uint8Array(15) }],
    [{ i: 'id' }],
    [{ p: 'x' }],
    [{ p: -1 }],
    [{ s: null }],
    [{ t: 'now' }],
    [{ m: null }],
    [{ m: Uint8Array.of(1) }],
    [{ r: 1 }],
    [{ r: [1, 2, 3, 4] }],
    [{ a: null }],
    [{ a: 7 }],
    [{ l: false }],
    [{ l: null }],
    [{ l: 1 }],
  ])('is corrupt with %j', (change) => {
    const bytes = encodeDocument({ ...decodeDocument(encodeVersion(sample), 'test'), ...change });
    expect(decodeHostile(() => decodeVersion(bytes, 2))).toEqual({ code: 'corrupt' });
  });

  it('has a message of at most 32 KiB', () => {
    const withMessage = (message: string) =>
      decodeHostile(() => decodeVersion(encodeVersion({ ...sample, message }), 2));
    expect(withMessage('ü'.repeat(16 * 1024))).toHaveProperty('value');
    expect(withMessage('ü'.repeat(16 * 1024 + 1))).toEqual({ code: 'corrupt' });
  });

  it('has a parent with a lower number, so that no history goes in circles', () => {
    expect(decodeHostile(() => decodeVersion(encodeVersion(sample), 2))).toHaveProperty('value');
    expect(decodeHostile(() => decodeVersion(encodeVersion(sample), 1))).toEqual({ code: 'corrupt' });
    expect(decodeHostile(() => decodeVersion(encodeVersion({ ...sample, parent: 7 }), 2))).toEqual({ code: 'corrupt' });
  });

  it('names the version it is about', () => {
    expect(() => decodeVersion(encodeDocument({}), 17)).toThrow(/^version 17: /);
  });
});
