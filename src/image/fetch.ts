import { VsimgError } from '../errors.ts';
import { EXTENT_KIND } from '../format/extent-page.ts';
import { sharedCrew } from '../log/crew.ts';
import type { FetchJob } from '../log/fetch-job.ts';
import { Loads } from '../log/loads.ts';
import type { Run } from '../map/extent-map.ts';
import type { Descriptor } from '../storage/descriptor.ts';
import type { ByteRange, DataTarget, Piece } from '../storage/transfer.ts';
import type { Container } from './container.ts';
import { checkRange, type View, viewPieces, viewRuns } from './view.ts';

/** Data of one job: few enough that several fit into memory, many enough that a message is nothing to it. */
const WINDOW_BYTES = 1024 * 1024;
const MAX_WINDOW_PARTS = 1024;

/** Below this, threads would not be ready before everything is done. */
export const LEAST_FETCHED_BYTES = 4 * WINDOW_BYTES;

/** A run of guest bytes, whole blocks of it, and where its data goes. */
interface Part {
  readonly kind: 'data' | 'hole';
  readonly start: number;
  readonly end: number;
}

/** Guest bytes in order, with as much data as one job fetches. */
interface Window {
  readonly parts: readonly Part[];
  /** undefined: what is damaged, or in memory still, is read without threads, which tells exactly what is wrong. */
  readonly loads: Loads | undefined;
  /** Bytes of the data in it. */
  readonly dataBytes: number;
}

/** 'guest': data goes to its place in the disk; 'memory': one part behind the other. */
type Layout = 'guest' | 'memory';

function* windows(container: Container, view: View, runs: Iterable<Run>, layout: Layout): Generator<Window> {
  const { blockBytes } = container;
  let parts: Part[] = [];
  let loads = new Loads(blockBytes);
  let dataBytes = 0;
  const cut = (): Window => {
    const window = { parts, loads, dataBytes };
    [parts, loads, dataBytes] = [[], new Loads(blockBytes), 0];
    return window;
  };
  const windowBlocks = WINDOW_BYTES / blockBytes;
  for (const run of runs) {
    const runEnd = run.start + run.length;
    if (run.log === undefined && run.kind !== EXTENT_KIND.lost) {
      parts.push({ kind: 'hole', start: run.start * blockBytes, end: runEnd * blockBytes });
      if (parts.length >= MAX_WINDOW_PARTS) yield cut();
      continue;
    }
    for (let block = run.start; block < runEnd; ) {
      // Cut where `viewPieces` cuts, which names what is wrong with a part: the same blocks as if it had read everything.
      const count = Math.min(runEnd, (Math.floor(block / windowBlocks) + 1) * windowBlocks) - block;
      if (dataBytes + count * blockBytes > WINDOW_BYTES) yield cut();
      const part: Part = { kind: 'data', start: block * blockBytes, end: (block + count) * blockBytes };
      const log = run.log === undefined || run.kind === EXTENT_KIND.lost ? undefined : run.log + block - run.start;
      const isPlanned =
        part.end <= view.sizeBytes &&
        log !== undefined &&
        isAdded(container, { log, count }, loads, layout === 'guest' ? part.start : dataBytes);
      if (!isPlanned) {
        // What was added of it does no harm: the window is not used.
        if (parts.length > 0) yield { ...cut(), loads: undefined };
        yield { parts: [part], loads: undefined, dataBytes: count * blockBytes };
        loads = new Loads(blockBytes);
      } else {
        parts.push(part);
        dataBytes += count * blockBytes;
      }
      block += count;
      if (dataBytes >= WINDOW_BYTES || parts.length >= MAX_WINDOW_PARTS) yield cut();
    }
  }
  if (parts.length > 0) yield cut();
}

/** False for blocks that are not, or not readable, in the container. */
function isAdded(
  container: Container,
  { log, count }: { readonly log: number; readonly count: number },
  loads: Loads,
  at: number,
): boolean {
  if (log + count > container.log.firstInMemory) return false;
  try {
    let end = at;
    for (const part of container.reader.parts(log, count)) {
      loads.add(part, end);
      end += part.count * container.blockBytes;
    }
    return true;
  } catch (error) {
    if (error instanceof VsimgError && error.code === 'corrupt') return false;
    throw error;
  }
}

/** Windows whose jobs are under way, in order; ends after the last job, also when nobody asks for the rest. */
async function* fetched<T extends { readonly done: Promise<boolean> }>(
  started: Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T> {
  const under: T[] = [];
  const { depth } = sharedCrew();
  try {
    for await (const item of started) {
      under.push(item);
      if (under.length > depth) yield under.shift() as T;
    }
    for (let item = under.shift(); item !== undefined; item = under.shift()) yield item;
  } finally {
    await Promise.all(under.map(({ done }) => done));
  }
}

/** Resolves to whether all is there. */
function startJob({ storage, blockBytes }: Container, loads: Loads, into: FetchJob['into']): Promise<boolean> {
  // Asked for each time: what was closed meanwhile must not be read.
  const { descriptor } = storage;
  if (descriptor === undefined) return Promise.resolve(false);
  const job: FetchJob = { kind: 'fetch', container: descriptor, blockBytes, loads: loads.list, into };
  return sharedCrew()
    .run(job)
    .then(
      ({ isWhole }) => isWhole,
      () => false,
    );
}

/**
 * As `viewPieces`, for much data of a container that is a file: other threads read, verify and decode ahead. A piece is
 * valid until the next is asked for.
 */
export async function* fetchPieces(container: Container, view: View, range: ByteRange): AsyncGenerator<Piece> {
  checkRange(range.start, range.end, view.sizeBytes);
  const spares: Uint8Array[] = [];
  const start = function* () {
    for (const window of windows(container, view, viewRuns(container, view, range), 'memory')) {
      const memory = spares.pop() ?? new Uint8Array(new SharedArrayBuffer(WINDOW_BYTES));
      const done =
        window.loads === undefined
          ? Promise.resolve(false)
          : window.dataBytes === 0
            ? Promise.resolve(true)
            : startJob(container, window.loads, { memory });
      yield { window, memory, done };
    }
  };
  for await (const { window, memory, done } of fetched(start())) {
    const isWhole = await done;
    let at = 0;
    for (const part of window.parts) {
      const from = Math.max(part.start, range.start);
      const to = Math.min(part.end, range.end);
      if (part.kind === 'hole') {
        yield { kind: 'hole', start: from, end: to };
        continue;
      }
      if (isWhole)
        yield { kind: 'data', start: from, bytes: memory.subarray(at + from - part.start, at + to - part.start) };
      else yield* viewPieces(container, view, from, to);
      at += part.end - part.start;
    }
    spares.push(memory);
  }
}

interface Fetching {
  readonly view: View;
  readonly target: DirectTarget;
  /** Of the view, ascending and apart. */
  readonly runs: Iterable<Run>;
}

/**
 * Hands parts of a state to a target that is a file: other threads read, verify, decode and write. `onDone` is told of what
 * is there, in order.
 */
export async function fetchInto(
  container: Container,
  { view, target, runs }: Fetching,
  onDone: (end: number, dataBytes: number) => void,
): Promise<void> {
  const start = async function* () {
    for (const window of windows(container, view, runs, 'guest')) {
      const { loads } = window;
      let file: Descriptor | undefined;
      for (const { kind, start, end } of window.parts) {
        if (kind === 'hole') await target.hole(start, Math.min(end, view.sizeBytes));
        else if (loads !== undefined) file = await target.direct(start, end);
      }
      const done =
        loads === undefined || file === undefined
          ? Promise.resolve(loads !== undefined)
          : startJob(container, loads, { file });
      yield { window, done };
    }
  };
  for await (const { window, done } of fetched(start())) {
    const isWhole = await done;
    let dataBytes = 0;
    for (const { kind, start, end } of window.parts) {
      if (kind === 'hole') continue;
      dataBytes += Math.min(end, view.sizeBytes) - start;
      if (isWhole) continue;
      for (const piece of viewPieces(container, view, start, Math.min(end, view.sizeBytes)))
        if (piece.kind === 'data') await target.data(piece.start, piece.bytes);
    }
    const last = window.parts[window.parts.length - 1];
    if (last !== undefined) onDone(Math.min(last.end, view.sizeBytes), dataBytes);
  }
}

export type DirectTarget = DataTarget & Required<Pick<DataTarget, 'direct'>>;
