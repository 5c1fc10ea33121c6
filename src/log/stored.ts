import { type Chunk, type ChunkTable, presentCount } from '../format/chunk-table.ts';
import type { Seal } from './seal.ts';
import type { RawChunk } from './seal-job.ts';

/** What is known of a segment when its chunks are sealed. */
export type FilledSegment = Pick<ChunkTable, 'blockCount' | 'runs' | 'chunks'>;

export type SealedSegment = FilledSegment & Pick<ChunkTable, 'firstLog'>;

/** Chunks with places from 0 on. */
export function oneBehindTheOther(
  seals: readonly (Seal | undefined)[],
  raw: readonly Pick<RawChunk, 'blockCount' | 'present'>[],
): (Chunk | undefined)[] {
  let end = 0;
  return seals.map((seal, index): Chunk | undefined => {
    if (seal === undefined) return undefined;
    const { blockCount, present } = raw[index] as RawChunk;
    end += seal.storedBytes;
    return { place: end - seal.storedBytes, blockCount, present, ...seal };
  });
}

/** Bytes of all chunks of a table as they are stored. */
export function storedBytesOf(table: Pick<ChunkTable, 'chunks'>): number {
  return table.chunks.reduce((total, chunk) => total + (chunk?.storedBytes ?? 0), 0);
}

/** Blocks that a table's chunks hold. */
export function heldBlocksOf(table: ChunkTable): number {
  return table.chunks.reduce((total, chunk) => total + (chunk === undefined ? 0 : presentCount(chunk)), 0);
}
