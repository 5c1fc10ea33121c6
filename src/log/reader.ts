import { corrupt, VsimgError } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import {
  type Chunk,
  type ChunkTable,
  CODEC,
  chunkBlocksOf,
  isPresent,
  presentBefore,
  presentCount,
} from '../format/chunk-table.ts';
import { CHUNK_BYTES } from '../format/layout.ts';
import type { Storage } from '../storage/storage.ts';
import { decompress } from './codec.ts';
import { DecodeAhead } from './decode-ahead.ts';
import { DecodedChunks } from './decoded-chunks.ts';
import type { SegmentTables } from './tables.ts';

/** Raw chunks that lie one behind the other are read with one call of up to this size. */
const READ_BYTES = 1024 * 1024;

/** A part of one chunk: blocks `[first, first + count)` of it. */
export interface ChunkPart {
  readonly table: ChunkTable;
  /** Position of the chunk in its table. */
  readonly chunkIndex: number;
  readonly chunk: Chunk;
  readonly first: number;
  readonly count: number;
}

/** So many blocks that a repair gave up. */
export interface LostPart {
  readonly lost: number;
}

/** Reads log blocks; every byte is verified before it is handed on. */
export class LogReader {
  private readonly storage: Storage;
  private readonly tables: SegmentTables;
  private readonly blockBytes: number;
  readonly chunkBlocks: number;
  private readonly decoded: DecodedChunks;
  private readonly ahead: DecodeAhead;
  /** Compressed bytes of one chunk, for as long as it is decoded. */
  private scratch: Uint8Array | undefined;

  constructor(
    storage: Storage,
    tables: SegmentTables,
    { blockBytes, decodedBytes }: { readonly blockBytes: number; readonly decodedBytes: number },
  ) {
    this.storage = storage;
    this.tables = tables;
    this.blockBytes = blockBytes;
    this.decoded = new DecodedChunks(blockBytes, decodedBytes);
    this.ahead = new DecodeAhead(storage, this.decoded, blockBytes);
    this.chunkBlocks = chunkBlocksOf(blockBytes);
  }

  /** The parts of chunks that hold `[log, log + count)`, in order. Errors: 'corrupt' for blocks that are not kept. */
  *parts(log: number, count: number): Generator<ChunkPart> {
    for (const part of this.partsAndLost(log, count)) {
      if ('lost' in part)
        throw new VsimgError('corrupt', 'found damaged, and given up by a repair', {
          hint: 'read another version, or write whole blocks there again',
        });
      yield part;
    }
  }

  /** As `parts`, with those blocks in their place that a repair gave up. */
  *partsAndLost(log: number, count: number): Generator<ChunkPart | LostPart> {
    let at = log;
    const end = log + count;
    while (at < end) {
      const table = this.tables.table(this.tables.find(at));
      const segmentEnd = Math.min(end, table.firstLog + table.blockCount);
      while (at < segmentEnd) {
        const inSegment = at - table.firstLog;
        const chunkIndex = Math.floor(inSegment / this.chunkBlocks);
        const first = inSegment - chunkIndex * this.chunkBlocks;
        const chunk = table.chunks[chunkIndex];
        let length = chunk === undefined ? 0 : Math.min(chunk.blockCount - first, segmentEnd - at);
        if (chunk?.present !== undefined) {
          const wanted = length;
          length = 0;
          while (length < wanted && isPresent(chunk, first + length)) length++;
        }
        if (chunk !== undefined && length > 0) {
          yield { table, chunkIndex, chunk, first, count: length };
        } else {
          const start = at;
          const gone = table.lost.find((run) => start >= run.start && start < run.end);
          if (gone === undefined) throw corrupt(`log block ${at} was given up by gc but is still referred to`);
          length = Math.min(gone.end, segmentEnd) - at;
          yield { lost: length };
        }
        at += length;
      }
    }
  }

  /** Fills `into` (a whole number of blocks) from log block `log` on. */
  read(log: number, into: Uint8Array): void {
    const { blockBytes } = this;
    let offset = 0;
    let pending: { place: number; lengthBytes: number; offset: number; sums: Uint32Array[] } | undefined;
    const flush = (): void => {
      if (pending !== undefined)
        this.readRaw(pending.place, into.subarray(pending.offset, pending.offset + pending.lengthBytes), pending.sums);
      pending = undefined;
    };
    for (const { chunk, first, count } of this.parts(log, into.length / blockBytes)) {
      const lengthBytes = count * blockBytes;
      const stored = presentBefore(chunk, first);
      if (chunk.codec === CODEC.raw) {
        const place = chunk.place + stored * blockBytes;
        const sums = chunk.checksums.subarray(stored, stored + count);
        if (
          pending !== undefined &&
          pending.place + pending.lengthBytes === place &&
          // Chunks that touch in the file need not follow each other in the log.
          pending.offset + pending.lengthBytes === offset &&
          pending.lengthBytes + lengthBytes <= READ_BYTES
        ) {
          pending.lengthBytes += lengthBytes;
          pending.sums.push(sums);
        } else {
          flush();
          pending = { place, lengthBytes, offset, sums: [sums] };
        }
      } else {
        const part = into.subarray(offset, offset + lengthBytes);
        // A chunk that is read whole is not asked for again soon; kept, it would outlive many cheap collections.
        if (count === this.chunkBlocks) this.decodeInto(chunk, part);
        else part.set(this.recent(chunk).subarray(stored * blockBytes, stored * blockBytes + lengthBytes));
      }
      offset += lengthBytes;
    }
    flush();
  }

  private readRaw(place: number, into: Uint8Array, sums: readonly Uint32Array[]): void {
    if (this.storage.read(into, place) < into.length)
      throw corrupt(`data at ${place} lies beyond the end of the file`, place);
    let offset = 0;
    for (const list of sums) {
      for (const sum of list) {
        if (checksum(into.subarray(offset, offset + this.blockBytes)) !== sum)
          throw corrupt(`data at ${place + offset} has a wrong checksum`, place + offset);
        offset += this.blockBytes;
      }
    }
  }

  /**
   * True if uncompressed blocks are stored as exactly these bytes, which says more than their checksums would. False for all
   * that is compressed or can not be read.
   */
  isStoredAs({ chunk, first, count }: ChunkPart, bytes: Uint8Array): boolean {
    if (chunk.codec !== CODEC.raw) return false;
    this.scratch ??= new Uint8Array(CHUNK_BYTES);
    const { blockBytes } = this;
    const stored = this.scratch.subarray(0, count * blockBytes);
    const place = chunk.place + presentBefore(chunk, first) * blockBytes;
    return this.storage.read(stored, place) === stored.length && Buffer.compare(stored, bytes) === 0;
  }

  /** Reads a chunk and compares it with its checksums. Errors: 'corrupt'. */
  verify(chunk: Chunk): void {
    this.scratch ??= new Uint8Array(CHUNK_BYTES);
    const stored = this.scratch.subarray(0, chunk.storedBytes);
    if (chunk.codec === CODEC.raw) this.readRaw(chunk.place, stored, [chunk.checksums]);
    else this.readStored(chunk, stored);
  }

  private recent(chunk: Chunk): Uint8Array {
    return this.decoded.get(chunk, (into) => this.decodeInto(chunk, into));
  }

  /**
   * Decodes on other threads what `read` of `[log, log + count)` would decode and keep here; undefined where there is nothing to wait
   * for. Errors: as `parts`, and none for what can not be decoded, of which `read` tells.
   */
  prepare(log: number, count: number): Promise<unknown> | undefined {
    const waits: Promise<void>[] = [];
    for (const { chunk, count: blocks } of this.parts(log, count)) {
      const wait = blocks === this.chunkBlocks ? undefined : this.ahead.start(chunk);
      if (wait !== undefined) waits.push(wait);
    }
    return waits.length > 1 ? Promise.all(waits) : waits[0];
  }

  /** The raw bytes of all present blocks of a chunk; at the beginning of `into`, if that is given. */
  decode(chunk: Chunk, into: Uint8Array = new Uint8Array(presentCount(chunk) * this.blockBytes)): Uint8Array {
    const raw = into.subarray(0, presentCount(chunk) * this.blockBytes);
    if (chunk.codec === CODEC.raw) return this.storedBytes(chunk, raw);
    this.decodeInto(chunk, raw);
    return raw;
  }

  /** Fills `raw`, as long as what a compressed chunk holds. */
  decodeInto(chunk: Chunk, raw: Uint8Array): void {
    this.scratch ??= new Uint8Array(CHUNK_BYTES);
    const stored = this.scratch.subarray(0, chunk.storedBytes);
    this.readStored(chunk, stored);
    decompress(stored, raw, chunk.place, 'few');
  }

  /** The bytes of a chunk as they are stored, verified; at the beginning of `into`, if that is given. */
  storedBytes(chunk: Chunk, into: Uint8Array = new Uint8Array(chunk.storedBytes)): Uint8Array {
    const stored = into.subarray(0, chunk.storedBytes);
    if (chunk.codec === CODEC.raw) this.readRaw(chunk.place, stored, [chunk.checksums]);
    else this.readStored(chunk, stored);
    return stored;
  }

  private readStored(chunk: Chunk, into: Uint8Array): void {
    if (this.storage.read(into, chunk.place) < into.length)
      throw corrupt(`chunk at ${chunk.place} lies beyond the end of the file`, chunk.place);
    if (checksum(into) !== chunk.checksums[0])
      throw corrupt(`chunk at ${chunk.place} has a wrong checksum`, chunk.place);
  }
}
