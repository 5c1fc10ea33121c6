import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checksum, tableChecksum } from '../../src/format/checksum.ts';
import { noise } from '../support/workspace.ts';

it('is the CRC-32 of gzip', () => {
  expect(checksum(Buffer.from('123456789'))).toBe(0xcbf43926);
  expect(checksum(new Uint8Array(0))).toBe(0);
});

it('by tables is the same as by zlib', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(5), (bytes, from) => {
      const part = bytes.subarray(from);
      expect(tableChecksum(part)).toBe(crc32(part));
    }),
  );
});

it('does not change when zlib takes over', () => {
  const bytes = noise(200_000, 1);
  for (const lengthBytes of [1, 4096, 60_000, 4096, 200_000, 4096])
    expect(checksum(bytes.subarray(0, lengthBytes))).toBe(crc32(bytes.subarray(0, lengthBytes)));
});
