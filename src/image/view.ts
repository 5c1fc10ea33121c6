import { unlessCorrupt, VsimgError } from '../errors.ts';
import { EXTENT_KIND } from '../format/extent-page.ts';
import { ExtentMap, type Run } from '../map/extent-map.ts';
import type { ByteRange, Piece } from '../storage/transfer.ts';
import type { Container } from './container.ts';

/** One state of the disk: a version or the working state. */
export interface View {
  readonly map: ExtentMap;
  readonly sizeBytes: number;
}

const PIECE_BYTES = 1024 * 1024;

/** Errors: 'corrupt' if there is no such version. */
export function versionView({ versions, pages }: Container, number: number): View {
  const { map, sizeBytes } = versions.need(number);
  return { map: new ExtentMap(pages, map), sizeBytes };
}

/** Errors: 'usage' when `[start, end)` is not inside the disk. */
export function checkRange(start: number, end: number, sizeBytes: number): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new VsimgError('usage', `bytes ${start} to ${end} are not a range`);
  }
  if (end > sizeBytes) {
    throw new VsimgError(
      'refused',
      `bytes ${start} to ${end} reach beyond the end of the disk, which has ${sizeBytes} bytes`,
      {
        guestOffset: start,
        hint: 'give a smaller offset or length',
      },
    );
  }
}

/** Fills `into`, a whole number of blocks, from guest block `startBlock` on. */
export function readBlocks(container: Container, map: ExtentMap, startBlock: number, into: Uint8Array): void {
  const { blockBytes } = container;
  for (const run of map.runs(startBlock, startBlock + into.length / blockBytes)) {
    const offset = (run.start - startBlock) * blockBytes;
    readRun(container, run, into.subarray(offset, offset + run.length * blockBytes));
  }
}

/** Fills `into` from guest byte `start` on, whatever blocks that touches. Errors: 'refused' beyond the end of the disk. */
export function readBytes(container: Container, { map, sizeBytes }: View, start: number, into: Uint8Array): void {
  const { blockBytes } = container;
  const end = start + into.length;
  checkRange(start, end, sizeBytes);
  if (start % blockBytes === 0 && end % blockBytes === 0) {
    readBlocks(container, map, start / blockBytes, into);
    return;
  }
  const firstBlock = Math.floor(start / blockBytes);
  const whole = new Uint8Array((Math.ceil(end / blockBytes) - firstBlock) * blockBytes);
  readBlocks(container, map, firstBlock, whole);
  into.set(whole.subarray(start - firstBlock * blockBytes, end - firstBlock * blockBytes));
}

function readRun(container: Container, run: Run, into: Uint8Array): void {
  if (run.kind === EXTENT_KIND.lost) {
    const guestOffset = run.start * container.blockBytes;
    throw new VsimgError(
      'corrupt',
      `${container.storage.name}: bytes ${guestOffset} to ${guestOffset + into.length} of the disk were lost and never written again`,
      {
        guestOffset,
        hint: 'read another version, or write whole blocks there again',
      },
    );
  }
  if (run.log === undefined) into.fill(0);
  else readLog(container, run.log, into, run.start);
}

/** Log blocks wherever they are: still in memory, or in the container. */
export function readLog(container: Container, log: number, into: Uint8Array, guestBlock: number): void {
  const { blockBytes } = container;
  try {
    for (let offset = 0; offset < into.length; ) {
      const segment = container.log.inMemory(log + offset / blockBytes);
      if (segment === undefined) {
        const stop = container.log.firstInMemory;
        const length = Math.min(into.length - offset, Math.max(blockBytes, (stop - log) * blockBytes - offset));
        container.reader.read(log + offset / blockBytes, into.subarray(offset, offset + length));
        offset += length;
      } else {
        const length = Math.min(into.length - offset, (segment.endLog - log) * blockBytes - offset);
        segment.read(log + offset / blockBytes, into.subarray(offset, offset + length));
        offset += length;
      }
    }
  } catch (error) {
    if (!(error instanceof VsimgError) || error.code !== 'corrupt' || error.guestOffset !== undefined) throw error;
    throw unreadable(container, { log, guestBlock, blockCount: into.length / blockBytes }, error);
  }
}

interface LogRun {
  readonly log: number;
  readonly guestBlock: number;
  readonly blockCount: number;
}

/** The error for the first blocks of a run that can not be read, and no others. */
function unreadable(container: Container, { log, guestBlock, blockCount }: LogRun, error: VsimgError): VsimgError {
  const { blockBytes, reader } = container;
  const block = new Uint8Array(blockBytes);
  const isReadable = (at: number): boolean =>
    container.log.inMemory(log + at) !== undefined ||
    unlessCorrupt(() => reader.read(log + at, block) ?? true) === true;
  let first = 0;
  while (first < blockCount - 1 && isReadable(first)) first++;
  let end = first + 1;
  while (end < blockCount && !isReadable(end)) end++;
  const guestOffset = (guestBlock + first) * blockBytes;
  return new VsimgError(
    'corrupt',
    `${container.storage.name}: bytes ${guestOffset} to ${(guestBlock + end) * blockBytes} of the disk are unreadable: ${error.message}`,
    {
      ...(error.hostOffset === undefined ? {} : { hostOffset: error.hostOffset }),
      guestOffset,
      hint: error.hint ?? "run 'vsimg check'",
    },
  );
}

/** Every block that `[start, end)` touches, in order. */
export function viewRuns({ blockBytes }: Container, { map }: View, { start, end }: ByteRange): Iterable<Run> {
  return map.runs(Math.floor(start / blockBytes), Math.ceil(end / blockBytes));
}

/** Begins on other threads what `readBytes` would have to do at length; undefined where there is no such thing. Errors: as `readBytes`, but not of data that is damaged. */
export function prepareBytes(
  container: Container,
  view: View,
  start: number,
  lengthBytes: number,
): Promise<unknown> | undefined {
  const { log, reader } = container;
  const waits: Promise<unknown>[] = [];
  for (const run of viewRuns(container, view, { start, end: start + lengthBytes })) {
    if (run.log === undefined) continue;
    const storedCount = Math.min(run.length, log.firstInMemory - run.log);
    const wait = storedCount > 0 ? reader.prepare(run.log, storedCount) : undefined;
    if (wait !== undefined) waits.push(wait);
  }
  return waits.length > 1 ? Promise.all(waits) : waits[0];
}

/** Where the map says that there is data, or was before it was lost; ascending and apart. */
export function* viewDataRanges({ map, sizeBytes }: View, blockBytes: number): Generator<ByteRange> {
  let held: { start: number; end: number } | undefined;
  for (const extent of map.extents(0, Math.ceil(sizeBytes / blockBytes))) {
    const start = extent.start * blockBytes;
    const end = Math.min(sizeBytes, (extent.start + extent.length) * blockBytes);
    if (held?.end === start) {
      held.end = end;
      continue;
    }
    if (held !== undefined) yield held;
    held = { start, end };
  }
  if (held !== undefined) yield held;
}

/** Data and holes of `[start, end)` in order; data in pieces of at most 1 MiB that are valid until the next is asked for. */
export function* viewPieces(container: Container, view: View, start: number, end: number): Generator<Piece> {
  checkRange(start, end, view.sizeBytes);
  if (start < end) yield* runPieces(container, viewRuns(container, view, { start, end }), { start, end });
}

/** The same, with bytes that stay valid. */
export function copiedPieces(container: Container, view: View, start: number, end: number): Piece[] {
  const copies: Piece[] = [];
  for (const piece of viewPieces(container, view, start, end))
    copies.push(piece.kind === 'data' ? { ...piece, bytes: piece.bytes.slice() } : piece);
  return copies;
}

/** Pieces of runs, which are ascending, apart, and cut to `[start, end)`. */
export function* runPieces(container: Container, runs: Iterable<Run>, { start, end }: ByteRange): Generator<Piece> {
  const { blockBytes } = container;
  const blockCount = Math.ceil(end / blockBytes) - Math.floor(start / blockBytes);
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, blockCount * blockBytes));
  let filled = 0;
  let from = 0;
  const cut = (): Piece => {
    const first = Math.max(start, from);
    const last = Math.min(end, from + filled);
    return { kind: 'data', start: first, bytes: buffer.subarray(first - from, last - from) };
  };
  for (const run of runs) {
    if (filled > 0 && run.start * blockBytes !== from + filled) {
      yield cut();
      filled = 0;
    }
    if (run.log === undefined && run.kind !== EXTENT_KIND.lost) {
      if (filled > 0) yield cut();
      filled = 0;
      yield {
        kind: 'hole',
        start: Math.max(start, run.start * blockBytes),
        end: Math.min(end, (run.start + run.length) * blockBytes),
      };
      continue;
    }
    for (let done = 0; done < run.length; ) {
      if (filled === PIECE_BYTES) {
        yield cut();
        filled = 0;
      }
      if (filled === 0) from = (run.start + done) * blockBytes;
      // Pieces end at multiples of their size, so that whoever compares or writes them does so aligned.
      const room = (PIECE_BYTES - ((from + filled) % PIECE_BYTES)) / blockBytes;
      const count = Math.min(run.length - done, Math.max(1, Math.floor(room)));
      const log = run.log === undefined ? undefined : run.log + done;
      readRun(
        container,
        { start: run.start + done, length: count, log, kind: run.kind },
        buffer.subarray(filled, filled + count * blockBytes),
      );
      filled += count * blockBytes;
      done += count;
      if ((from + filled) % PIECE_BYTES === 0) {
        yield cut();
        filled = 0;
      }
    }
  }
  if (filled > 0) yield cut();
}
