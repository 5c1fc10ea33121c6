import { corrupt } from '../errors.ts';
import {
  type Chunk,
  CODEC,
  chunkBlocksOf,
  presentBefore,
  presentCount,
  segmentBlocksOf,
} from '../format/chunk-table.ts';
import type { GuestRun } from '../format/guest-runs.ts';
import { CHUNK_BYTES } from '../format/layout.ts';
import { blake3 } from '../log/hash.ts';
import type { ChunkPart } from '../log/reader.ts';
import { LOST, type Renumbering } from '../log/renumbering.ts';
import { turnGiver } from '../storage/turns.ts';
import type { OnProgress } from './api.ts';
import type { Container } from './container.ts';

const CACHED_BYTES = 16 * 1024 * 1024;
/** So many whole chunks must follow before log numbers are left out for them to be taken over as they are. */
const WHOLE_CHUNKS = 2;
/** One chunk of so many may be cut short for that. */
const SHORT_CHUNK_SHARE = 1 / 32;

export interface CopyProgress {
  readonly onProgress: OnProgress | undefined;
  readonly totalBytes: number;
}

/**
 * Appends blocks of the log to the log again, in the order in which they are given, and keeps their new numbers. Whole
 * chunks that stay together are taken over as they are stored; all others are decoded, compared with their hash and sealed
 * anew, because a new hash must not vouch for bytes that the old one denies.
 */
export class LogCopier {
  private readonly container: Container;
  private readonly renumbering: Renumbering;
  private readonly progress: CopyProgress;
  /** Old log blocks that follow each other, and where in the disk they are. */
  private log = 0;
  private count = 0;
  private guests: { start: number; length: number }[] = [];
  private chunks = 0;
  private shortChunks = 0;
  private doneBytes = 0;
  private readonly giveTurn = turnGiver();
  private readonly decoded = new Map<number, Uint8Array>();
  private decodedBytes = 0;
  /** For one chunk as it is stored: thousands of fresh ones would be freed too late. */
  private readonly buffer = new Uint8Array(CHUNK_BYTES);

  constructor(container: Container, renumbering: Renumbering, progress: CopyProgress) {
    this.container = container;
    this.renumbering = renumbering;
    this.progress = progress;
  }

  /** Log blocks `[log, log + count)` belong to guest blocks `guestStart` on. Errors: 'corrupt' where they are damaged. */
  async add(guestStart: number, log: number, count: number): Promise<void> {
    if (this.count > 0 && log !== this.log + this.count) await this.finish();
    if (this.count === 0) this.log = log;
    this.count += count;
    const last = this.guests[this.guests.length - 1];
    if (last !== undefined && last.start + last.length === guestStart) last.length += count;
    else this.guests.push({ start: guestStart, length: count });
    // What is held back may be the beginning of a chunk that goes on with the next run.
    const heldBack = segmentBlocksOf(this.container.blockBytes);
    if (this.count >= 2 * heldBack) await this.copy(heldBack);
  }

  /** Copies what was added and not copied yet. */
  async finish(): Promise<void> {
    await this.copy(0);
  }

  /** Copies all but at most the last `heldBack` blocks. */
  private async copy(heldBack: number): Promise<void> {
    let rest = this.count;
    for (const part of this.container.reader.partsAndLost(this.log, rest)) {
      const count = 'lost' in part ? part.lost : part.count;
      if (heldBack > 0 && rest - count < heldBack) break;
      const guests = this.takeGuests(count);
      const log = this.log + this.count - rest;
      if ('lost' in part) this.setLost(log, count);
      else await this.copyPart(part, log, { guests, wholeAhead: Math.floor(rest / part.chunk.blockCount) });
      rest -= count;
      this.doneBytes += count * this.container.blockBytes;
      this.progress.onProgress?.(Math.min(this.doneBytes, this.progress.totalBytes), this.progress.totalBytes);
      await this.giveTurn();
    }
    this.log += this.count - rest;
    this.count = rest;
  }

  private takeGuests(count: number): GuestRun[] {
    const taken: GuestRun[] = [];
    for (let left = count; left > 0; ) {
      const first = this.guests[0] as { start: number; length: number };
      const length = Math.min(left, first.length);
      taken.push({ start: first.start, length });
      left -= length;
      if (length === first.length) this.guests.shift();
      else this.guests[0] = { start: first.start + length, length: first.length - length };
    }
    return taken;
  }

  private setLost(log: number, count: number): void {
    for (const run of [...this.renumbering.runs(log, count)])
      if (run.next === undefined) this.renumbering.set(run.log, run.count, LOST);
  }

  private async copyPart(
    part: ChunkPart,
    log: number,
    { guests, wholeAhead }: { readonly guests: readonly GuestRun[]; readonly wholeAhead: number },
  ): Promise<void> {
    const writer = this.container.log;
    const fresh = [...this.renumbering.runs(log, part.count)].filter(({ next }) => next === undefined);
    const isWhole =
      part.chunk.present === undefined &&
      part.count === chunkBlocksOf(this.container.blockBytes) &&
      fresh[0]?.count === part.count;
    if (isWhole && writer.begunBlocks > 0 && wholeAhead >= WHOLE_CHUNKS && this.mayCutShort()) {
      writer.skipToChunk();
      this.shortChunks++;
    }
    if (isWhole && writer.begunBlocks === 0) {
      await writer.room();
      const stored = this.container.reader.storedBytes(part.chunk, this.buffer);
      this.renumbering.set(log, part.count, writer.appendChunk(guests, { chunk: part.chunk, stored }));
      this.chunks++;
      return;
    }
    const raw = this.verified(part.chunk);
    for (const run of fresh) await this.append(part, { log, guests, run, raw });
    this.chunks += part.count / chunkBlocksOf(this.container.blockBytes);
  }

  private mayCutShort(): boolean {
    return this.shortChunks <= this.chunks * SHORT_CHUNK_SHARE;
  }

  /** Appends the blocks of `run` out of `raw`, all blocks that the chunk of `part` holds. */
  private async append(
    part: ChunkPart,
    from: {
      readonly log: number;
      readonly guests: readonly GuestRun[];
      readonly run: { readonly log: number; readonly count: number };
      readonly raw: Uint8Array;
    },
  ): Promise<void> {
    const { blockBytes, log: writer } = this.container;
    const end = from.run.log + from.run.count;
    let guestLog = from.log;
    for (const guest of from.guests) {
      let at = Math.max(guestLog, from.run.log);
      const stop = Math.min(guestLog + guest.length, end);
      while (at < stop) {
        const count = Math.min(stop - at, await writer.room());
        // The blocks of a part are all present.
        const offset = (presentBefore(part.chunk, part.first) + at - from.log) * blockBytes;
        const bytes = from.raw.subarray(offset, offset + count * blockBytes);
        this.renumbering.set(at, count, writer.append(guest.start + at - guestLog, bytes));
        at += count;
      }
      guestLog += guest.length;
    }
  }

  private verified(chunk: Chunk): Uint8Array {
    const known = this.decoded.get(chunk.place);
    if (known !== undefined) return known;
    const raw = this.decodedBuffer(presentCount(chunk) * this.container.blockBytes);
    if (chunk.codec === CODEC.raw) this.container.reader.storedBytes(chunk, raw);
    else this.container.reader.decodeInto(chunk, raw);
    if (Buffer.compare(blake3(raw), chunk.hash) !== 0)
      throw corrupt(`chunk at ${chunk.place} does not hold what its hash says`, chunk.place);
    this.decoded.set(chunk.place, raw);
    this.decodedBytes += raw.length;
    return raw;
  }

  /** Memory for a decoded chunk: that of the oldest ones, of which new ones would be collected much too late. */
  private decodedBuffer(lengthBytes: number): Uint8Array {
    for (const [place, old] of this.decoded) {
      if (this.decodedBytes + lengthBytes <= CACHED_BYTES) break;
      this.decoded.delete(place);
      this.decodedBytes -= old.length;
      if (old.length === lengthBytes) return old;
    }
    return new Uint8Array(lengthBytes);
  }
}
