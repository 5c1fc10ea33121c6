import { VsimgError } from '../errors.ts';
import { monotonicMilliseconds } from '../storage/clock.ts';
import { turnGiver } from '../storage/turns.ts';
import type { OnProgress, WriteReport } from './api.ts';
import type { Image } from './image.ts';
import { Latencies } from './latency.ts';
import { Random } from './random.ts';
import { addReports, NOTHING_WRITTEN } from './write.ts';

/** What is written is stamped so often, so that no block of any size comes twice. */
const STAMP_BYTES = 512;
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
      const { number, offset } = next.value;
      const bytes = data?.next(number);
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
    `a request of ${requestBytes} bytes at ${offset} reaches behind the end of the disk, which has ${sizeBytes} bytes`,
    { path, hint: 'give a smaller --size or --offset' },
  );
}

interface Place {
  readonly number: number;
  readonly offset: number;
}

/** What would reach behind the end of the disk goes on at its start. */
function* placesOf({ count, requestBytes, offset, step, seed }: BenchPlan, sizeBytes: number): Generator<Place> {
  const random = new Random(seed);
  const slotCount = Math.floor((sizeBytes - offset) / requestBytes);
  let at = offset;
  for (let number = 0; number < count; number++) {
    if (step === 'random') {
      yield { number, offset: offset + random.below(slotCount) * requestBytes };
      continue;
    }
    yield { number, offset: at };
    at = (at + step) % sizeBytes;
    if (at + requestBytes > sizeBytes) at = 0;
  }
}

/** The bytes of one request after the other. */
class WriteData {
  readonly #bytes: Uint8Array;
  readonly #isStamped: boolean;

  constructor({ requestBytes, pattern, seed }: BenchPlan, worker: number) {
    this.#bytes = new Uint8Array(requestBytes);
    this.#isStamped = pattern === undefined;
    if (pattern !== undefined) {
      this.#bytes.fill(pattern);
      return;
    }
    const random = new Random(seed + worker);
    for (let at = 0; at < requestBytes; at++) this.#bytes[at] = random.next();
  }

  next(number: number): Uint8Array {
    if (!this.#isStamped) return this.#bytes;
    const stamp = Buffer.alloc(8);
    stamp.writeDoubleLE(number + 1);
    for (let at = 0; at < this.#bytes.length; at += STAMP_BYTES)
      this.#bytes.set(stamp.subarray(0, Math.min(stamp.length, this.#bytes.length - at)), at);
    return this.#bytes;
  }
}
