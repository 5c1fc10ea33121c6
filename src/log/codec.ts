import { corrupt } from '../errors.ts';
import { zstd } from './zstd.ts';

/** Higher levels differ by windows of more than 8 MiB: those are refused when read, and chunks are far smaller. */
const MAX_LEVEL = 19;
const MAX_FRAME_BLOCK_BYTES = 128 * 1024;

/** How much work is to come: for many chunks it pays to load the fastest library there is. */
export type Amount = 'few' | 'many';

/**
 * Packs `raw` into `into` as one frame; its length, or undefined if it does not fit. Levels above `MAX_LEVEL` count as that.
 * Errors: 'unsupported' without zstd.
 */
export function compress(raw: Uint8Array, into: Uint8Array, level: number, amount: Amount): number | undefined {
  return zstd(amount).compress(raw, into, Math.min(level, MAX_LEVEL));
}

/**
 * Fills `into` exactly with what `frame` holds, or throws 'corrupt': it can not make anybody allocate more than that and a
 * few blocks. `place` is for messages. Frames are verified before they come here.
 */
export function decompress(frame: Uint8Array, into: Uint8Array, place: number, amount: Amount): void {
  checkFrame(frame, into.length, place);
  const library = zstd(amount);
  let length: number;
  try {
    length = library.decompress(frame, into);
  } catch {
    throw corrupt(`chunk at ${place} can not be decompressed`, place);
  }
  if (length !== into.length) throw corrupt(`chunk at ${place} does not hold ${into.length} bytes`, place);
}

/**
 * Walks the blocks of the one frame (RFC 8878, 3.1.1) before anything is decoded, because a few bytes
 * can claim to hold gigabytes.
 */
function checkFrame(bytes: Uint8Array, rawBytes: number, place: number): void {
  const fail = (): never => {
    throw corrupt(`chunk at ${place} is not one zstd frame of ${rawBytes} bytes`, place);
  };
  const at = (position: number): number => bytes[position] ?? fail();
  if (at(0) !== 0x28 || at(1) !== 0xb5 || at(2) !== 0x2f || at(3) !== 0xfd) fail();
  const descriptor = at(4);
  const sizeFlag = descriptor >>> 6;
  const singleSegment = (descriptor >>> 5) & 1;
  if ((descriptor & 0x0b) !== 0) fail();
  const sizeBytes = sizeFlag === 0 ? singleSegment : 1 << sizeFlag;
  let position = 5;
  if (singleSegment === 0) {
    // Window of at most 8 MiB: what every decoder must accept.
    if (at(position) >>> 3 > 13) fail();
    position++;
  }
  if (sizeBytes > 0) {
    let size = 0;
    for (let index = sizeBytes - 1; index >= 0; index--) size = size * 256 + at(position + index);
    if (size + (sizeBytes === 2 ? 256 : 0) !== rawBytes) fail();
    position += sizeBytes;
  }
  let atMost = 0;
  for (let last = false; !last; ) {
    const header = at(position) | (at(position + 1) << 8) | (at(position + 2) << 16);
    position += 3;
    last = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    if (type === 3) fail();
    atMost += type === 2 ? MAX_FRAME_BLOCK_BYTES : size;
    position += type === 1 ? 1 : size;
    if (atMost > rawBytes + 4 * MAX_FRAME_BLOCK_BYTES) fail();
  }
  if ((descriptor & 4) !== 0) position += 4;
  if (position !== bytes.length) fail();
}
