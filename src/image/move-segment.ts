import { unlessCorrupt } from '../errors.ts';
import type { Chunk, ChunkTable } from '../format/chunk-table.ts';
import type { SealedChunk } from '../log/seal.ts';
import type { Segment } from '../log/tables.ts';
import type { Container } from './container.ts';

/** A table that is written again may be so much longer: it says when its data was written, in a number of varying length. */
const TABLE_GROWTH_BYTES = 8;

/** Says where the records of a segment go; each place it tells counts as taken. */
export interface SegmentPlacer {
  /** Room for all chunks of a segment, used again for the next one. */
  readonly buffer: Uint8Array;
  /** A better place for all records of a segment, of which the first lies at `place`, or undefined when there is none. */
  placeForAll(lengthBytes: number, place: number): number | undefined;
  /** The same for one chunk; asked in the order of the log. */
  placeForChunk(lengthBytes: number, place: number): number | undefined;
  /** The same for the table. */
  placeForTable(lengthBytes: number, place: number): number | undefined;
  /** What was given from `place` on is not needed. */
  giveBack(place: number, lengthBytes: number): void;
}

/** Where the first record of a segment begins. */
function firstPlace(segment: Segment, table: ChunkTable): number {
  let first = segment.entry.place;
  for (const chunk of table.chunks) if (chunk !== undefined) first = Math.min(first, chunk.place);
  return first;
}

/** Where the last record of a segment ends. */
export function endOfSegment({ entry }: Segment, table: ChunkTable): number {
  let end = entry.place + entry.lengthBytes;
  for (const chunk of table.chunks) if (chunk !== undefined) end = Math.max(end, chunk.place + chunk.storedBytes);
  return end;
}

/** Moves a segment in one piece where all of it fits, else those of its records that have a better place. Damaged chunks stay. */
export function moveSegment(container: Container, segment: Segment, placer: SegmentPlacer): void {
  const { reader, log, space, tables } = container;
  const { entry } = segment;
  if (entry.lengthBytes === 0) return;
  const table = tables.table(segment);
  if (moveWhole(container, segment, table, placer)) return;
  const places: number[] = [];
  const chunks = table.chunks.map((chunk): Chunk | SealedChunk | undefined => {
    const place = chunk === undefined ? undefined : placer.placeForChunk(chunk.storedBytes, chunk.place);
    if (chunk === undefined || place === undefined) return chunk;
    const stored = unlessCorrupt(() => reader.storedBytes(chunk));
    if (stored === undefined) {
      placer.giveBack(place, chunk.storedBytes);
      return chunk;
    }
    places.push(place);
    return { chunk, stored };
  });
  if (places.length > 0) {
    log.rewrite(
      segment,
      chunks,
      (lengthBytes) =>
        places.shift() ?? placer.placeForTable(lengthBytes, entry.place) ?? space.allocate(lengthBytes, 'lasting'),
    );
    return;
  }
  const roomBytes = entry.lengthBytes + TABLE_GROWTH_BYTES;
  const place = placer.placeForTable(roomBytes, entry.place);
  if (place === undefined) return;
  log.rewrite(segment, chunks, (lengthBytes) => {
    placer.giveBack(place + lengthBytes, roomBytes - lengthBytes);
    return place;
  });
}

/** Chunks one behind the other in the order of the log, then the table: as a segment is written first. */
function moveWhole(container: Container, segment: Segment, table: ChunkTable, placer: SegmentPlacer): boolean {
  const { reader, log } = container;
  // Nothing else makes the table longer: chunks lie one behind the other now.
  const lengthBytes = table.chunks.reduce(
    (total, chunk) => total + (chunk?.storedBytes ?? 0),
    segment.entry.lengthBytes + TABLE_GROWTH_BYTES,
  );
  const start = placer.placeForAll(lengthBytes, firstPlace(segment, table));
  if (start === undefined) return false;
  let filled = 0;
  const chunks = unlessCorrupt(() =>
    table.chunks.map((chunk) => {
      if (chunk === undefined) return undefined;
      const stored = reader.storedBytes(chunk, placer.buffer.subarray(filled));
      filled += stored.length;
      return { chunk, stored };
    }),
  );
  if (chunks === undefined) {
    placer.giveBack(start, lengthBytes);
    return false;
  }
  let next = start;
  log.rewrite(segment, chunks, (length) => {
    next += length;
    return next - length;
  });
  placer.giveBack(next, start + lengthBytes - next);
  return true;
}
