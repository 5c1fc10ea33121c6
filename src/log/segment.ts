import type { GuestRun } from '../format/chunk-table.ts';

/** A segment that is being filled, in memory: whole blocks in log order. */
export class OpenSegment {
  readonly firstLog: number;
  readonly buffer: Uint8Array;
  readonly runs: GuestRun[] = [];
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
    const length = bytes.length / this.blockBytes;
    this.blockCount += length;
    const last = this.runs[this.runs.length - 1];
    if (last !== undefined && last.start + last.length === guestStart)
      this.runs[this.runs.length - 1] = { start: last.start, length: last.length + length };
    else this.runs.push({ start: guestStart, length });
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
