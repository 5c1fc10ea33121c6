import { unlessCorrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import {
  type Chunk,
  type ChunkTable,
  encodeChunkTable,
  encodeSegmentEntry,
  type LogRange,
  lostSegment,
  placeChunks,
  type SegmentEntry,
  segmentBlocksOf,
} from '../format/chunk-table.ts';
import type { GuestRun } from '../format/guest-runs.ts';
import type { Compression } from '../format/header.ts';
import { numberKey } from '../format/record-page.ts';
import { putRecord, type RecordTree, removeRecord } from '../map/records.ts';
import { joinRanges } from '../space/host-range.ts';
import type { Space } from '../space/space.ts';
import type { Storage } from '../storage/storage.ts';
import { LeavingSegments } from './leaving.ts';
import type { SealedChunk } from './seal.ts';
import { type OpenSegment, type SegmentBuffer, withHead } from './segment.ts';
import { type FilledSegment, heldBlocksOf, type SealedSegment, storedBytesOf } from './stored.ts';
import type { Segment, SegmentTables } from './tables.ts';

/** What the header keeps of the log. */
export interface LogState {
  /** Number of the next block. */
  readonly next: number;
  /** Blocks from here on are not part of any version. */
  readonly youngMark: number;
  /** Stored bytes of all chunks. */
  readonly dataBytes: number;
  /** Young blocks that nothing refers to any more but that still take space. */
  readonly deadBlocks: number;
}

export interface LogParts {
  readonly storage: Storage;
  readonly index: RecordTree;
  readonly tables: SegmentTables;
  readonly space: Space;
  readonly blockBytes: number;
  readonly compression: Compression;
}

function segmentCounts({ firstLog, entry }: Segment): Pick<OpenSegment, 'firstLog' | 'blockCount' | 'deadBlocks'> {
  return { firstLog, blockCount: entry.blockCount, deadBlocks: entry.deadBlocks };
}

/** Takes long enough that others should go on meanwhile. */
const LONG_WRITE_BYTES = 512 * 1024;

/** Appends blocks to the log and counts those that die young. */
export class LogWriter {
  private readonly parts: LogParts;
  private next: number;
  private youngMarkBlock: number;
  private dataTotal: number;
  private deadTotal: number;
  private open: OpenSegment | undefined;
  private readonly leaving: LeavingSegments;
  /** Blocks that died in full segments since the last publication, by first log block. */
  private readonly died = new Map<number, number>();
  /** First log blocks of full segments without a live block. */
  private gone: number[] = [];
  /** First log blocks of segments that were written since the last publication, or the last version that was held back. */
  private readonly fresh = new Set<number>();
  private bornVersion = 0;
  private generation = 0;

  constructor(parts: LogParts, state: LogState) {
    this.parts = parts;
    this.next = state.next;
    this.youngMarkBlock = state.youngMark;
    this.dataTotal = state.dataBytes;
    this.deadTotal = state.deadBlocks;
    this.leaving = new LeavingSegments({
      blockBytes: parts.blockBytes,
      compression: parts.compression,
      store: (sealed, buffer, deadBlocks) => this.writeSegment(sealed, buffer, deadBlocks),
    });
  }

  get state(): LogState {
    return { next: this.next, youngMark: this.youngMarkBlock, dataBytes: this.dataTotal, deadBlocks: this.deadTotal };
  }

  /** Bytes of young blocks that nothing refers to. */
  get deadBytes(): number {
    return this.deadTotal * this.parts.blockBytes;
  }

  /** Everything written so far belongs to a version now. */
  growUp(): void {
    this.youngMarkBlock = this.next;
    this.deadTotal = 0;
  }

  /** How many blocks the segment that is open now still takes. */
  async room(): Promise<number> {
    if (this.open !== undefined && this.open.roomBlocks === 0) await this.endSegment();
    return this.open?.roomBlocks ?? segmentBlocksOf(this.parts.blockBytes);
  }

  /** Appends whole blocks, at most `room()` of them; returns the log number of the first. */
  append(guestStart: number, bytes: Uint8Array): number {
    const log = this.next;
    this.openSegment().append(guestStart, bytes);
    this.next += bytes.length / this.parts.blockBytes;
    return log;
  }

  private openSegment(): OpenSegment {
    this.open ??= this.leaving.open(this.next);
    return this.open;
  }

  /** Blocks by which a chunk is begun; 0: the next block appended begins one. */
  get begunBlocks(): number {
    return this.open?.begunBlocks ?? 0;
  }

  /** Leaves out the log numbers up to the next chunk, so that one can be appended as it is stored. */
  skipToChunk(): void {
    this.open?.skipToChunk();
    this.next = this.open?.endLog ?? this.next;
  }

  /**
   * Appends a whole chunk as another segment has it, with the guest runs it was written for, without sealing it again;
   * only while `begunBlocks` is 0, and there must be `room()`. Such blocks can not be read before the next `flush`.
   */
  appendChunk(runs: readonly GuestRun[], sealed: SealedChunk): number {
    const log = this.next;
    this.openSegment().appendChunk(runs, sealed);
    this.next += sealed.chunk.blockCount;
    return log;
  }

  /** Every block below this is in the container. */
  get firstInMemory(): number {
    return this.leaving.firstLog ?? this.open?.firstLog ?? this.next;
  }

  /** The segment still in memory that holds `log`, if any. */
  inMemory(log: number): OpenSegment | undefined {
    const { open } = this;
    if (open !== undefined && log >= open.firstLog && log < open.endLog) return open;
    return this.leaving.find(log);
  }

  /** The working map does not refer to `[log, log + count)` any more; only young blocks are counted. */
  noteDead(log: number, count: number): void {
    let at = Math.max(log, this.youngMarkBlock);
    const end = log + count;
    while (at < end) {
      const open = this.open !== undefined && at >= this.open.firstLog ? this.open : undefined;
      if (open !== undefined) {
        open.markDead(at, end - at);
        return;
      }
      const { firstLog, blockCount, deadBlocks } = this.leaving.find(at) ?? segmentCounts(this.parts.tables.find(at));
      const stop = Math.min(end, firstLog + blockCount);
      const died = (this.died.get(firstLog) ?? 0) + stop - at;
      this.died.set(firstLog, died);
      if (deadBlocks + died >= blockCount) this.gone.push(firstLog);
      at = stop;
    }
  }

  /**
   * Enters a sealed segment in the log index, and writes its table and its chunks, whose places count from 0, with one call: all but
   * the end of that is done when this returns, and `buffer` must stay as it is until the promise resolves.
   */
  private async writeSegment(sealed: SealedSegment, buffer: SegmentBuffer, deadBlocks = 0): Promise<void> {
    const bytes = storedBytesOf(sealed);
    if (bytes === 0) return;
    const { storage, space } = this.parts;
    const table: ChunkTable = { ...sealed, bornVersion: this.bornVersion, birth: this.generation, lost: [] };
    const encoded = encodeChunkTable(table);
    const place = space.allocate(encoded.length + bytes, 'lasting');
    // The table lies before its chunks: a file that was cut off behind it still tells what was there.
    const firstPlace = place + encoded.length;
    placeChunks(encoded, firstPlace);
    const chunks = sealed.chunks.map((chunk) => chunk && { ...chunk, place: firstPlace + chunk.place });
    this.enter({ ...table, chunks }, encoded, { place, deadBlocks });
    let at = place;
    for (const part of withHead(buffer, encoded, bytes)) {
      if (part.length >= LONG_WRITE_BYTES && storage.writeMeanwhile !== undefined)
        await storage.writeMeanwhile(part, at);
      else storage.write(part, at);
      at += part.length;
    }
  }

  private enter(
    table: ChunkTable,
    encoded: Uint8Array,
    { place, deadBlocks }: { readonly place: number; readonly deadBlocks: number },
  ): void {
    const { index, tables } = this.parts;
    const { firstLog, blockCount } = table;
    const entry: SegmentEntry = {
      blockCount,
      place,
      lengthBytes: encoded.length,
      checksum: checksum(encoded),
      deadBlocks,
    };
    putRecord(index, numberKey(firstLog), encodeSegmentEntry(entry));
    tables.remember(entry, table);
    this.fresh.add(firstLog);
    this.dataTotal += storedBytesOf(table);
  }

  /** What is appended next begins a new segment. 'many': others will follow, so that starting threads pays. */
  async endSegment(amount: 'few' | 'many' = 'many'): Promise<void> {
    const { open } = this;
    if (open === undefined) return;
    this.open = undefined;
    await this.leaving.add(open, amount);
    this.dropGone();
  }

  /** A log number for every block of a segment that was filled elsewhere; what is open here is sealed first. */
  private async take(blockCount: number): Promise<number> {
    await this.endSegment();
    const firstLog = this.next;
    this.next += blockCount;
    return firstLog;
  }

  /**
   * Appends a segment that was sealed elsewhere: `chunks` are in `buffer`, one behind the other, with places from 0 on.
   * Returns the log number of its first block.
   */
  async appendSealed(sealed: FilledSegment, buffer: SegmentBuffer): Promise<number> {
    const firstLog = await this.take(sealed.blockCount);
    await this.writeSegment({ ...sealed, firstLog }, buffer);
    return firstLog;
  }

  /** As `appendSealed`, for chunks that are in their places in the container already. */
  async appendWritten(sealed: FilledSegment): Promise<number> {
    const firstLog = await this.take(sealed.blockCount);
    const table: ChunkTable = { ...sealed, firstLog, bornVersion: this.bornVersion, birth: this.generation, lost: [] };
    const encoded = encodeChunkTable(table);
    const place = this.parts.space.allocate(encoded.length, 'lasting');
    this.parts.storage.write(encoded, place);
    this.enter(table, encoded, { place, deadBlocks: 0 });
    return firstLog;
  }

  /** Of what is written from now on: the version that it will belong to, and the generation that will publish it. */
  startGeneration(generation: number, bornVersion: number): void {
    this.generation = generation;
    this.bornVersion = bornVersion;
    this.fresh.clear();
  }

  /** Writes everything that is still in memory and enters the dead blocks; segments without a live block go. */
  async flush(): Promise<void> {
    await this.endSegment('few');
    await this.leaving.finish();
    this.dropGone();
    for (const [firstLog, count] of this.died) {
      const segment = this.parts.tables.find(firstLog);
      const deadBlocks = segment.entry.deadBlocks + count;
      this.deadTotal += count;
      if (deadBlocks < segment.entry.blockCount || !this.isReadable(segment))
        putRecord(this.parts.index, numberKey(firstLog), encodeSegmentEntry({ ...segment.entry, deadBlocks }));
      else this.drop(segment);
    }
    this.died.clear();
  }

  /** Segments that no state needs which is, or was, published go at once: a disk written over and over does not grow the file. */
  private dropGone(): void {
    const { gone } = this;
    this.gone = [];
    for (const firstLog of gone) {
      if (this.leaving.find(firstLog) !== undefined) this.gone.push(firstLog);
      else if (this.fresh.has(firstLog)) {
        this.deadTotal += this.died.get(firstLog) ?? 0;
        this.died.delete(firstLog);
        this.drop(this.parts.tables.find(firstLog));
      }
    }
  }

  /** False for a segment whose table is damaged: nothing tells what space it took, and writing must go on. */
  private isReadable(segment: Segment): boolean {
    return unlessCorrupt(() => this.parts.tables.table(segment)) !== undefined;
  }

  /**
   * Gives a segment other chunks for the same log blocks: fewer, smaller, or elsewhere. Chunks that are not in
   * its table yet are given with their bytes and written to where `allocate` says. `lost` is what the segment is
   * known to have lost, if that changes too.
   */
  rewrite(
    segment: Segment,
    chunks: readonly (Chunk | SealedChunk | undefined)[],
    allocate: (lengthBytes: number) => number,
    lost?: readonly LogRange[],
  ): void {
    const { space, tables } = this.parts;
    const old = tables.table(segment);
    const kept = new Set<unknown>(chunks);
    this.replaceTable(segment, chunks, { allocate, lost: lost ?? old.lost });
    for (const chunk of old.chunks)
      if (chunk !== undefined && !kept.has(chunk)) space.release(chunk.place, chunk.storedBytes, old.birth);
    space.release(segment.entry.place, segment.entry.lengthBytes, old.birth);
  }

  /** As `rewrite`, but what the old table took is not given up: for a repair, which lists free space anew. */
  replaceTable(
    segment: Segment,
    chunks: readonly (Chunk | SealedChunk | undefined)[],
    { allocate, lost }: { readonly allocate: (lengthBytes: number) => number; readonly lost: readonly LogRange[] },
  ): void {
    const { storage, index, tables } = this.parts;
    const old = tables.table(segment);
    const placed = chunks.map((part): Chunk | undefined => {
      if (part === undefined || !('stored' in part)) return part;
      const place = allocate(part.stored.length);
      storage.write(part.stored, place);
      return { ...part.chunk, place };
    });
    // A chunk that stays may be as old as the segment is.
    const isAnew = chunks.every((part) => part === undefined || 'stored' in part);
    const table: ChunkTable = { ...old, birth: isAnew ? this.generation : old.birth, chunks: placed, lost };
    const encoded = encodeChunkTable(table);
    const place = allocate(encoded.length);
    storage.write(encoded, place);
    const entry: SegmentEntry = { ...segment.entry, place, lengthBytes: encoded.length, checksum: checksum(encoded) };
    putRecord(index, numberKey(segment.firstLog), encodeSegmentEntry(entry));
    tables.remember(entry, table);
    this.dataTotal += storedBytesOf(table) - storedBytesOf(old);
    if (segment.firstLog >= this.youngMarkBlock)
      this.deadTotal = Math.max(0, this.deadTotal - (heldBlocksOf(old) - heldBlocksOf(table)));
  }

  /** Enters log blocks `[start, end)`, which no segment holds any more, as lost. */
  giveUp(start: number, end: number): void {
    putRecord(this.parts.index, numberKey(start), encodeSegmentEntry(lostSegment(end - start)));
  }

  /** Gives up a whole segment. */
  drop(segment: Segment): void {
    const { tables, space, index } = this.parts;
    const table = tables.table(segment);
    const ranges = [{ place: segment.entry.place, storedBytes: segment.entry.lengthBytes }, ...table.chunks]
      .filter((part) => part !== undefined)
      .map(({ place, storedBytes }) => ({ start: place, end: place + storedBytes }));
    const isFresh = this.fresh.delete(segment.firstLog);
    for (const { start, end } of joinRanges(ranges)) {
      // Nobody else can know of it.
      if (isFresh) space.takeBack(start, end - start);
      else space.release(start, end - start, table.birth);
    }
    this.dataTotal -= storedBytesOf(table);
    removeRecord(index, numberKey(segment.firstLog));
    if (segment.firstLog >= this.youngMarkBlock) this.deadTotal = Math.max(0, this.deadTotal - heldBlocksOf(table));
  }
}
