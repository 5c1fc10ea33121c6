import { isDamage, type VsimgError } from '../errors.ts';
import { EXTENT_KIND } from '../format/extent-page.ts';
import { salvageRuns } from '../map/salvage.ts';
import type { Piece } from '../storage/transfer.ts';
import type { UnreadableRange } from './api.ts';
import type { Container } from './container.ts';
import { checkRange, readLog, type View } from './view.ts';

const PIECE_BYTES = 1024 * 1024;

export interface SalvageOptions {
  readonly start: number;
  readonly end: number;
  /** Told of each range that can not be read, in order, touching ones joined. */
  readonly onUnreadable: (range: UnreadableRange) => void;
}

interface Part {
  readonly start: number;
  readonly end: number;
  /** Undefined for a hole. */
  readonly bytes?: Uint8Array;
  /** Why it can not be read. */
  readonly failure?: string;
}

/** Data and holes of a state in order, to the block; what can not be read comes as holes. Data is valid until the next piece is asked for. */
export function* salvagePieces(
  container: Container,
  view: View,
  { start, end, onUnreadable }: SalvageOptions,
): Generator<Piece> {
  checkRange(start, end, view.sizeBytes);
  if (start === end) return;
  const { blockBytes } = container;
  let failed: { start: number; end: number; message: string } | undefined;
  const tell = (): void => {
    if (failed !== undefined)
      onUnreadable({ guestOffset: failed.start, lengthBytes: failed.end - failed.start, message: failed.message });
    failed = undefined;
  };
  for (const part of parts(container, view, Math.floor(start / blockBytes), Math.ceil(end / blockBytes))) {
    const from = Math.max(start, part.start * blockBytes);
    const to = Math.min(end, part.end * blockBytes);
    if (part.failure === undefined) tell();
    else if (failed === undefined) failed = { start: from, end: to, message: part.failure };
    else failed.end = to;
    if (part.bytes === undefined) yield { kind: 'hole', start: from, end: to };
    else
      yield {
        kind: 'data',
        start: from,
        bytes: part.bytes.subarray(from - part.start * blockBytes, to - part.start * blockBytes),
      };
  }
  tell();
}

/** In blocks. */
function* parts(container: Container, view: View, start: number, end: number): Generator<Part> {
  const { blockBytes } = container;
  const buffer = new Uint8Array(PIECE_BYTES);
  for (const run of salvageRuns(view.map, start, end)) {
    const runEnd = run.start + run.length;
    if (run.kind === EXTENT_KIND.lost)
      yield { start: run.start, end: runEnd, failure: 'what it holds is not known any more' };
    else if (run.log === undefined) yield { start: run.start, end: runEnd };
    else {
      for (let at = run.start; at < runEnd; ) {
        const count = Math.min(runEnd - at, PIECE_BYTES / blockBytes);
        yield* readable(container, { guest: at, log: run.log + at - run.start, count }, buffer);
        at += count;
      }
    }
  }
}

/** Halves what can not be read until it is one block. */
function* readable(
  container: Container,
  at: { readonly guest: number; readonly log: number; readonly count: number },
  buffer: Uint8Array,
): Generator<Part> {
  const { guest, log, count } = at;
  const bytes = buffer.subarray(0, count * container.blockBytes);
  try {
    readLog(container, log, bytes, guest);
  } catch (error) {
    if (!isDamage(error)) throw error;
    if (count === 1) yield { start: guest, end: guest + 1, failure: reasonOf(error) };
    else {
      const half = Math.floor(count / 2);
      yield* readable(container, { guest, log, count: half }, buffer);
      yield* readable(container, { guest: guest + half, log: log + half, count: count - half }, buffer);
    }
    return;
  }
  yield { start: guest, end: guest + count, bytes };
}

/** Without the place in the disk, which is told beside it. */
function reasonOf(error: VsimgError): string {
  return error.message.replace(/^.* are unreadable: /, '');
}
