import { checksum } from '../format/checksum.ts';
import { type Chunk, CODEC, chunkBlocksOf } from '../format/chunk-table.ts';
import type { Compression } from '../format/header.ts';
import { compress } from './codec.ts';
import { blake3 } from './hash.ts';
import type { OpenSegment } from './segment.ts';

/** A chunk as it will be stored; its place is given later. */
export interface SealedChunk {
  readonly chunk: Chunk;
  readonly stored: Uint8Array;
}

export interface SealedSegment {
  /** undefined: no block of the chunk is alive. */
  readonly chunks: readonly (SealedChunk | undefined)[];
  readonly deadBlocks: number;
}

/** Chunks of a filled segment: dead blocks left out, hashed, compressed where that makes them smaller. */
export async function sealSegment(
  segment: OpenSegment,
  blockBytes: number,
  compression: Compression,
): Promise<SealedSegment> {
  const chunkBlocks = chunkBlocksOf(blockBytes);
  const jobs: (Promise<SealedChunk> | undefined)[] = [];
  let deadBlocks = 0;
  for (let first = 0; first < segment.blockCount; first += chunkBlocks) {
    const blockCount = Math.min(chunkBlocks, segment.blockCount - first);
    const sealed = segment.sealed.get(first / chunkBlocks);
    if (sealed !== undefined) {
      const from = first * blockBytes;
      jobs.push(Promise.resolve({ chunk: sealed, stored: segment.buffer.subarray(from, from + sealed.storedBytes) }));
      continue;
    }
    const { raw, present, held } = liveBytes(segment, first, blockCount, blockBytes);
    deadBlocks += blockCount - held;
    jobs.push(held === 0 ? undefined : sealChunk(raw, blockCount, present, blockBytes, compression));
  }
  return { chunks: await Promise.all(jobs), deadBlocks };
}

function liveBytes(
  segment: OpenSegment,
  first: number,
  blockCount: number,
  blockBytes: number,
): { raw: Uint8Array; present: Uint8Array | undefined; held: number } {
  const raw = segment.buffer.subarray(first * blockBytes, (first + blockCount) * blockBytes);
  const bits = new Uint8Array(Math.ceil(blockCount / 8));
  const live: number[] = [];
  for (let block = 0; block < blockCount; block++) {
    if (segment.isDead(first + block)) continue;
    bits[block >>> 3] = (bits[block >>> 3] as number) | (1 << (block & 7));
    live.push(block);
  }
  if (live.length === blockCount) return { raw, present: undefined, held: blockCount };
  const packed = new Uint8Array(live.length * blockBytes);
  live.forEach((block, index) => {
    packed.set(raw.subarray(block * blockBytes, (block + 1) * blockBytes), index * blockBytes);
  });
  return { raw: packed, present: bits, held: live.length };
}

/** `raw` holds the present blocks one behind the other. */
export async function sealChunk(
  raw: Uint8Array,
  blockCount: number,
  present: Uint8Array | undefined,
  blockBytes: number,
  compression: Compression,
): Promise<SealedChunk> {
  const hash = blake3(raw);
  if (compression.codec === 'zstd') {
    const packed = await compress(raw, compression.level);
    // Less than a sixteenth saved is not worth decoding 64 KiB for every small read.
    if (packed.length < raw.length - raw.length / 16) {
      const chunk: Chunk = {
        place: 0,
        storedBytes: packed.length,
        codec: CODEC.zstd,
        blockCount,
        present,
        hash,
        checksums: Uint32Array.of(checksum(packed)),
      };
      return { chunk, stored: packed };
    }
  }
  const checksums = new Uint32Array(raw.length / blockBytes);
  for (let block = 0; block < checksums.length; block++)
    checksums[block] = checksum(raw.subarray(block * blockBytes, (block + 1) * blockBytes));
  return {
    chunk: { place: 0, storedBytes: raw.length, codec: CODEC.raw, blockCount, present, hash, checksums },
    stored: raw,
  };
}
