import { setImmediate } from 'node:timers/promises';
import { VsimgError } from '../errors.ts';
import type { DataSource, DataTarget } from '../storage/transfer.ts';
import type { CommitOptions, OnProgress, UnreadableRange, WriteReport } from './api.ts';
import { refuseDirty } from './checkout.ts';
import { checkCommit, commitWorking } from './commit.ts';
import type { Container } from './container.ts';
import { resizeWorking } from './resize.ts';
import { salvagePieces } from './salvage.ts';
import { type View, viewPieces } from './view.ts';
import { addReports, NOTHING_WRITTEN, writeBytes, zeroBytes } from './write.ts';

const TURN_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;
/** Size of the working state while the length of a stream is not known yet. */
const UNKNOWN_SIZE = Number.MAX_SAFE_INTEGER;

export interface ImportOptions extends CommitOptions {
  readonly onProgress?: OnProgress;
}

/** Errors: 'refused' for uncommitted changes, 'usage' for a bad message or tag, 'exists' for a taken tag. */
export function checkImport(container: Container, options: ImportOptions): void {
  // Whoever imports a state wants it in the history, changed or not.
  checkCommit(container, { ...options, allowEmpty: true });
  refuseDirty(container, 'importing');
}

/** Makes the working state equal to `source`, its size too, and commits it, after `checkImport`. */
export async function importSource(
  container: Container,
  source: DataSource,
  options: ImportOptions,
): Promise<{ number: number; report: WriteReport }> {
  container.begin();
  const total = source.sizeBytes;
  if (total === undefined) container.workingSizeBytes = UNKNOWN_SIZE;
  else await resizeWorking(container, total);
  let report = NOTHING_WRITTEN;
  let done = 0;
  for await (const piece of source.pieces(PIECE_BYTES)) {
    if (piece.kind === 'data') {
      // Where the end is not known before, what the last block held so far must not matter.
      const bytes = total === undefined ? wholeBlocks(piece.bytes, container.blockBytes) : piece.bytes;
      report = addReports(report, await writeBytes(container, piece.start, bytes));
      done = piece.start + piece.bytes.length;
    } else {
      report = addReports(report, await zeroBytes(container, piece.start, piece.end - piece.start));
      done = piece.end;
    }
    options.onProgress?.(done, total);
  }
  if (total !== undefined && done !== total)
    throw new VsimgError('io', `the source ended at byte ${done} of ${total}`, {
      hint: 'it may have been changed while it was read: import it again',
    });
  if (total === undefined) await resizeWorking(container, done);
  const number = await commitWorking(container, options);
  return { number, report };
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
  const { onUnreadable } = options;
  const pieces =
    onUnreadable === undefined
      ? viewPieces(container, view, 0, view.sizeBytes)
      : salvagePieces(container, view, { start: 0, end: view.sizeBytes, onUnreadable });
  let dataBytes = 0;
  let sinceTurn = 0;
  try {
    for (const piece of pieces) {
      if (piece.kind === 'data') {
        await target.data(piece.start, piece.bytes);
        dataBytes += piece.bytes.length;
        sinceTurn += piece.bytes.length;
        // Buffers of native code are only freed between turns of the event loop.
        if (sinceTurn >= TURN_BYTES) {
          await setImmediate();
          sinceTurn = 0;
        }
        options.onProgress?.(piece.start + piece.bytes.length, view.sizeBytes);
      } else {
        await target.hole(piece.start, piece.end);
        options.onProgress?.(piece.end, view.sizeBytes);
      }
    }
    await target.finish(view.sizeBytes);
  } catch (error) {
    target.abort();
    throw error;
  }
  return { sizeBytes: view.sizeBytes, dataBytes };
}
