import { VsimgError } from '../errors.ts';
import { monotonicMilliseconds } from '../storage/clock.ts';
import { turnGiver } from '../storage/turns.ts';
import type { OnProgress, WriteReport } from './api.ts';
import type { Image } from './image.ts';
import { Latencies } from './latency.ts';
import { Random } from './random.ts';
import { addReports, NOTHING_WRITTEN } from './write.ts';

/** For what is written; requests that are under way at the same time have a buffer each. */
const MAX_BUFFER_BYTES = 1024 ** 3;

export interface BenchPlan {
  readonly operation: 'read' | 'write';
  readonly count: number;
  /** Requests that are under way at a time. */
  readonly depth: number;
  readonly requestBytes: number;
  readonly offset: number;
  /** From one request to the next; 'random': anywhere from `offset` on, at multiples of the length from there. */
  readonly step: number | 'random';
  readonly seed: number;
  /** The byte that is written; undefined: data that does not compress and that no other request writes. */
  readonly pattern: number | undefined;
  /** Publishes after so many writes, besides once at the end. */
  readonly flushInterval: number | undefined;
}

export interface BenchResult {
  readonly milliseconds: number;
  /** Of that, until what was written was durable. */
  readonly flushMilliseconds: number;
  /** From the start of a request to its end, in nanoseconds. */
  readonly latencies: Latencies;
  /** Of what was read, what was no hole. */
  readonly dataBytes: number;
  readonly written: WriteReport;
}

/**
 * Does `plan` to a state of the disk, or to the working state, which is published. Errors: 'refused' for requests that do
 * not fit on the disk, 'usage' for too much at a time, and those of reading and writing.
 */
export async function benchmark(
  image: Image,
  rev: string | null,
  plan: BenchPlan,
  onProgress?: OnProgress,
): Promise<BenchResult> {
  const { operation, count, requestBytes, flushInterval } = plan;
  checkPlan(plan, image.sizeOf(rev), image.path);
  const latencies = new Latencies();
  const places = placesOf(plan, image.sizeOf(rev));
  const together = sharedTurns();
  let [dataBytes, doneCount, flushMilliseconds] = [0, 0, 0];
  let written = NOTHING_WRITTEN;
  const flush = async (): Promise<void> => {
    const start = monotonicMilliseconds();
    await image.publish();
    flushMilliseconds += monotonicMilliseconds() - start;
  };
  const work = async (worker: number): Promise<void> => {
    const data = operation === 'write' ? new WriteData(plan, worker) : undefined;
    for (let next = places.next(); next.done !== true; next = places.next()) {
      const offset = next.value;
      const bytes = data?.next();
      const start = monotonicMilliseconds();
      if (bytes !== undefined) {
        const report = await image.write(offset, bytes);
        written = addReports(written, report);
      } else {
        // Behind the requests that are under way: what is read at once would not wait for them otherwise.
        await Promise.resolve();
        for await (const piece of image.pieces(rev, offset, offset + requestBytes))
          if (piece.kind === 'data') dataBytes += piece.bytes.length;
      }
      latencies.add((monotonicMilliseconds() - start) * 1e6);
      doneCount++;
      onProgress?.(doneCount * requestBytes, count * requestBytes);
      if (flushInterval !== undefined && doneCount % flushInterval === 0 && doneCount < count) await flush();
      await together();
    }
  };
  const start = monotonicMilliseconds();
  await Promise.all(Array.from({ length: Math.min(plan.depth, count) }, (_, worker) => work(worker)));
  if (operation === 'write') await flush();
  return { milliseconds: monotonicMilliseconds() - start, flushMilliseconds, latencies, dataBytes, written };
}

/** Gives turns to all workers at the same time: the first one that came back from its own would not let the others go on. */
function sharedTurns(): () => Promise<void> | undefined {
  const giveTurn = turnGiver();
  let turn: Promise<void> | undefined;
  return () => {
    turn ??= giveTurn()?.then(() => {
      turn = undefined;
    });
    return turn;
  };
}

function checkPlan({ operation, requestBytes, depth, offset }: BenchPlan, sizeBytes: number, path: string): void {
  if (operation === 'write' && requestBytes * depth > MAX_BUFFER_BYTES) {
    throw new VsimgError('usage', `${depth} requests of ${requestBytes} bytes at a time are too much`, {
      hint: 'make it 1 GiB at most',
    });
  }
  if (offset + requestBytes <= sizeBytes) return;
  throw new VsimgError(
    'refused',
    `a request of ${requestBytes} bytes at ${offset} reaches beyond the end of the disk, which has ${sizeBytes} bytes`,
    { path, hint: 'give a smaller --size or --offset' },
  );
}

/** What would reach beyond the end of the disk goes on at its start. */
function* placesOf({ count, requestBytes, offset, step, seed }: BenchPlan, sizeBytes: number): Generator<number> {
  const random = new Random(seed);
  const slotCount = Math.floor((sizeBytes - offset) / requestBytes);
  let at = offset;
  for (let number = 0; number < count; number++) {
    if (step === 'random') {
      yield offset + random.below(slotCount) * requestBytes;
      continue;
    }
    yield at;
    at = (at + step) % sizeBytes;
    if (at + requestBytes > sizeBytes) at = 0;
  }
}

/** The bytes of one request after the other: one byte all over, or noise of which no block is like another. */
class WriteData {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #random: Random | undefined;

  constructor({ requestBytes, pattern, seed }: BenchPlan, worker: number) {
    this.#words = new Uint32Array(Math.ceil(requestBytes / 4));
    this.#bytes = new Uint8Array(this.#words.buffer, 0, requestBytes);
    if (pattern === undefined) this.#random = new Random(seed + worker);
    else this.#bytes.fill(pattern);
  }

  /** Valid until the next call. */
  next(): Uint8Array {
    const random = this.#random;
    if (random !== undefined) for (let at = 0; at < this.#words.length; at++) this.#words[at] = random.next();
    return this.#bytes;
  }
}
