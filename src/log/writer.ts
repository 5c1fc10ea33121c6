import { unlessCorrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import {
  type Chunk,
  type ChunkTable,
  encodeChunkTable,
  encodeSegmentEntry,
  type GuestRun,
  type LogRange,
  lostSegment,
  presentCount,
  type SegmentEntry,
  segmentBlocksOf,
} from '../format/chunk-table.ts';
import type { Compression } from '../format/header.ts';
import { SEGMENT_BYTES } from '../format/layout.ts';
import { numberKey } from '../format/record-page.ts';
import { putRecord, type RecordTree, removeRecord } from '../map/records.ts';
import type { Space } from '../space/space.ts';
import type { Storage } from '../storage/storage.ts';
import { type SealedChunk, type SealedSegment, sealSegment } from './seal.ts';
import { OpenSegment } from './segment.ts';
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

/** Appends blocks to the log and counts those that die young. */
export class LogWriter {
  private readonly parts: LogParts;
  private next: number;
  private youngMarkBlock: number;
  private dataTotal: number;
  private deadTotal: number;
  private open: OpenSegment | undefined;
  private sealing: { readonly segment: OpenSegment; readonly done: Promise<void> } | undefined;
  private spare: Uint8Array | undefined;
  /** Blocks that died in written segments since the last publication, by first log block. */
  private readonly died = new Map<number, number>();

  constructor(parts: LogParts, state: LogState) {
    this.parts = parts;
    this.next = state.next;
    this.youngMarkBlock = state.youngMark;
    this.dataTotal = state.dataBytes;
    this.deadTotal = state.deadBlocks;
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
    if (this.open !== undefined && this.open.roomBlocks === 0) await this.startSealing();
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
    if (this.open === undefined) {
      this.open = new OpenSegment(this.next, this.spare ?? new Uint8Array(SEGMENT_BYTES), this.parts.blockBytes);
      this.spare = undefined;
    }
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
  appendSealed(runs: readonly GuestRun[], sealed: SealedChunk): number {
    const log = this.next;
    this.openSegment().appendSealed(runs, sealed);
    this.next += sealed.chunk.blockCount;
    return log;
  }

  /** Every block below this is in the container. */
  get firstInMemory(): number {
    return this.sealing?.segment.firstLog ?? this.open?.firstLog ?? this.next;
  }

  /** The segment still in memory that holds `log`, if any. */
  inMemory(log: number): OpenSegment | undefined {
    for (const segment of [this.open, this.sealing?.segment]) {
      if (segment !== undefined && log >= segment.firstLog && log < segment.endLog) return segment;
    }
    return undefined;
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
      const sealing = this.sealing?.segment;
      const inSealing = sealing !== undefined && at >= sealing.firstLog && at < sealing.endLog;
      const firstLog = inSealing ? sealing.firstLog : undefined;
      const segment = firstLog === undefined ? this.parts.tables.find(at) : undefined;
      const first = firstLog ?? (segment as Segment).firstLog;
      const segmentEnd = inSealing ? sealing.endLog : first + (segment as Segment).entry.blockCount;
      const stop = Math.min(end, segmentEnd);
      this.died.set(first, (this.died.get(first) ?? 0) + stop - at);
      at = stop;
    }
  }

  private async startSealing(): Promise<void> {
    const segment = this.open;
    if (segment === undefined) return;
    await this.finishSealing();
    this.open = undefined;
    const { blockBytes, compression } = this.parts;
    const done = sealSegment(segment, blockBytes, compression).then((sealed) => this.store(segment, sealed));
    // A failure is thrown where the result is awaited; until then it must not count as unhandled.
    done.catch(() => {});
    this.sealing = { segment, done };
  }

  private async finishSealing(): Promise<void> {
    if (this.sealing === undefined) return;
    await this.sealing.done;
    this.spare = this.sealing.segment.buffer;
    this.sealing = undefined;
  }

  /** Writes a sealed segment and its table with one call, and enters it in the log index. */
  private store(segment: OpenSegment, sealed: SealedSegment): void {
    const { storage, space, index, tables } = this.parts;
    const bytes = sealed.chunks.reduce((total, chunk) => total + (chunk?.stored.length ?? 0), 0);
    if (bytes === 0) return;
    const tableAt = (place: number): ChunkTable => {
      let next = place;
      const chunks = sealed.chunks.map((part) => {
        if (part === undefined) return undefined;
        const chunk = { ...part.chunk, place: next };
        next += chunk.storedBytes;
        return chunk;
      });
      return {
        firstLog: segment.firstLog,
        blockCount: segment.blockCount,
        bornVersion: this.bornVersion,
        runs: segment.runs,
        chunks,
        lost: [],
      };
    };
    // A table is longest when its chunks lie last.
    const longest = encodeChunkTable(tableAt(space.end)).length;
    const place = space.allocate(bytes + longest, 'lasting');
    const table = tableAt(place);
    const encoded = encodeChunkTable(table);
    if (encoded.length < longest) space.release(place + bytes + encoded.length, longest - encoded.length);
    const whole = new Uint8Array(bytes + encoded.length);
    let at = 0;
    for (const part of sealed.chunks) {
      if (part === undefined) continue;
      whole.set(part.stored, at);
      at += part.stored.length;
    }
    whole.set(encoded, at);
    storage.write(whole, place);
    const tablePlace = place + bytes;
    const entry: SegmentEntry = {
      blockCount: segment.blockCount,
      place: tablePlace,
      lengthBytes: encoded.length,
      checksum: checksum(encoded),
      deadBlocks: sealed.deadBlocks,
    };
    putRecord(index, numberKey(segment.firstLog), encodeSegmentEntry(entry));
    tables.remember(entry, table);
    this.dataTotal += bytes;
  }

  /** Version that segments written from now on will belong to. */
  bornVersion = 0;

  /** Writes everything that is still in memory and enters the dead blocks; segments without a live block go. */
  async flush(): Promise<void> {
    await this.startSealing();
    await this.finishSealing();
    for (const [firstLog, count] of this.died) {
      const segment = this.parts.tables.find(firstLog);
      const deadBlocks = segment.entry.deadBlocks + count;
      this.deadTotal += count;
      const isDead = deadBlocks >= segment.entry.blockCount;
      if (!isDead || !this.isDropped(segment))
        putRecord(this.parts.index, numberKey(firstLog), encodeSegmentEntry({ ...segment.entry, deadBlocks }));
    }
    this.died.clear();
  }

  /** False for a segment whose table is damaged: nothing tells what space it took, and writing must go on. */
  private isDropped(segment: Segment): boolean {
    const isGone = unlessCorrupt(() => {
      this.drop(segment);
      return true;
    });
    return isGone === true;
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
      if (chunk !== undefined && !kept.has(chunk)) space.release(chunk.place, chunk.storedBytes);
    space.release(segment.entry.place, segment.entry.lengthBytes);
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
    const table: ChunkTable = { ...old, chunks: placed, lost };
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
    for (const chunk of table.chunks) if (chunk !== undefined) space.release(chunk.place, chunk.storedBytes);
    this.dataTotal -= storedBytesOf(table);
    space.release(segment.entry.place, segment.entry.lengthBytes);
    removeRecord(index, numberKey(segment.firstLog));
    if (segment.firstLog >= this.youngMarkBlock) this.deadTotal = Math.max(0, this.deadTotal - heldBlocksOf(table));
  }
}

function storedBytesOf(table: ChunkTable): number {
  return table.chunks.reduce((total, chunk) => total + (chunk?.storedBytes ?? 0), 0);
}

function heldBlocksOf(table: ChunkTable): number {
  return table.chunks.reduce((total, chunk) => total + (chunk === undefined ? 0 : presentCount(chunk)), 0);
}
