import { VsimgError } from '../errors.ts';
import type { ByteRange, DataSource, DataTarget, Piece, SourceFile } from '../storage/transfer.ts';
import type { CommitOptions, OnProgress, UnreadableRange, WriteReport } from './api.ts';
import { refuseDirty } from './checkout.ts';
import { checkCommit, commitWorking, isDirty } from './commit.ts';
import type { Container } from './container.ts';
import { type DirectTarget, fetchInto, fetchPieces, LEAST_FETCHED_BYTES } from './fetch.ts';
import { Filler, WINDOW_BYTES } from './fill.ts';
import { resizeWorking } from './resize.ts';
import { salvagePieces } from './salvage.ts';
import { type View, viewPieces, viewRuns } from './view.ts';
import { addReports, NOTHING_WRITTEN, writeBytes, zeroBytes } from './write.ts';

const TURN_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;
/** Size of the working state while the length of a stream is not known yet. */
const UNKNOWN_SIZE = Number.MAX_SAFE_INTEGER;

export interface ImportOptions extends CommitOptions {
  /** Make no version of a source that equals the head's; a tag then names that one. */
  readonly ifChanged?: boolean;
  readonly onProgress?: OnProgress;
}

/** Errors: 'refused' for uncommitted changes, 'usage' for a bad message or tag, 'exists' for a taken tag. */
export function checkImport(container: Container, options: ImportOptions): void {
  // Whoever imports a state wants it in the history, changed or not.
  checkCommit(container, { ...options, allowEmpty: true });
  refuseDirty(container, 'importing');
}

export interface ImportResult {
  /** Of the version that holds the source. */
  readonly number: number;
  readonly report: WriteReport;
  /** False if the version was there before. */
  readonly changed: boolean;
}

/** Makes the working state equal to `source`, its size too, and commits it, after `checkImport`. */
export async function importSource(
  container: Container,
  source: DataSource,
  options: ImportOptions,
): Promise<ImportResult> {
  container.begin();
  // Within a transaction: what is written so far must not matter for how the source is stored, on which its id depends.
  await container.log.endSegment();
  const total = source.sizeBytes;
  if (total === undefined) container.workingSizeBytes = UNKNOWN_SIZE;
  else await resizeWorking(container, total);
  const progress = new ImportProgress(total, options.onProgress);
  if (source.file === undefined || total === undefined)
    await importPieces(container, source.pieces(PIECE_BYTES), progress);
  else await importFile(container, source.file, total, progress);
  const { done } = progress;
  if (total !== undefined && done !== total)
    throw new VsimgError('io', `the source ended at byte ${done} of ${total}`, {
      hint: 'it may have been changed while it was read: import it again',
    });
  if (total === undefined) await resizeWorking(container, done);
  const { report } = progress;
  const { version } = container.head;
  if (options.ifChanged !== true || version === null || isDirty(container))
    return { number: await commitWorking(container, options), report, changed: true };
  if (options.tag !== undefined) {
    container.refs.set({ name: options.tag, kind: 'tag', version });
    await container.publish();
  }
  return { number: version, report, changed: false };
}

/** Adds up what an import does. */
class ImportProgress {
  report = NOTHING_WRITTEN;
  /** End of what was done; holes may be told of before data that lies before them. */
  done = 0;
  readonly total: number | undefined;
  readonly #tell: OnProgress | undefined;

  constructor(total: number | undefined, tell: OnProgress | undefined) {
    this.total = total;
    this.#tell = tell;
  }

  add(end: number, report: WriteReport): void {
    this.report = addReports(this.report, report);
    this.done = Math.max(this.done, end);
    this.#tell?.(this.done, this.total);
  }
}

/** In windows as `Filler` makes them, so that the same disk is stored in the same way however it comes. */
async function importPieces(
  container: Container,
  pieces: AsyncIterable<Piece>,
  progress: ImportProgress,
): Promise<void> {
  let window: ImportWindow | undefined;
  let written: ImportWindow | undefined;
  const enter = (number: number): ImportWindow => {
    if (window?.number !== number) window = { number, isHole: isHoleIn(container, number) };
    return window;
  };
  for await (const piece of pieces) {
    if (piece.kind === 'hole') {
      // What the window was before counts, not what its zeros make of it.
      enter(Math.floor((piece.end - 1) / WINDOW_BYTES));
      progress.add(piece.end, await zeroBytes(container, piece.start, piece.end - piece.start));
      continue;
    }
    const here = enter(Math.floor(piece.start / WINDOW_BYTES));
    if (here !== written && (here.isHole || written?.isHole === true)) await container.log.endSegment();
    written = here;
    // Where the end is not known before, what the last block held so far must not matter.
    const bytes = progress.total === undefined ? wholeBlocks(piece.bytes, container.blockBytes) : piece.bytes;
    progress.add(piece.start + piece.bytes.length, await writeBytes(container, piece.start, bytes));
  }
  if (written?.isHole === true) await container.log.endSegment();
}

interface ImportWindow {
  readonly number: number;
  /** In the working state before. */
  readonly isHole: boolean;
}

function isHoleIn(container: Container, window: number): boolean {
  const blocks = WINDOW_BYTES / container.blockBytes;
  return container.map.extents(window * blocks, (window + 1) * blocks).next().done === true;
}

/** Windows that are holes of the working state are filled on other threads; what has data already is compared here. */
async function importFile(
  container: Container,
  file: SourceFile,
  total: number,
  progress: ImportProgress,
): Promise<void> {
  const compare = (range: ByteRange): Promise<void> =>
    importPieces(container, file.pieces(PIECE_BYTES, range), progress);
  const filler = new Filler(container, file, {
    onFilled: ({ end }, report) => progress.add(end, report),
    onFailed: compare,
  });
  try {
    await fillWindows(container, { file, total, filler, compare }, progress);
  } finally {
    await filler.settle();
  }
}

interface Filling {
  readonly file: SourceFile;
  readonly total: number;
  readonly filler: Filler;
  readonly compare: (range: ByteRange) => Promise<void>;
}

async function fillWindows(
  container: Container,
  { file, total, filler, compare }: Filling,
  progress: ImportProgress,
): Promise<void> {
  let at = 0;
  for (const ranges of inWindows(file.runs(container.blockBytes))) {
    const [first, last] = [ranges[0] as ByteRange, ranges[ranges.length - 1] as ByteRange];
    const isHole = isHoleIn(container, Math.floor(first.start / WINDOW_BYTES));
    let start = at;
    for (const range of ranges) {
      if (range.start > start) progress.add(range.start, await zeroBytes(container, start, range.start - start));
      start = range.end;
    }
    if (isHole) {
      await filler.add(ranges);
    } else {
      await filler.finish();
      for (const range of ranges) await compare(range);
    }
    at = last.end;
  }
  await filler.finish();
  if (at < total) progress.add(total, await zeroBytes(container, at, total - at));
}

/** Runs cut at the borders of windows, and those of one window together. */
function* inWindows(runs: Iterable<ByteRange>): Generator<ByteRange[]> {
  let ranges: ByteRange[] = [];
  let windowEnd = 0;
  for (const run of runs) {
    for (let start = run.start; start < run.end; ) {
      if (start >= windowEnd) {
        if (ranges.length > 0) yield ranges;
        ranges = [];
        windowEnd = (Math.floor(start / WINDOW_BYTES) + 1) * WINDOW_BYTES;
      }
      const end = Math.min(run.end, windowEnd);
      ranges.push({ start, end });
      start = end;
    }
  }
  if (ranges.length > 0) yield ranges;
}

/** Zeros up to the end of the last block; pieces begin with a block. */
function wholeBlocks(bytes: Uint8Array, blockBytes: number): Uint8Array {
  if (bytes.length % blockBytes === 0) return bytes;
  const whole = new Uint8Array(Math.ceil(bytes.length / blockBytes) * blockBytes);
  whole.set(bytes);
  return whole;
}

export interface ExportReport {
  readonly sizeBytes: number;
  readonly dataBytes: number;
}

export interface ExportOptions {
  readonly onProgress?: OnProgress;
  /** With this, what can not be read is told here and becomes a hole; without, it is an error. */
  readonly onUnreadable?: (range: UnreadableRange) => void;
}

/** Hands every byte of a state to `target`, which is finished, or aborted when anything fails. */
export async function exportView(
  container: Container,
  view: View,
  target: DataTarget,
  options: ExportOptions,
): Promise<ExportReport> {
  const { onUnreadable, onProgress } = options;
  const { sizeBytes } = view;
  const { descriptor } = container.storage;
  let dataBytes = 0;
  try {
    if (onUnreadable === undefined && descriptor !== undefined && isDirect(target)) {
      const runs = viewRuns(container, view, { start: 0, end: sizeBytes });
      await fetchInto(container, { view, target, runs }, (end, more) => {
        dataBytes += more;
        onProgress?.(end, sizeBytes);
      });
    } else {
      const pieces =
        onUnreadable === undefined
          ? bulkPieces(container, view, { start: 0, end: sizeBytes })
          : salvagePieces(container, view, { start: 0, end: sizeBytes, onUnreadable });
      dataBytes = await pour(pieces, target, (end) => onProgress?.(end, sizeBytes));
    }
    await target.finish(sizeBytes);
  } catch (error) {
    target.abort();
    throw error;
  }
  return { sizeBytes, dataBytes };
}

export function isDirect(target: DataTarget): target is DirectTarget {
  return target.direct !== undefined;
}

/** As `viewPieces`, with other threads where that pays. */
export function bulkPieces(
  container: Container,
  view: View,
  range: { readonly start: number; readonly end: number },
): Iterable<Piece> | AsyncIterable<Piece> {
  const { descriptor } = container.storage;
  return descriptor !== undefined && range.end - range.start >= LEAST_FETCHED_BYTES
    ? fetchPieces(container, view, range)
    : viewPieces(container, view, range.start, range.end);
}

/** Hands pieces to `target`; returns how many bytes of them are data. */
export async function pour(
  pieces: Iterable<Piece> | AsyncIterable<Piece>,
  target: DataTarget,
  onDone: (end: number) => void,
): Promise<number> {
  let dataBytes = 0;
  let sinceTurn = 0;
  for await (const piece of pieces) {
    if (piece.kind === 'hole') {
      await target.hole(piece.start, piece.end);
      onDone(piece.end);
      continue;
    }
    const { start, bytes } = piece;
    await target.data(start, bytes);
    dataBytes += bytes.length;
    sinceTurn += bytes.length;
    // Buffers of native code are only freed between turns of the event loop.
    if (sinceTurn >= TURN_BYTES) {
      await new Promise((resolve) => setImmediate(resolve));
      sinceTurn = 0;
    }
    onDone(start + bytes.length);
  }
  return dataBytes;
}
