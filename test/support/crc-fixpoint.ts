import { checksum } from '../../src/format/checksum.ts';

/**
 * A number that is the CRC-32 of the bytes that `draft` makes with it: what an attacker finds to let a page point to itself.
 * CRC-32 is affine, so this solves 32 equations in 32 unknown bits.
 */
export function fixpointChecksum(draft: (sum: number) => Uint8Array): number {
  const base = checksum(draft(0));
  // Row i: which bits of the unknown, changed together, change bit i of (CRC xor unknown); bit 32 is the wanted value.
  const columns = Array.from({ length: 32 }, (_, bit) => (checksum(draft((1 << bit) >>> 0)) ^ base ^ (1 << bit)) >>> 0);
  const rows = Array.from({ length: 32 }, (_, row) =>
    columns.reduce(
      (bits, column, bit) => ((column >>> row) & 1 ? bits | (1n << BigInt(bit)) : bits),
      BigInt((base >>> row) & 1) << 32n,
    ),
  );
  const pivots: number[] = [];
  for (let bit = 0; bit < 32; bit++) {
    const mask = 1n << BigInt(bit);
    const at = rows.findIndex((row, index) => index >= pivots.length && (row & mask) !== 0n);
    if (at < 0) continue;
    const next = pivots.length;
    [rows[next], rows[at]] = [rows[at] as bigint, rows[next] as bigint];
    rows.forEach((row, index) => {
      if (index !== next && (row & mask) !== 0n) rows[index] = row ^ (rows[next] as bigint);
    });
    pivots.push(bit);
  }
  let sum = 0;
  pivots.forEach((bit, index) => {
    if (((rows[index] as bigint) >> 32n) & 1n) sum |= 1 << bit;
  });
  sum >>>= 0;
  if (checksum(draft(sum)) !== sum) throw new Error('these bytes have no such checksum: change them a little');
  return sum;
}
