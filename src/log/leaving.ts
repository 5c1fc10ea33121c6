import type { Compression } from '../format/header.ts';
import { type SealColumns, sealsOf } from './seal.ts';
import { isSealedInPlace, type RawChunk, runSealJob, type SealJob } from './seal-job.ts';
import { OpenSegment, type SegmentBuffer, segmentBuffer } from './segment.ts';
import { Spares } from './spares.ts';
import { oneBehindTheOther, type SealedSegment } from './stored.ts';

/** Segments that are being written at a time: more would only be more memory. */
const MAX_WRITES = 1;
/** The same for those that are being sealed, on whichever thread. */
const MAX_SEALING = 3;

interface Leaving {
  readonly segment: OpenSegment;
  readonly chunks: readonly RawChunk[];
  /** Undefined: sealed where it is. */
  readonly into: SegmentBuffer | undefined;
  readonly sealed: Promise<SealColumns>;
  /** From when it has its place on. */
  written?: Promise<void>;
}

export interface LeavingOptions {
  readonly blockBytes: number;
  readonly compression: Compression;
  /**
   * Gives a sealed segment its place before it returns; `buffer`, with its stored bytes, stays as it is until the promise
   * resolves.
   */
  readonly store: (segment: SealedSegment, buffer: SegmentBuffer, deadBlocks: number) => Promise<void>;
}

/**
 * Full segments on their way into the container: they are sealed by several threads and written while the next ones are filled. Each
 * can be read here until it is written. They get their places in the order of the log, whichever is sealed first.
 */
export class LeavingSegments {
  readonly #options: LeavingOptions;
  /** Oldest first. */
  readonly #leaving: Leaving[] = [];
  /** Apart from each other: of what chunks are sealed into, only as much is touched as they take. */
  readonly #spares = { raw: new Spares(segmentBuffer), sealed: new Spares(segmentBuffer) };

  constructor(options: LeavingOptions) {
    this.#options = options;
  }

  /** A segment to be filled. */
  open(firstLog: number): OpenSegment {
    return new OpenSegment(firstLog, this.#spares.raw.take(), this.#options.blockBytes);
  }

  /** Every block below this is in the container; undefined: all that were full are. */
  get firstLog(): number | undefined {
    return this.#leaving[0]?.segment.firstLog;
  }

  find(log: number): OpenSegment | undefined {
    return this.#leaving.find(({ segment }) => log >= segment.firstLog && log < segment.endLog)?.segment;
  }

  /**
   * Begins to seal a segment, to which nothing is appended any more. 'many': others will follow, so that starting threads
   * pays. Waits for older ones when there are too many. Errors: of `store`, also for those.
   */
  async add(segment: OpenSegment, amount: 'few' | 'many'): Promise<void> {
    const { blockBytes, compression } = this.#options;
    const chunks = segment.chunks();
    const into = isSealedInPlace({ compression, chunks }) ? undefined : this.#spares.sealed.take();
    const { data } = segment.buffer;
    const job: SealJob = { kind: 'seal', raw: data, into: into?.data ?? data, blockBytes, compression, chunks };
    if (amount === 'few' && this.#leaving.length === 0) {
      this.#leaving.push({ segment, chunks, into, sealed: Promise.resolve(runSealJob(job)) });
      return;
    }
    const loading = import('./crew.ts').then(({ sharedCrew }) => sharedCrew());
    const sealed = loading.then((crew) => crew.run(job));
    // A failure is thrown where the result is awaited; until then it must not count as unhandled.
    sealed.catch(() => {});
    // At once: until it is stored, the segment is read here.
    this.#leaving.push({ segment, chunks, into, sealed });
    const crew = await loading;
    const most = Math.min(crew.depth, MAX_SEALING);
    while (this.#leaving.filter(({ written }) => written === undefined).length > most) await this.#storeOldest();
  }

  /** Resolves when all are in the container. */
  async finish(): Promise<void> {
    while (this.#leaving.some(({ written }) => written === undefined)) await this.#storeOldest();
    while (this.#leaving.length > 0) await this.#leaveOldest();
    // Whoever writes little needs no more; who writes much is not here often.
    this.#spares.raw.loosen(1);
    this.#spares.sealed.loosen(1);
  }

  /** Gives the oldest segment that has none its place; it is being written from then on. */
  async #storeOldest(): Promise<void> {
    const index = this.#leaving.findIndex(({ written }) => written === undefined);
    const oldest = this.#leaving[index];
    if (oldest === undefined) return;
    const result = await oldest.sealed;
    if (index >= MAX_WRITES) await this.#leaveOldest();
    oldest.written = this.#store(oldest, result);
    // As above.
    oldest.written.catch(() => {});
  }

  async #leaveOldest(): Promise<void> {
    const [oldest] = this.#leaving;
    await oldest?.written;
    this.#leaving.shift();
    if (oldest !== undefined) this.#spares.raw.give(oldest.segment.buffer);
    if (oldest?.into !== undefined) this.#spares.sealed.give(oldest.into);
  }

  #store({ segment, chunks: raw, into }: Leaving, result: SealColumns): Promise<void> {
    const chunks = oneBehindTheOther(sealsOf(result, this.#options.blockBytes), raw);
    const { firstLog, blockCount, runs, deadBlocks } = segment;
    return this.#options.store({ firstLog, blockCount, runs, chunks }, into ?? segment.buffer, deadBlocks);
  }
}
