import { chunkBlocksOf, segmentBlocksOf } from '../format/chunk-table.ts';
import type { GuestRun } from '../format/guest-runs.ts';
import { SEGMENT_BYTES } from '../format/layout.ts';
import type { Seal, SealedChunk } from './seal.ts';
import type { RawChunk } from './seal-job.ts';

/** Before the data of a segment its table has room, so that both are written with one call. */
const TABLE_ROOM_BYTES = 64 * 1024;

/** Memory for one segment: `data` is a part of `whole`, with room before it. */
export interface SegmentBuffer {
  readonly whole: Uint8Array;
  readonly data: Uint8Array;
}

/** Shared memory, so that threads can work on it; what is never touched takes none. */
export function segmentBuffer(): SegmentBuffer {
  const whole = new Uint8Array(new SharedArrayBuffer(TABLE_ROOM_BYTES + SEGMENT_BYTES));
  return { whole, data: whole.subarray(TABLE_ROOM_BYTES) };
}

/** Parts of `buffer` to be written one behind the other: `head`, then the first `lengthBytes` of the data. */
export function withHead({ whole, data }: SegmentBuffer, head: Uint8Array, lengthBytes: number): Uint8Array[] {
  const start = TABLE_ROOM_BYTES - head.length;
  if (start < 0) return [head, data.subarray(0, lengthBytes)];
  whole.set(head, start);
  return [whole.subarray(start, TABLE_ROOM_BYTES + lengthBytes)];
}

/** A segment that is being filled, in memory: whole blocks in log order. */
export class OpenSegment {
  readonly firstLog: number;
  readonly buffer: SegmentBuffer;
  readonly runs: GuestRun[] = [];
  /** Chunks that came sealed, by their position; their stored bytes stand in the buffer where raw ones would. */
  private readonly sealed = new Map<number, Seal>();
  blockCount = 0;
  private readonly blockBytes: number;
  private readonly dead: Uint8Array;
  private deadCount = 0;

  constructor(firstLog: number, buffer: SegmentBuffer, blockBytes: number) {
    this.firstLog = firstLog;
    this.buffer = buffer;
    this.blockBytes = blockBytes;
    this.dead = new Uint8Array(segmentBlocksOf(blockBytes));
  }

  get endLog(): number {
    return this.firstLog + this.blockCount;
  }

  get roomBlocks(): number {
    return this.dead.length - this.blockCount;
  }

  append(guestStart: number, bytes: Uint8Array): void {
    this.buffer.data.set(bytes, this.blockCount * this.blockBytes);
    this.extend({ start: guestStart, length: bytes.length / this.blockBytes });
  }

  private extend({ start, length }: GuestRun): void {
    this.blockCount += length;
    const last = this.runs[this.runs.length - 1];
    if (last !== undefined && last.start + last.length === start)
      this.runs[this.runs.length - 1] = { start: last.start, length: last.length + length };
    else this.runs.push({ start, length });
  }

  /** Blocks by which the last chunk is begun; 0: the next block begins one. */
  get begunBlocks(): number {
    return this.blockCount % chunkBlocksOf(this.blockBytes);
  }

  /** Adds a whole chunk as it is stored; `begunBlocks` must be 0. */
  appendChunk(runs: readonly GuestRun[], { chunk, stored }: SealedChunk): void {
    this.buffer.data.set(stored, this.blockCount * this.blockBytes);
    const { codec, storedBytes, hash, checksums } = chunk;
    // Copies: the seal goes from thread to thread, with all the memory that it is a part of.
    const seal = { codec, storedBytes, hash: hash.slice(), checksums: checksums.slice() };
    this.sealed.set(this.blockCount / chunkBlocksOf(this.blockBytes), seal);
    for (const run of runs) this.extend(run);
  }

  /** Leaves the numbers of the begun chunk unused that are left. */
  skipToChunk(): void {
    const { begunBlocks } = this;
    const last = this.runs[this.runs.length - 1];
    if (begunBlocks === 0 || last === undefined) return;
    const count = chunkBlocksOf(this.blockBytes) - begunBlocks;
    // Guest runs are as long as the segment; a block that is not held is not looked for.
    this.runs[this.runs.length - 1] = { start: last.start, length: last.length + count };
    this.blockCount += count;
    this.markDead(this.endLog - count, count);
  }

  read(log: number, into: Uint8Array): void {
    const offset = (log - this.firstLog) * this.blockBytes;
    into.set(this.buffer.data.subarray(offset, offset + into.length));
  }

  markDead(log: number, count: number): void {
    const first = log - this.firstLog;
    for (let block = first; block < first + count; block++) {
      if (this.dead[block] === 0) this.deadCount++;
      this.dead[block] = 1;
    }
  }

  get deadBlocks(): number {
    return this.deadCount;
  }

  /** What is to be sealed: dead blocks are left out. */
  chunks(): RawChunk[] {
    const chunkBlocks = chunkBlocksOf(this.blockBytes);
    const chunks: RawChunk[] = [];
    for (let first = 0; first < this.blockCount; first += chunkBlocks) {
      const blockCount = Math.min(chunkBlocks, this.blockCount - first);
      const start = first * this.blockBytes;
      const seal = this.sealed.get(first / chunkBlocks);
      chunks.push({
        start,
        blockCount,
        present: seal === undefined ? this.presentOf(first, blockCount) : undefined,
        seal,
      });
    }
    return chunks;
  }

  private presentOf(first: number, blockCount: number): Uint8Array | undefined {
    const dead = this.dead.subarray(first, first + blockCount);
    if (!dead.includes(1)) return undefined;
    const bits = new Uint8Array(Math.ceil(blockCount / 8));
    dead.forEach((isDead, block) => {
      if (isDead === 0) bits[block >>> 3] = (bits[block >>> 3] as number) | (1 << (block & 7));
    });
    return bits;
  }
}
