import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, signedBytes, varintBytes } from '../../src/format/cursor.ts';
import { counts } from '../support/arbitraries.ts';
import { decodeHostile } from '../support/hostile.ts';

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(1);
  write(writer);
  return writer.finish();
}

const varint = (...bytes: number[]) => decodeHostile(() => new ByteReader(Uint8Array.from(bytes), 'test').varint());

describe('varint', () => {
  it('comes back, in as many bytes as announced', () => {
    fc.assert(
      fc.property(counts(), (value) => {
        const bytes = written((writer) => writer.varint(value));
        expect(bytes.length).toBe(varintBytes(value));
        const reader = new ByteReader(bytes, 'test');
        expect(reader.varint()).toBe(value);
        reader.end();
      }),
    );
  });

  it.each([
    [0, [0]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [2 ** 53 - 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])('%d is stored as LEB128', (value, bytes) => {
    expect([...written((writer) => writer.varint(value))]).toEqual(bytes);
    expect(varint(...bytes)).toEqual({ value });
  });

  it('has one form only: needless zeros are refused', () => {
    for (let zeros = 1; zeros < 10; zeros++) {
      expect(varint(...new Array<number>(zeros).fill(0x80), 0)).toEqual({ code: 'corrupt' });
      expect(varint(0xff, ...new Array<number>(zeros).fill(0x80), 0)).toEqual({ code: 'corrupt' });
    }
  });

  it('is refused above 2^53 - 1, however long', () => {
    expect(varint(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10)).toEqual({ code: 'corrupt' });
    expect(varint(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)).toEqual({ code: 'corrupt' });
    for (let length = 8; length < 2000; length += 7) {
      expect(varint(...new Array<number>(length).fill(0xff), 0x01)).toEqual({ code: 'corrupt' });
    }
  });

  it('is refused where it is cut off', () => {
    for (let length = 0; length < 9; length++) {
      expect(varint(...new Array<number>(length).fill(0xff))).toEqual({ code: 'corrupt' });
    }
  });

  it('of random bytes is a number that is written the same way, or corrupt', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const reader = new ByteReader(bytes, 'test');
        const outcome = decodeHostile(() => reader.varint());
        if (!('value' in outcome)) return;
        expect(outcome.value).toSatisfy(Number.isSafeInteger);
        expect(written((writer) => writer.varint(outcome.value))).toEqual(bytes.slice(0, reader.position));
      }),
    );
  });
});

describe('signed number', () => {
  it('comes back, in as many bytes as announced', () => {
    const values = fc
      .tuple(counts(2 ** 52 - 1), fc.boolean())
      .map(([value, negative]) => (negative ? 0 - value : value));
    fc.assert(
      fc.property(values, (value) => {
        const bytes = written((writer) => writer.signed(value));
        expect(bytes.length).toBe(signedBytes(value));
        expect(new ByteReader(bytes, 'test').signed()).toBe(value);
      }),
    );
  });

  it('takes one byte from -64 to 63', () => {
    for (let value = -64; value < 64; value++) expect(signedBytes(value)).toBe(1);
    expect([signedBytes(64), signedBytes(-65)]).toEqual([2, 2]);
  });
});

describe('ByteReader', () => {
  it('reads back a sequence of everything', () => {
    const part = fc.oneof(
      fc.record({ kind: fc.constant('byte' as const), value: fc.nat({ max: 255 }) }),
      fc.record({ kind: fc.constant('varint' as const), value: counts() }),
      fc.record({ kind: fc.constant('uint32' as const), value: fc.nat({ max: 2 ** 32 - 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(part), fc.uint8Array(), (parts, tail) => {
        const bytes = written((writer) => {
          for (const { kind, value } of parts) writer[kind](value);
          writer.raw(tail);
        });
        const reader = new ByteReader(bytes, 'test');
        for (const { kind, value } of parts) expect(reader[kind]()).toBe(value);
        expect(reader.take(tail.length)).toEqual(tail);
        reader.end();
      }),
    );
  });

  it('says what it reads when the bytes end early, and when they do not end', () => {
    expect(() => new ByteReader(new Uint8Array(3), 'my page').uint32()).toThrow('my page: ends early');
    expect(() => new ByteReader(new Uint8Array(3), 'my page').take(4)).toThrow('my page: ends early');
    expect(() => new ByteReader(new Uint8Array(3), 'my page').take(2 ** 32)).toThrow('my page: ends early');
    expect(() => new ByteReader(new Uint8Array(0), 'my page').byte()).toThrow('my page: ends early');
    expect(() => new ByteReader(new Uint8Array(3), 'my page').end()).toThrow('my page: has bytes beyond its end');
  });
});
