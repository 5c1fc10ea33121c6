import { ByteReader, ByteWriter } from './cursor.ts';
import { MAX_BLOCKS } from './extent-page.ts';
import { type GuestRuns, readRuns, writeRuns } from './guest-runs.ts';
import { CHUNK_BYTES, RECORDS_OFFSET, SEGMENT_BYTES } from './layout.ts';

/**
 * The table of one segment: which log blocks it holds, for which guest blocks they were written, and its
 * chunks. A chunk covers `chunkBlocks` log blocks (the last one may cover fewer).
 *
 *   byte      0x54
 *   uint64    place of the first chunk that is kept; 0 if none is. It stands at a fixed place and has a fixed length, so that a
 *             table can be made before its segment has a place
 *   varint    first log block
 *   varint    number of log blocks
 *   varint    version that was being made when it was written
 *   varint    birth: the generation that wrote the oldest of its chunks, or an earlier one
 *   runs      of guest blocks (guest-runs.ts); together they are as long as the segment. None: not known any more, in a
 *             table made by a repair
 *   for each chunk:
 *     varint  stored length * 16 + (blocks missing ? 8 : 0) + codec; 0: nothing of this chunk is kept
 *     signed  not for the first that is kept: place as a difference to the end of the one before
 *     bytes   if blocks are missing: one bit a block, least significant first, 1 = present
 *     16      BLAKE3 of the raw bytes (of the present blocks), cut to 16 bytes
 *     uint32  CRC-32 of the stored bytes; for codec 0 one for each present block instead
 *   only if blocks were lost (found damaged, and given up by a repair):
 *     varint  number of runs of lost blocks, then for each: varint difference of its first block to the end of
 *             the run before (first: to the first block of the segment), varint length. No chunk holds them.
 */

export const CODEC = { raw: 0, zstd: 1 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

export const HASH_BYTES = 16;
const TABLE_MARK = 0x54;
const NO_CHECKSUMS = new Uint32Array(0);
const FIRST_PLACE_OFFSET = 1;
const FIRST_PLACE_BYTES = 8;

export interface Chunk {
  readonly place: number;
  readonly storedBytes: number;
  readonly codec: Codec;
  /** Blocks the chunk covers in the log, whether present or not. */
  readonly blockCount: number;
  /** One bit a block, or undefined when all are present. */
  readonly present: Uint8Array | undefined;
  readonly hash: Uint8Array;
  /** One for the stored bytes, or for codec raw one for each present block. */
  readonly checksums: Uint32Array;
}

export interface ChunkTable {
  readonly firstLog: number;
  readonly blockCount: number;
  readonly bornVersion: number;
  /** Generation that wrote the oldest of its chunks, or an earlier one: states before it do not need their space. */
  readonly birth: number;
  readonly runs: GuestRuns;
  /** undefined: nothing of this chunk is kept. */
  readonly chunks: readonly (Chunk | undefined)[];
  /** Log blocks `[start, end)` whose data was given up by a repair, ascending and apart. */
  readonly lost: readonly LogRange[];
}

/** A range of log blocks. */
export interface LogRange {
  readonly start: number;
  readonly end: number;
}

export function chunkBlocksOf(blockBytes: number): number {
  return Math.max(1, CHUNK_BYTES / blockBytes);
}

export function segmentBlocksOf(blockBytes: number): number {
  return SEGMENT_BYTES / blockBytes;
}

export function isPresent(chunk: Chunk, index: number): boolean {
  return chunk.present === undefined || (((chunk.present[index >>> 3] as number) >>> (index & 7)) & 1) === 1;
}

export function presentCount(chunk: Chunk): number {
  if (chunk.present === undefined) return chunk.blockCount;
  return presentBefore(chunk, chunk.blockCount);
}

/** Present blocks before block `index`: its position among the stored ones. */
export function presentBefore(chunk: Chunk, index: number): number {
  if (chunk.present === undefined) return index;
  let count = 0;
  for (let block = 0; block < index; block++) if (isPresent(chunk, block)) count++;
  return count;
}

export function encodeChunkTable(table: ChunkTable): Uint8Array {
  const writer = new ByteWriter(64 + table.chunks.length * 32);
  writer.byte(TABLE_MARK);
  const first = table.chunks.find((chunk) => chunk !== undefined);
  writer.uint64(first?.place ?? 0);
  writer.varint(table.firstLog);
  writer.varint(table.blockCount);
  writer.varint(table.bornVersion);
  writer.varint(table.birth);
  writeRuns(writer, table.runs);
  let expected = 0;
  for (const chunk of table.chunks) {
    if (chunk === undefined) {
      writer.varint(0);
      continue;
    }
    writer.varint(chunk.storedBytes * 16 + (chunk.present === undefined ? 0 : 8) + chunk.codec);
    if (chunk !== first) writer.signed(chunk.place - expected);
    expected = chunk.place + chunk.storedBytes;
    if (chunk.present !== undefined) writer.raw(chunk.present);
    writer.raw(chunk.hash);
    writer.uint32s(chunk.checksums);
  }
  if (table.lost.length > 0) {
    writer.varint(table.lost.length);
    let end = table.firstLog;
    for (const run of table.lost) {
      writer.varint(run.start - end);
      writer.varint(run.end - run.start);
      end = run.end;
    }
  }
  return writer.finish();
}

/** Moves all chunks of an encoded table, so that the first one lies at `firstPlace`. */
export function placeChunks(encoded: Uint8Array, firstPlace: number): void {
  const writer = new ByteWriter(FIRST_PLACE_BYTES);
  writer.uint64(firstPlace);
  encoded.set(writer.finish(), FIRST_PLACE_OFFSET);
}

/** Errors: 'corrupt' for anything that no writer could have written. */
export function decodeChunkTable(bytes: Uint8Array, blockBytes: number, where: string): ChunkTable {
  const reader = new ByteReader(bytes, where);
  if (reader.byte() !== TABLE_MARK) reader.fail('is not a chunk table');
  const firstPlace = reader.uint64();
  const firstLog = reader.varint();
  const blockCount = reader.varint();
  const bornVersion = reader.varint();
  const birth = reader.varint();
  if (blockCount === 0 || blockCount > segmentBlocksOf(blockBytes) || firstLog + blockCount > MAX_BLOCKS)
    reader.fail(`claims ${blockCount} blocks`);
  const runs = readRuns(reader, blockCount);
  const chunks: (Chunk | undefined)[] = [];
  const chunkBlocks = chunkBlocksOf(blockBytes);
  let before: Chunk | undefined;
  // In one piece of memory: thousands of tables may be kept.
  const checksums = new Uint32Array(Math.min(blockCount, Math.floor(reader.remaining / 4)));
  let end = 0;
  for (let first = 0; first < blockCount; first += chunkBlocks) {
    const chunk = readChunk(reader, Math.min(chunkBlocks, blockCount - first), blockBytes, {
      before: before ?? firstPlace,
      checksums: checksums.subarray(end),
    });
    chunks.push(chunk);
    before = chunk ?? before;
    end += chunk?.checksums.length ?? 0;
  }
  if (before === undefined && firstPlace !== 0) reader.fail('says where its chunks are, but has none');
  const lost = reader.remaining === 0 ? [] : readLost(reader, firstLog, blockCount);
  reader.end();
  const table = { firstLog, blockCount, bornVersion, birth, runs, chunks, lost };
  if (lost.some(({ start, end }) => holdsAny(table, start, end, blockBytes))) reader.fail('holds blocks that are lost');
  return table;
}

function readLost(reader: ByteReader, firstLog: number, blockCount: number): LogRange[] {
  const count = reader.varint();
  if (count === 0 || count * 2 > reader.remaining) reader.fail(`claims ${count} lost runs`);
  const lost: LogRange[] = [];
  let end = firstLog;
  for (let index = 0; index < count; index++) {
    const gap = reader.varint();
    const start = end + gap;
    end = start + reader.varint();
    if (end === start || (index > 0 && gap === 0) || end > firstLog + blockCount)
      reader.fail('lost run is out of range');
    lost.push({ start, end });
  }
  return lost;
}

function holdsAny(table: ChunkTable, start: number, end: number, blockBytes: number): boolean {
  for (let log = start; log < end; log++) if (isHeld(table, log, blockBytes)) return true;
  return false;
}

/** True if the table has the data of log block `log`, which must lie in its segment. */
export function isHeld(table: ChunkTable, log: number, blockBytes: number): boolean {
  const inSegment = log - table.firstLog;
  const chunkBlocks = chunkBlocksOf(blockBytes);
  const chunk = table.chunks[Math.floor(inSegment / chunkBlocks)];
  return chunk !== undefined && isPresent(chunk, inSegment % chunkBlocks);
}

function readChunk(
  reader: ByteReader,
  blockCount: number,
  blockBytes: number,
  { before, checksums: room }: { readonly before: Chunk | number; readonly checksums: Uint32Array },
): Chunk | undefined {
  const word = reader.varint();
  if (word === 0) return undefined;
  const codec = word % 8;
  const storedBytes = Math.floor(word / 16);
  const place = typeof before === 'number' ? before : before.place + before.storedBytes + reader.signed();
  const present = Math.floor(word / 8) % 2 === 1 ? reader.take(Math.ceil(blockCount / 8)) : undefined;
  const hash = reader.take(HASH_BYTES);
  if (codec !== CODEC.raw && codec !== CODEC.zstd) reader.fail(`chunk of unknown codec ${codec}`);
  if (place < RECORDS_OFFSET || !Number.isSafeInteger(place + storedBytes)) reader.fail(`chunk at ${place}`);
  const draft: Chunk = { place, storedBytes, codec, blockCount, present, hash, checksums: NO_CHECKSUMS };
  const held = presentCount(draft);
  if (held === 0 || (present !== undefined && held === blockCount)) reader.fail('chunk has a malformed map of blocks');
  const rawBytes = held * blockBytes;
  if (codec === CODEC.raw ? storedBytes !== rawBytes : storedBytes === 0 || storedBytes >= rawBytes)
    reader.fail(`chunk of ${storedBytes} bytes for ${rawBytes}`);
  const count = codec === CODEC.raw ? held : 1;
  if (count > room.length) reader.fail('ends early');
  const checksums = room.subarray(0, count);
  reader.uint32s(checksums);
  return { ...draft, checksums };
}

/**
 * Value of the log index for the segment whose first log block is the key. An entry whose place, length and checksum
 * are 0 has no table: a repair gave up all its blocks, of which there may be more than in other segments.
 */
export interface SegmentEntry {
  readonly blockCount: number;
  /** Where the chunk table lies. */
  readonly place: number;
  readonly lengthBytes: number;
  readonly checksum: number;
  /** Blocks written since the last commit that the working map has dropped again. */
  readonly deadBlocks: number;
}

export function encodeSegmentEntry(entry: SegmentEntry): Uint8Array {
  const writer = new ByteWriter(24);
  writer.varint(entry.blockCount);
  writer.varint(entry.place);
  writer.varint(entry.lengthBytes);
  writer.uint32(entry.checksum);
  writer.varint(entry.deadBlocks);
  return writer.finish();
}

export function decodeSegmentEntry(bytes: Uint8Array): SegmentEntry {
  const reader = new ByteReader(bytes, 'log index');
  const entry = {
    blockCount: reader.varint(),
    place: reader.varint(),
    lengthBytes: reader.varint(),
    checksum: reader.uint32(),
    deadBlocks: reader.varint(),
  };
  reader.end();
  const isLost = entry.lengthBytes === 0;
  if (entry.blockCount === 0 || entry.blockCount > MAX_BLOCKS || entry.deadBlocks > entry.blockCount)
    reader.fail('segment entry is malformed');
  if (isLost && (entry.place !== 0 || entry.checksum !== 0 || entry.deadBlocks !== 0))
    reader.fail('segment without a table is malformed');
  return entry;
}

/** The entry of a segment of which nothing is left. */
export function lostSegment(blockCount: number): SegmentEntry {
  return { blockCount, place: 0, lengthBytes: 0, checksum: 0, deadBlocks: 0 };
}

/** What stands for the table of such a segment. */
export function lostTable(firstLog: number, blockCount: number): ChunkTable {
  return {
    firstLog,
    blockCount,
    bornVersion: 0,
    birth: 0,
    runs: [],
    chunks: [],
    lost: [{ start: firstLog, end: firstLog + blockCount }],
  };
}
