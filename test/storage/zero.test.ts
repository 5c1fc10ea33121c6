import { describe, expect, it } from 'vitest';
import { isZero, zeroBytes } from '../../src/storage/zero.ts';

describe('isZero', () => {
  const lengths = [0, 1, 2, 3, 511, 4096, 65_535, 65_536, 65_537, 131_072, 1_048_577];

  it.each(lengths)('is true for %i zeros', (length) => {
    expect(isZero(new Uint8Array(length))).toBe(true);
  });

  it.each(lengths.filter((length) => length > 0))('finds one byte in %i, wherever it is', (length) => {
    for (const at of new Set([0, 1, length >>> 2, length >>> 1, length - 2, length - 1, 65_535, 65_536])) {
      if (at < 0 || at >= length) continue;
      const bytes = new Uint8Array(length);
      bytes[at] = 1;
      expect(isZero(bytes), `byte ${at}`).toBe(false);
    }
  });

  it('looks only at the window of a view', () => {
    const whole = new Uint8Array(100).fill(1);
    whole.fill(0, 10, 20);
    expect(isZero(whole.subarray(10, 20))).toBe(true);
    expect(isZero(whole.subarray(10, 21))).toBe(false);
  });
});

describe('zeroBytes', () => {
  it('gives at most 64 KiB', () => {
    expect(zeroBytes(5)).toHaveLength(5);
    expect(zeroBytes(1_000_000)).toHaveLength(65_536);
    expect(isZero(zeroBytes(65_536))).toBe(true);
  });
});
