import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter } from '../../src/format/cursor.ts';
import { blockKeys } from '../../src/format/extent-page.ts';
import {
  type InnerColumns,
  innerEntryBytes,
  type KeyCodec,
  pageHeadBytes,
  readInner,
  readPageHead,
  rootFromValue,
  rootToValue,
  writeInner,
  writePageHead,
} from '../../src/format/page.ts';
import { stringKeys } from '../../src/format/record-page.ts';
import { counts, pageRefs, roots } from '../support/arbitraries.ts';
import { attack, decodeHostile } from '../support/hostile.ts';

const heads = fc.record({
  kind: fc.nat({ max: 255 }),
  level: fc.nat({ max: 53 }),
  birth: counts(),
  count: fc.integer({ min: 1, max: 300 }),
});

describe('page head', () => {
  it('comes back, in as many bytes as announced', () => {
    fc.assert(
      fc.property(heads, (head) => {
        const writer = new ByteWriter();
        writePageHead(writer, head);
        const bytes = writer.finish();
        expect(bytes.length).toBe(pageHeadBytes(head.birth, head.count));
        expect(readPageHead(new ByteReader(Uint8Array.from([...bytes, ...new Uint8Array(300)]), 'test'))).toEqual(head);
      }),
    );
  });

  it('may not claim more entries than the page has bytes, nor none, nor too many levels', () => {
    const read = (...bytes: number[]) =>
      decodeHostile(() => readPageHead(new ByteReader(Uint8Array.from(bytes), 'test')));
    expect(read(0x45, 0, 1, 2, 0, 0)).toEqual({ value: { kind: 0x45, level: 0, birth: 1, count: 2 } });
    expect(read(0x45, 0, 1, 3, 0, 0)).toEqual({ code: 'corrupt' });
    expect(read(0x45, 0, 1, 0, 0, 0)).toEqual({ code: 'corrupt' });
    expect(read(0x45, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0)).toEqual({ code: 'corrupt' });
    expect(read(0x45, 54, 1, 1, 0)).toEqual({ code: 'corrupt' });
    expect(read(0x45, 255, 1, 1, 0)).toEqual({ code: 'corrupt' });
  });
});

const byteText = fc.uint8Array({ maxLength: 40 }).map((bytes) => String.fromCharCode(...bytes));

function columns<K extends string | number>(
  keys: fc.Arbitrary<K>,
  options: { readonly sums: boolean },
): fc.Arbitrary<InnerColumns<K>> {
  return fc.uniqueArray(keys, { minLength: 1, maxLength: 40 }).chain((list) => {
    const size = { minLength: list.length, maxLength: list.length };
    return fc.record({
      keys: fc.constant([...list].sort((a, b) => (a < b ? -1 : 1))),
      refs: fc.array(pageRefs, size),
      sums: options.sums ? fc.array(counts(), size) : fc.constant([]),
    });
  });
}

function encode<K>(codec: KeyCodec<K>, inner: InnerColumns<K>): Uint8Array {
  const writer = new ByteWriter(1);
  writeInner(writer, codec, inner);
  return writer.finish();
}

function roundTrip<K extends string | number>(
  codec: KeyCodec<K>,
  keys: fc.Arbitrary<K>,
  options: { readonly sums: boolean },
): void {
  fc.assert(
    fc.property(columns(keys, options), (inner) => {
      const bytes = encode(codec, inner);
      expect(readInner(new ByteReader(bytes, 'test'), codec, inner.keys.length, options)).toEqual(inner);
      let expected = 0;
      const sizes = inner.refs.map((ref, index) => {
        const size = innerEntryBytes(
          codec,
          inner.keys[index] as K,
          inner.keys[index - 1],
          ref,
          expected,
          inner.sums[index],
        );
        expected = ref.place + ref.lengthBytes;
        return size;
      });
      expect(sizes.reduce((total, size) => total + size, 0)).toBe(bytes.length);
    }),
  );
}

describe('inner page', () => {
  it('comes back with block keys', () => roundTrip(blockKeys, counts(2 ** 48), { sums: false }));
  it('comes back with byte-string keys', () => roundTrip(stringKeys, byteText, { sums: false }));
  it('comes back with sums', () => roundTrip(stringKeys, byteText, { sums: true }));

  it('changed anywhere is refused, or other columns', () => {
    const refs = [
      { place: 8192, lengthBytes: 500, checksum: 0x12345678 },
      { place: 2 ** 40, lengthBytes: 1, checksum: 0 },
      { place: 8692, lengthBytes: 65_536, checksum: 2 ** 32 - 1 },
    ];
    const blocks = { keys: [0, 1, 2 ** 40], refs, sums: [] };
    attack(
      encode(blockKeys, blocks),
      (bytes) => readInner(new ByteReader(bytes, 'test'), blockKeys, 3, { sums: false }),
      (inner) => encode(blockKeys, inner),
    );
    const records = { keys: ['', 'abc', 'abd'], refs, sums: [1, 300, 2 ** 50] };
    attack(
      encode(stringKeys, records),
      (bytes) => readInner(new ByteReader(bytes, 'test'), stringKeys, 3, { sums: true }),
      (inner) => encode(stringKeys, inner),
    );
  });

  it('may not hold keys that do not ascend', () => {
    const ref = { place: 8192, lengthBytes: 500, checksum: 1 };
    for (const keys of [
      ['b', 'a'],
      ['a', 'a'],
      ['ab', 'a'],
    ]) {
      const bytes = encode(stringKeys, { keys, refs: [ref, ref], sums: [] });
      expect(decodeHostile(() => readInner(new ByteReader(bytes, 'test'), stringKeys, 2, { sums: false }))).toEqual({
        code: 'corrupt',
      });
    }
    const bytes = encode(blockKeys, { keys: [5, 5], refs: [ref, ref], sums: [] });
    expect(decodeHostile(() => readInner(new ByteReader(bytes, 'test'), blockKeys, 2, { sums: false }))).toEqual({
      code: 'corrupt',
    });
  });
});

describe('tree root', () => {
  it('comes back', () => {
    fc.assert(
      fc.property(roots, (root) => {
        expect(rootFromValue(rootToValue(root), 'test')).toEqual(root);
      }),
    );
  });

  it.each([
    [undefined],
    [''],
    [5],
    [[]],
    [[1, 2]],
    [[1, 2, 3, 4]],
    [[9000, 0, 3]],
    [[9000, 65_537, 3]],
    [[-1, 5, 3]],
    [[8191, 5, 3]],
    [[9000.5, 5, 3]],
    [[9000, 5, -1]],
    [[9000, 5, 2 ** 32]],
    [['9000', 5, 3]],
    [{}],
    [true],
    [new Uint8Array(0)],
  ])('is never %j', (value) => {
    expect(decodeHostile(() => rootFromValue(value, 'test'))).toEqual({ code: 'corrupt' });
  });
});
