import { type Chunk, chunkBlocksOf, type GuestRun } from '../format/chunk-table.ts';
import type { SealedChunk } from './seal.ts';

/** A segment that is being filled, in memory: whole blocks in log order. */
export class OpenSegment {
  readonly firstLog: number;
  readonly buffer: Uint8Array;
  readonly runs: GuestRun[] = [];
  /** Chunks that came sealed, by their position; their stored bytes stand in the buffer where raw ones would. */
  readonly sealed = new Map<number, Chunk>();
  blockCount = 0;
  private readonly blockBytes: number;
  private readonly dead: Uint8Array;

  constructor(firstLog: number, buffer: Uint8Array, blockBytes: number) {
    this.firstLog = firstLog;
    this.buffer = buffer;
    this.blockBytes = blockBytes;
    this.dead = new Uint8Array(buffer.length / blockBytes);
  }

  get endLog(): number {
    return this.firstLog + this.blockCount;
  }

  get roomBlocks(): number {
    return this.dead.length - this.blockCount;
  }

  append(guestStart: number, bytes: Uint8Array): void {
    this.buffer.set(bytes, this.blockCount * this.blockBytes);
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
  appendSealed(runs: readonly GuestRun[], { chunk, stored }: SealedChunk): void {
    this.buffer.set(stored, this.blockCount * this.blockBytes);
    this.sealed.set(this.blockCount / chunkBlocksOf(this.blockBytes), chunk);
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
    into.set(this.buffer.subarray(offset, offset + into.length));
  }

  markDead(log: number, count: number): void {
    this.dead.fill(1, log - this.firstLog, log - this.firstLog + count);
  }

  isDead(block: number): boolean {
    return this.dead[block] === 1;
  }
}
