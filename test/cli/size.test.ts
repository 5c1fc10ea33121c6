import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatExactSize, formatSize, parseSize } from '../../src/cli/size.ts';
import { VsimgError } from '../../src/errors.ts';

describe('parseSize', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['512b', 512],
    ['4k', 4096],
    ['4K', 4096],
    ['4KiB', 4096],
    ['4kib', 4096],
    ['1.5k', 1536],
    ['1.5G', 1610612736],
    ['1GiB', 1073741824],
    ['0.5k', 512],
    ['1.000G', 1073741824],
    ['2T', 2 * 1024 ** 4],
    ['7P', 7 * 1024 ** 5],
    ['0x1000', 4096],
    ['0XfF', 255],
    ['0x1b', 27],
    ['0x1e', 30],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['0x1fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['7.9990234375P', 7.9990234375 * 1024 ** 5],
    ['007', 7],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text, 'SIZE')).toBe(bytes);
  });

  it.each([
    '',
    ' ',
    '-1',
    '+1',
    '1 k',
    'k',
    '.5k',
    '1.',
    '1.k',
    '1e3',
    '1,5G',
    '0x',
    '0x1G',
    '0x1.8',
    '1kk',
    '1KiBB',
    'ten',
    '1iB',
    '١',
    '9007199254740992',
    '8P',
    '1E',
    '1.0001k',
    '0.5',
    '99999999999999999999999999999999999999999999999999999999',
    'NaN',
    'Infinity',
    '1_000',
    '0b1',
    '1\n',
  ])('refuses %j', (text) => {
    expect(() => parseSize(text, '--offset')).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining('--offset') }),
    );
  });

  it('says that KB may mean two things', () => {
    expect(() => parseSize('10GB', 'SIZE')).toThrow(expect.objectContaining({ hint: 'write 10G for powers of 1024' }));
  });

  it('is exact for every whole number of bytes, in every notation', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(parseSize(String(bytes), 'x')).toBe(bytes);
        expect(parseSize(`0x${bytes.toString(16)}`, 'x')).toBe(bytes);
        // Ten binary places are at most ten decimal ones.
        const inKibibytes = `${Math.floor(bytes / 1024)}${((BigInt(bytes % 1024) * 10n ** 10n) / 1024n + 10n ** 10n).toString().replace(/^1/, '.')}k`;
        expect(parseSize(inKibibytes, 'x')).toBe(bytes);
      }),
    );
  });

  it('gives a safe number or an error with one code, whatever it gets', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^(0x)?[0-9a-fA-F.]{1,30}[kKmMgGtTpPeEiIbB]{0,3}$/)),
        (text) => {
          try {
            const bytes = parseSize(text, 'x');
            expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(VsimgError);
            expect(error).toMatchObject({ code: 'usage' });
          }
        },
      ),
    );
  });
});

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [1, '1 B'],
    [999, '999 B'],
    [1000, '0.977 KiB'],
    [1024, '1 KiB'],
    [208896, '204 KiB'],
    [1023 * 1024, '0.999 MiB'],
    [1536 * 1024 ** 2, '1.5 GiB'],
    [10 * 1024 ** 3, '10 GiB'],
    [Number.MAX_SAFE_INTEGER, '8 PiB'],
  ])('%d is %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });

  it('has at most three digits', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(formatSize(bytes)).toMatch(/^(\d{1,3}|0?\.\d{1,3}|\d\.\d{1,2}|\d\d\.\d|0\.\d{1,3}) ([KMGTPE]i)?B$/);
      }),
    );
  });

  it('adds the bytes where the short form is not the whole truth', () => {
    expect(formatExactSize(512)).toBe('512 B');
    expect(formatExactSize(1299227607)).toBe('1.21 GiB (1299227607 bytes)');
  });
});
