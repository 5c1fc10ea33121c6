import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compress as compressInto, decompress } from '../../src/log/codec.ts';
import { zstdLibraries } from '../../src/log/zstd.ts';
import { decodeHostile } from '../support/hostile.ts';
import { noise, text } from '../support/image.ts';

const CHUNK = 65_536;
const outcome = (bytes: Uint8Array, rawBytes: number) =>
  decodeHostile(() => {
    const raw = new Uint8Array(rawBytes);
    decompress(bytes, raw, 8192, 'many');
    return raw;
  });
const compress = (raw: Uint8Array, level: number): Uint8Array => {
  const into = new Uint8Array(raw.length + 100);
  const length = compressInto(raw, into, level, 'many');
  if (length === undefined) throw new Error('a frame may be a few bytes longer than what it holds, not more');
  return into.slice(0, length);
};
const corrupt = { code: 'corrupt' };

/** A frame of blocks given as header and content; no size, no checksum, a window of 128 KiB. */
function frame(
  ...blocks: readonly { readonly type: number; readonly size: number; readonly content: readonly number[] }[]
): Uint8Array {
  const bytes = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
  blocks.forEach(({ type, size, content }, index) => {
    const header = (size << 3) | (type << 1) | (index === blocks.length - 1 ? 1 : 0);
    bytes.push(header & 0xff, (header >>> 8) & 0xff, (header >>> 16) & 0xff, ...content);
  });
  return Uint8Array.from(bytes);
}

const RAW = 0;
const RUN = 1;

describe('zstd', () => {
  it('gives back what was compressed, at every level and length', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.nat({ max: 100 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 5 }),
        (length, seed, isText, level) => {
          const raw = isText ? text(length, seed) : noise(length, seed);
          expect(outcome(compress(raw, level), length)).toEqual({ value: raw });
        },
      ),
      { numRuns: 60 },
    );
    for (const level of [1, 3, 9, 19, 22])
      expect(outcome(compress(text(CHUNK, 1), level), CHUNK)).toEqual({ value: text(CHUNK, 1) });
  });

  it('takes a view of a larger buffer', () => {
    const raw = text(1000, 1);
    const packed = compress(text(1200, 1).subarray(0, 1000), 1);
    const inside = new Uint8Array(packed.length + 20);
    inside.set(packed, 7);
    expect(outcome(inside.subarray(7, 7 + packed.length), 1000)).toEqual({ value: raw });
  });

  it('reads frames made by hand', () => {
    expect(outcome(frame({ type: RAW, size: 3, content: [1, 2, 3] }), 3)).toEqual({ value: Uint8Array.of(1, 2, 3) });
    expect(outcome(frame({ type: RUN, size: 1000, content: [7] }), 1000)).toEqual({
      value: new Uint8Array(1000).fill(7),
    });
  });
});

describe('libraries of zstd', () => {
  const libraries = zstdLibraries();

  it('there are two at least wherever this is developed', () => {
    expect(libraries.length).toBeGreaterThanOrEqual(2);
  });

  it('each reads what each writes, and tells when it does not fit', () => {
    for (const { name, zstd: writer } of libraries) {
      for (const raw of [text(CHUNK, 3), noise(CHUNK, 4), text(1, 1), new Uint8Array(5000)]) {
        const into = new Uint8Array(raw.length + 100);
        const length = writer.compress(raw, into, 2);
        if (length === undefined) throw new Error(`${name} needs more room than a frame may take`);
        const frame = into.slice(0, length);
        expect(writer.compress(raw, into.subarray(0, Math.max(1, length - 1)), 2)).toBeUndefined();
        for (const { zstd: reader } of libraries) {
          const back = new Uint8Array(raw.length);
          expect(reader.decompress(frame, back)).toBe(raw.length);
          expect(back).toEqual(raw);
        }
      }
    }
  });
});

describe('hostile frame', () => {
  it('of another length than announced is corrupt', () => {
    const packed = compress(text(5000, 1), 1);
    for (const rawBytes of [1, 4999, 5001, CHUNK]) expect(outcome(packed, rawBytes)).toEqual(corrupt);
    for (const rawBytes of [999, 1001, 1])
      expect(outcome(frame({ type: RUN, size: 1000, content: [7] }), rawBytes)).toEqual(corrupt);
  });

  it('that would grow to gigabytes is refused by its block headers', () => {
    const bomb = (count: number, size: number): Uint8Array =>
      frame(...new Array(count).fill({ type: RUN, size, content: [0] }));
    expect(outcome(bomb(1, 2 ** 21 - 1), CHUNK)).toEqual(corrupt);
    expect(outcome(bomb(10_000, 128 * 1024), CHUNK)).toEqual(corrupt);
    expect(outcome(bomb(5, 128 * 1024), CHUNK)).toEqual(corrupt);
    expect(outcome(bomb(100_000, 1), CHUNK)).toEqual(corrupt);
  });

  it('that claims sizes it does not have is corrupt', () => {
    const content = [0x01, 0x00, 0x00];
    // Single segment with a size of 8 bytes: 2^64 - 1, and of 4 bytes: 4 GiB - 1.
    expect(
      outcome(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xe0, ...new Array<number>(8).fill(0xff), ...content), CHUNK),
    ).toEqual(corrupt);
    expect(outcome(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0xff, ...content), CHUNK)).toEqual(
      corrupt,
    );
    // A window of 2^41 bytes.
    expect(outcome(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, ...content), CHUNK)).toEqual(corrupt);
    // A raw block that is longer than the frame.
    expect(outcome(frame({ type: RAW, size: 500, content: [1, 2] }), 500)).toEqual(corrupt);
  });

  it('with a dictionary, a reserved block, more frames, or something behind it is corrupt', () => {
    const good = frame({ type: RUN, size: 10, content: [1] });
    expect(outcome(good, 10)).toHaveProperty('value');
    for (const flag of [1, 2, 3, 8])
      expect(
        outcome(
          good.map((byte, index) => (index === 4 ? byte | flag : byte)),
          10,
        ),
      ).toEqual(corrupt);
    expect(outcome(frame({ type: 3, size: 10, content: [1] }), 10)).toEqual(corrupt);
    expect(outcome(Uint8Array.of(...good, ...good), 20)).toEqual(corrupt);
    expect(outcome(Uint8Array.of(...good, 0), 10)).toEqual(corrupt);
    const skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    expect(outcome(Uint8Array.of(...skippable, ...good), 10)).toEqual(corrupt);
  });

  it('that is cut off is corrupt, at every length', () => {
    const packed = compress(text(3000, 2), 3);
    for (let length = 0; length < packed.length; length++)
      expect(outcome(packed.subarray(0, length), 3000)).toEqual(corrupt);
  });

  it('with any bit changed is corrupt or as long as announced', () => {
    const packed = compress(text(700, 3), 3);
    for (let bit = 0; bit < packed.length * 8; bit++) {
      const changed = packed.slice();
      changed[bit >>> 3] = (changed[bit >>> 3] as number) ^ (1 << (bit & 7));
      const result = outcome(changed, 700);
      if ('value' in result) expect(result.value.length).toBe(700);
    }
  });

  it('of random bytes is corrupt', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(outcome(bytes, 4096)).toEqual(corrupt);
        const result = outcome(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, ...bytes), 4096);
        if ('value' in result) expect(result.value.length).toBe(4096);
      }),
      { numRuns: 300 },
    );
  });
});
