import { chunkBlocksOf } from '../format/chunk-table.ts';
import type { GuestRun } from '../format/guest-runs.ts';
import type { HostRange } from '../format/header.ts';
import { CHUNK_BYTES, SEGMENT_BYTES } from '../format/layout.ts';
import { type Crew, sharedCrew } from '../log/crew.ts';
import type { FillJob, FillResult } from '../log/fill-job.ts';
import { ChunkPlacer } from '../log/placer.ts';
import { sealsOf } from '../log/seal.ts';
import { type SegmentBuffer, segmentBuffer } from '../log/segment.ts';
import { oneBehindTheOther } from '../log/stored.ts';
import type { ByteRange, SourceFile } from '../storage/transfer.ts';
import type { WriteReport } from './api.ts';
import type { Container } from './container.ts';
import { NOTHING_WRITTEN } from './write.ts';

/**
 * A window, which begins at a multiple of this in the disk, is filled as one segment: so it depends only on what the disk
 * holds how it is stored, and not on where the source has holes, or on threads.
 */
export const WINDOW_BYTES = SEGMENT_BYTES;

/** The same on every machine, because places in the file depend on it; enough for as many threads as there may be. */
export const JOBS_UNDER_WAY = 8;

/** One job under way: its ranges, and where its stored bytes go. */
interface Filling {
  readonly ranges: readonly ByteRange[];
  readonly into: SegmentBuffer | readonly HostRange[];
  /** undefined: no thread could do it. */
  readonly done: Promise<FillResult | undefined>;
}

/** Told in order of the disk. */
export interface FillEvents {
  readonly onFilled: (range: ByteRange, report: WriteReport) => void;
  /** What a job could not do is done as every other write, and fails there with the right error. */
  readonly onFailed: (range: ByteRange) => Promise<void>;
}

/**
 * Brings parts of a raw disk that are holes in the working state into it, a segment at a time, on other threads: they
 * read, seal and, if nothing is compressed, write; here only the map and the log index are changed, in order.
 */
export class Filler {
  readonly #container: Container;
  readonly #source: SourceFile;
  readonly #events: FillEvents;
  readonly #crew: Crew = sharedCrew();
  readonly #under: Filling[] = [];
  readonly #buffers: SegmentBuffer[] = [];
  /** Space of the container that was set aside for jobs and not used by them. */
  #spans: HostRange[] = [];

  constructor(container: Container, source: SourceFile, events: FillEvents) {
    this.#container = container;
    this.#source = source;
    this.#events = events;
  }

  /** `ranges` lie in one window of `WINDOW_BYTES`, begin with blocks, and are holes in the working state. */
  async add(ranges: readonly ByteRange[]): Promise<void> {
    this.#under.push(this.#start(ranges));
    while (this.#under.length > JOBS_UNDER_WAY) await this.#takeIn();
  }

  /** Returns when no other thread works on anything any more, also after a failure. */
  async settle(): Promise<void> {
    await Promise.all(this.#under.map(({ done }) => done));
  }

  /** Returns when all that was added is in the working state. */
  async finish(): Promise<void> {
    while (this.#under.length > 0) await this.#takeIn();
    for (const { start, end } of this.#spans) this.#container.space.takeBack(start, end - start);
    this.#spans = [];
  }

  #start(ranges: readonly ByteRange[]): Filling {
    const { blockBytes, header, storage } = this.#container;
    const { compression } = header;
    const { descriptor } = storage;
    const isDirect = compression.codec === 'none' && descriptor !== undefined;
    const into = isDirect ? this.#setAside(ranges) : (this.#buffers.pop() ?? segmentBuffer());
    const job: FillJob = {
      kind: 'fill',
      source: this.#source.descriptor,
      ranges,
      blockBytes,
      compression,
      into:
        'data' in into ? { memory: into.data } : { file: descriptor as NonNullable<typeof descriptor>, spans: into },
    };
    return { ranges, into, done: this.#crew.run(job).catch(() => undefined) };
  }

  /** Space with room for the chunks of a segment. */
  #setAside(ranges: readonly ByteRange[]): HostRange[] {
    const { blockBytes, space } = this.#container;
    let missing = ranges.reduce((total, range) => total + blocksOf(range, blockBytes), 0) * blockBytes;
    const spans: HostRange[] = [];
    while (missing > 0) {
      const span = this.#spans.pop();
      if (span === undefined) break;
      spans.push(span);
      missing -= Math.floor((span.end - span.start) / CHUNK_BYTES) * CHUNK_BYTES;
    }
    if (missing > 0) {
      const start = space.allocate(missing, 'lasting');
      spans.push({ start, end: start + missing });
    }
    return spans;
  }

  async #takeIn(): Promise<void> {
    const filling = this.#under.shift();
    if (filling === undefined) return;
    const { ranges, into } = filling;
    const result = await filling.done;
    if (result === undefined) {
      if ('data' in into) this.#buffers.push(into);
      else this.#spans.push(...into);
      for (const range of ranges) await this.#events.onFailed(range);
      return;
    }
    const { blockBytes, log, map } = this.#container;
    const runs = storedRuns(ranges, result.zeros, blockBytes);
    const seals = sealsOf(result, blockBytes);
    const { storedBlocks } = result;
    if (storedBlocks > 0) {
      const chunkBlocks = chunkBlocksOf(blockBytes);
      const raw = seals.map((_, index) => ({
        blockCount: Math.min(chunkBlocks, storedBlocks - index * chunkBlocks),
        present: undefined,
      }));
      const sealed = { blockCount: storedBlocks, runs, chunks: oneBehindTheOther(seals, raw) };
      let at: number;
      if ('data' in into) {
        at = await log.appendSealed(sealed, into);
      } else {
        const placer = new ChunkPlacer(into);
        const chunks = sealed.chunks.map((chunk) => chunk && { ...chunk, place: placer.place(chunk.storedBytes) });
        at = await log.appendWritten({ ...sealed, chunks });
        this.#keep(placer.left);
      }
      for (const run of runs) {
        map.set(run.start, run.length, at);
        at += run.length;
      }
    } else if (!('data' in into)) {
      this.#keep(into);
    }
    if ('data' in into) this.#buffers.push(into);
    this.#report(ranges, result.zeros);
  }

  /** For the next jobs, if a chunk fits. */
  #keep(left: readonly HostRange[]): void {
    for (const range of left) {
      if (range.end - range.start >= CHUNK_BYTES) this.#spans.push(range);
      else this.#container.space.takeBack(range.start, range.end - range.start);
    }
  }

  #report(ranges: readonly ByteRange[], zeros: Uint8Array): void {
    const { blockBytes } = this.#container;
    let block = 0;
    for (const range of ranges) {
      const count = blocksOf(range, blockBytes);
      const zeroBlocks = countSet(zeros, block, block + count);
      block += count;
      this.#events.onFilled(range, {
        ...NOTHING_WRITTEN,
        requestedBytes: range.end - range.start,
        storedBytes: (count - zeroBlocks) * blockBytes,
        zeroBytes: zeroBlocks * blockBytes,
      });
    }
  }
}

function blocksOf({ start, end }: ByteRange, blockBytes: number): number {
  return Math.ceil((end - start) / blockBytes);
}

function isSet(bits: Uint8Array, index: number): boolean {
  return (((bits[index >>> 3] as number) >>> (index & 7)) & 1) === 1;
}

/** Bits in `[start, end)`; usually there are none. */
function countSet(bits: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; ) {
    if ((at & 7) === 0 && bits[at >>> 3] === 0) {
      at += 8;
    } else {
      if (isSet(bits, at)) count++;
      at++;
    }
  }
  return count;
}

/** Guest runs of what is not zero, in order. */
function storedRuns(ranges: readonly ByteRange[], zeros: Uint8Array, blockBytes: number): GuestRun[] {
  const runs: { start: number; length: number }[] = [];
  let block = 0;
  for (const range of ranges) {
    const last = Math.ceil(range.end / blockBytes);
    for (let guest = range.start / blockBytes; guest < last; ) {
      // Eight blocks at a time where none of them is zeros.
      const count = (block & 7) === 0 && zeros[block >>> 3] === 0 ? Math.min(8, last - guest) : 1;
      if (count > 1 || !isSet(zeros, block)) {
        const run = runs[runs.length - 1];
        if (run !== undefined && run.start + run.length === guest) run.length += count;
        else runs.push({ start: guest, length: count });
      }
      guest += count;
      block += count;
    }
  }
  return runs;
}
