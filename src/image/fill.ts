import type { GuestRun } from '../format/chunk-table.ts';
import { chunkBlocksOf, segmentBlocksOf } from '../format/chunk-table.ts';
import type { HostRange } from '../format/header.ts';
import { CHUNK_BYTES } from '../format/layout.ts';
import { type Crew, sharedCrew } from '../log/crew.ts';
import type { FillJob, FillResult } from '../log/fill-job.ts';
import { ChunkPlacer } from '../log/placer.ts';
import { sealsOf } from '../log/seal.ts';
import { type SegmentBuffer, segmentBuffer } from '../log/segment.ts';
import { oneBehindTheOther } from '../log/writer.ts';
import type { ByteRange, SourceFile } from '../storage/transfer.ts';
import type { WriteReport } from './api.ts';
import type { Container } from './container.ts';
import { NOTHING_WRITTEN } from './write.ts';

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
  #ranges: ByteRange[] = [];
  #blocks = 0;

  constructor(container: Container, source: SourceFile, events: FillEvents) {
    this.#container = container;
    this.#source = source;
    this.#events = events;
  }

  /** `range` begins with a block and is a hole in the working state. */
  async add(range: ByteRange): Promise<void> {
    const { blockBytes } = this.#container;
    const segmentBlocks = segmentBlocksOf(blockBytes);
    for (let start = range.start; start < range.end; ) {
      const end = Math.min(range.end, start + (segmentBlocks - this.#blocks) * blockBytes);
      this.#ranges.push({ start, end });
      this.#blocks += Math.ceil((end - start) / blockBytes);
      start = end;
      if (this.#blocks === segmentBlocks) await this.#send();
    }
  }

  /** Returns when all that was added is in the working state. */
  async finish(): Promise<void> {
    if (this.#blocks > 0) await this.#send();
    while (this.#under.length > 0) await this.#takeIn();
    for (const { start, end } of this.#spans) this.#container.space.takeBack(start, end - start);
    this.#spans = [];
  }

  async #send(): Promise<void> {
    const { blockBytes, header, storage } = this.#container;
    const { compression } = header;
    const { descriptor } = storage;
    const isDirect = compression.codec === 'none' && descriptor !== undefined;
    const into = isDirect ? this.#setAside() : (this.#buffers.pop() ?? segmentBuffer());
    const job: FillJob = {
      kind: 'fill',
      source: this.#source.descriptor,
      ranges: this.#ranges,
      blockBytes,
      compression,
      into:
        'data' in into ? { memory: into.data } : { file: descriptor as NonNullable<typeof descriptor>, spans: into },
    };
    const done = this.#crew.run(job).catch(() => undefined);
    this.#under.push({ ranges: this.#ranges, into, done });
    this.#ranges = [];
    this.#blocks = 0;
    while (this.#under.length > this.#crew.depth) await this.#takeIn();
  }

  /** Ranges with room for the chunks of the next segment. */
  #setAside(): HostRange[] {
    let missing = this.#blocks * this.#container.blockBytes;
    const spans: HostRange[] = [];
    while (missing > 0) {
      const span = this.#spans.pop();
      if (span === undefined) break;
      spans.push(span);
      missing -= Math.floor((span.end - span.start) / CHUNK_BYTES) * CHUNK_BYTES;
    }
    if (missing > 0) {
      const start = this.#container.space.allocate(missing, 'lasting');
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
      const count = Math.ceil((range.end - range.start) / blockBytes);
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
