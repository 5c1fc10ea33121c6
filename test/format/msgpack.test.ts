import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Document, decodeDocument, encodeDocument } from '../../src/format/msgpack.ts';
import { counts, texts } from '../support/arbitraries.ts';
import { attack, decodeHostile } from '../support/hostile.ts';

const decode = (bytes: Uint8Array): Document => decodeDocument(bytes, 'test');
const outcome = (...bytes: number[]) => decodeHostile(() => decode(Uint8Array.from(bytes)));
const corrupt = { code: 'corrupt' };

const scalars = fc.oneof(fc.constant(null), fc.boolean(), counts(), texts, fc.uint8Array());
const keys = texts.filter((key) => key !== '__proto__');
const documents: fc.Arbitrary<Document> = fc.dictionary(
  keys,
  fc.oneof(scalars, fc.array(scalars, { maxLength: 20 }), fc.dictionary(keys, scalars, { maxKeys: 5 })),
  { maxKeys: 20 },
);

/** The bytes of a map with one key 'a', whose value follows. */
const MAP_A = [0x81, 0xa1, 0x61];

describe('document', () => {
  it('comes back', () => {
    fc.assert(
      fc.property(documents, (document) => {
        expect(decode(encodeDocument(document))).toEqual(document);
      }),
    );
  });

  it.each([0, 127, 128, 2 ** 32 - 1, 2 ** 32, 2 ** 40, 2 ** 53 - 1])('keeps the number %d exactly', (value) => {
    expect(decode(encodeDocument({ value, list: [value] }))).toEqual({ value, list: [value] });
  });

  it('is encoded the same way every time', () => {
    const document = { b: 1, a: [Uint8Array.of(1, 2), 'text', null], c: { x: 2 ** 33 } };
    expect(encodeDocument(document)).toEqual(encodeDocument(structuredClone(document)));
  });

  it('holds bins of its own, no views of what was decoded', () => {
    const bytes = encodeDocument({ bin: Uint8Array.of(1, 2, 3) });
    const { bin } = decode(bytes);
    bytes.fill(0);
    expect(bin).toEqual(Uint8Array.of(1, 2, 3));
    expect(Object.getPrototypeOf(bin)).toBe(Uint8Array.prototype);
  });

  it('has no prototype: names of Object are plain keys', () => {
    const document = decode(encodeDocument({ constructor: 1, toString: 2 }));
    expect(Object.getPrototypeOf(document)).toBe(null);
    expect(document['hasOwnProperty']).toBe(undefined);
    expect(document['constructor']).toBe(1);
  });
});

describe('hostile document', () => {
  it('changed anywhere is refused, or a document', () => {
    const sample = encodeDocument({
      text: 'some text',
      bin: Uint8Array.of(1, 2, 3),
      numbers: [0, 200, 70_000, 2 ** 40],
      nested: { yes: true, no: null },
    });
    attack(sample, decode, encodeDocument);
  });

  it('of random bytes is refused, or a document', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeHostile(() => decode(bytes))));
  });

  it('is refused when it is no map', () => {
    for (const bytes of [[], [0xc0], [0x01], [0x90], [0xa1, 0x61], [0xc4, 0]])
      expect(outcome(...bytes)).toEqual(corrupt);
  });

  it('is refused with bytes behind its end', () => {
    expect(outcome(0x80)).toEqual({ value: {} });
    expect(outcome(0x80, 0x80)).toEqual(corrupt);
  });

  it.each([
    ['fixext 1', [0xd4, 0x01, 0]],
    ['record definition (fixext 1, type 0x72)', [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]],
    ['timestamp', [0xd6, 0xff, 0, 0, 0, 0]],
    ['fixext 16', [0xd8, 0x01, ...new Uint8Array(16)]],
    ['ext 8', [0xc7, 1, 1, 0]],
    ['ext 16', [0xc8, 0, 1, 1, 0]],
    ['ext 32', [0xc9, 0, 0, 0, 1, 1, 0]],
    ['float 32', [0xca, 0, 0, 0, 0]],
    ['float 64', [0xcb, 0, 0, 0, 0, 0, 0, 0, 0]],
    ['signed integers', [0xd0, 1]],
    ['undefined', [0xc1]],
    ['array 32', [0xdd, 0, 0, 0, 0]],
    ['map 32', [0xdf, 0, 0, 0, 0]],
  ])('is refused with %s', (_name, bytes) => {
    expect(outcome(...MAP_A, ...bytes)).toEqual(corrupt);
  });

  it.each([
    ['uint 64', [0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 0]],
    ['uint 64', [0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['int 64', [0xd3, 0x00, 0x20, 0, 0, 0, 0, 0, 0]],
    ['int 64 below zero', [0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])('is refused with numbers above 2^53 - 1 (%s)', (_name, bytes) => {
    expect(outcome(...MAP_A, ...bytes)).toEqual(corrupt);
  });

  it.each([
    ['text', [0xdb, 0xff, 0xff, 0xff, 0xff]],
    ['bin', [0xc6, 0xff, 0xff, 0xff, 0xff]],
    ['array', [0xdc, 0xff, 0xff]],
    ['map', [0xde, 0xff, 0xff]],
  ])('is refused when it claims a long %s', (_name, bytes) => {
    expect(outcome(...MAP_A, ...bytes)).toEqual(corrupt);
    expect(outcome(...MAP_A, ...bytes, ...new Uint8Array(1000))).toEqual(corrupt);
  });

  it('is refused with repeated keys, __proto__, and keys that are no text', () => {
    expect(outcome(0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2)).toEqual(corrupt);
    expect(outcome(0x82, 0xa1, 0x61, 1, 0xd9, 1, 0x61, 2)).toEqual(corrupt);
    expect(outcome(0x81, 0xa9, ...Buffer.from('__proto__'), 0x80)).toEqual(corrupt);
    expect(outcome(...MAP_A, 0x81, 0xa9, ...Buffer.from('__proto__'), 0x80)).toEqual(corrupt);
    for (const key of [0x01, 0xc0, 0xc2, 0x90, 0x80]) expect(outcome(0x81, key, 1)).toEqual(corrupt);
    expect(({} as Record<string, unknown>)['a']).toBe(undefined);
  });

  it('is refused with text that is not UTF-8', () => {
    expect(outcome(...MAP_A, 0xa1, 0xff)).toEqual(corrupt);
    expect(outcome(0x81, 0xa2, 0xc0, 0x80, 1)).toEqual(corrupt);
  });

  it('may be nested a little and no more, whatever is nested', () => {
    for (const wrapper of [[0x91], MAP_A]) {
      const nested = (depth: number): number[] => [...MAP_A, ...Array.from({ length: depth }, () => wrapper).flat(), 0];
      expect(outcome(...nested(3))).toHaveProperty('value');
      expect(outcome(...nested(10))).toEqual(corrupt);
      const deep = Uint8Array.from(nested(100_000));
      expect(decodeHostile(() => decode(deep))).toEqual(corrupt);
    }
  });

  it('takes other msgpack forms of the same value for the same', () => {
    const plain = { value: { a: 5 } };
    for (const bytes of [[5], [0xcc, 5], [0xcd, 0, 5], [0xce, 0, 0, 0, 5], [0xcf, 0, 0, 0, 0, 0, 0, 0, 5]]) {
      expect(outcome(...MAP_A, ...bytes)).toEqual(plain);
    }
    expect(outcome(0xde, 0, 1, 0xd9, 1, 0x61, 5)).toEqual(plain);
  });
});
