import type { DiskRun } from '../image/disk.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { isZeroRange } from '../storage/zero.ts';

/** Data of a read or a write that is in memory at a time. */
export const PIECE_BYTES = 1024 * 1024;

/** Parts that are answered one after the other. */
export function* piecesOf(offset: number, lengthBytes: number): Generator<ByteRange> {
  const end = offset + lengthBytes;
  for (let start = offset; start < end; start += PIECE_BYTES) yield { start, end: Math.min(end, start + PIECE_BYTES) };
}

/** Zeros are looked for in units of this: fewer are not worth a chunk of their own. */
const ZERO_UNIT_BYTES = 32 * 1024;

/** Parts of `bytes` that are zeros throughout, and the rest. */
export function zeroRuns(bytes: Uint8Array): DiskRun[] {
  const runs: DiskRun[] = [];
  let start = 0;
  let held: DiskRun['kind'] | undefined;
  for (let at = 0; at < bytes.length; at += ZERO_UNIT_BYTES) {
    const kind = isZeroRange(bytes, at, Math.min(bytes.length, at + ZERO_UNIT_BYTES)) ? 'hole' : 'data';
    if (held !== undefined && kind !== held) {
      runs.push({ kind: held, start, end: at });
      start = at;
    }
    held = kind;
  }
  if (held !== undefined) runs.push({ kind: held, start, end: bytes.length });
  return runs;
}
