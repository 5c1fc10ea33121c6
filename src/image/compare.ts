import type { ByteRange, DataSource, Piece } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import { isZero, zeroBytes } from '../storage/zero.ts';
import type { OnProgress } from './api.ts';
import type { Image } from './image.ts';

/** Differences that lie in neighbouring units of this are told as one: single bytes would be too many. */
const UNIT_BYTES = 512;
/** Compared with one call; at most what `zeroBytes` has. */
const STEP_BYTES = 65_536;
const PIECE_BYTES = 1024 * 1024;

/**
 * `data`: the disks hold different bytes; both ends of the range do, and not a whole unit within it is the same. `tail`:
 * only the longer disk reaches so far, and has something there; `zero-tail`: only zeros.
 */
export interface Difference extends ByteRange {
  readonly kind: 'data' | 'tail' | 'zero-tail';
}

export interface CompareOptions {
  /** 'first' ends with the first difference, before reading on. */
  readonly find: 'first' | 'all';
  /** 'zeros': the shorter disk counts as if zeros followed; 'differs': more bytes are a difference whatever they are. */
  readonly tail: 'zeros' | 'differs';
  readonly onProgress?: OnProgress;
}

/** Reads two disks side by side; where both are holes nothing is compared. Ascending. Errors: those of reading. */
export function compareDisks(a: DataSource, b: DataSource, options: CompareOptions): AsyncGenerator<Difference> {
  return chosen(diskDifferences(a, b, options), options);
}

/** The same for two states of one image: what their maps have in common is not read. */
export function compareStates(
  image: Image,
  { a, b }: { readonly a: string | null; readonly b: string | null },
  options: CompareOptions,
): AsyncGenerator<Difference> {
  return chosen(stateDifferences(image, { a, b }, options), options);
}

async function* diskDifferences(a: DataSource, b: DataSource, options: CompareOptions): AsyncGenerator<Difference> {
  const [left, right] = [new Front(a.pieces(PIECE_BYTES)), new Front(b.pieces(PIECE_BYTES))];
  const totalBytes =
    a.sizeBytes === undefined || b.sizeBytes === undefined ? undefined : Math.max(a.sizeBytes, b.sizeBytes);
  const onDone = progressTeller(totalBytes, options);
  try {
    yield* commonDifferences(left, right, onDone);
    const [longer, source] = (await left.fill()) ? [left, a] : [right, b];
    if (await longer.fill()) yield* tailDifferences(longer, source.sizeBytes, { ...options, onDone });
  } finally {
    await Promise.all([left.close(), right.close()]);
  }
}

async function* stateDifferences(
  image: Image,
  { a, b }: { readonly a: string | null; readonly b: string | null },
  options: CompareOptions,
): AsyncGenerator<Difference> {
  const sizes = { a: image.sizeOf(a), b: image.sizeOf(b) };
  const [common, whole] = [Math.min(sizes.a, sizes.b), Math.max(sizes.a, sizes.b)];
  const onDone = progressTeller(whole, options);
  for (const range of image.diff(a, b)) {
    // What is behind the end of one of them has ranges of its own.
    if (range.start >= common) break;
    const end = range.start + range.length;
    const [left, right] = [a, b].map((rev) => new Front(image.pieces(rev, range.start, end))) as [Front, Front];
    try {
      yield* commonDifferences(left, right, onDone);
    } finally {
      await Promise.all([left.close(), right.close()]);
    }
  }
  if (common === whole) return;
  const tail = new Front(image.pieces(sizes.a > sizes.b ? a : b, common, whole));
  try {
    if (await tail.fill()) yield* tailDifferences(tail, whole, { ...options, onDone });
  } finally {
    await tail.close();
  }
}

/** Called after each step: tells how far it is, and gives signals a turn. */
type OnDone = (end: number) => Promise<void> | undefined;

function progressTeller(totalBytes: number | undefined, { onProgress }: CompareOptions): OnDone {
  const giveTurn = turnGiver();
  return (end) => {
    onProgress?.(end, totalBytes);
    return giveTurn();
  };
}

/** A part of a disk; without bytes it is zeros. */
interface Part extends ByteRange {
  readonly bytes: Uint8Array | undefined;
}

/** What comes next of a disk. */
class Front implements Part {
  start = 0;
  end = 0;
  bytes: Uint8Array | undefined;
  readonly #pieces: AsyncIterator<Piece>;

  constructor(pieces: AsyncIterable<Piece>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  /** Sees to it that there is something in front; false at the end of the disk. */
  async fill(): Promise<boolean> {
    while (this.start === this.end) {
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      const piece = next.value;
      this.start = piece.start;
      this.end = piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end;
      this.bytes = piece.kind === 'data' ? piece.bytes : undefined;
    }
    return true;
  }

  /** Takes away what lies below `end`, which is not behind what is in front. */
  take(end: number): Part {
    const count = end - this.start;
    const part = { start: this.start, end, bytes: this.bytes?.subarray(0, count) };
    this.bytes = this.bytes?.subarray(count);
    this.start = end;
    return part;
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}

/** Up to the end of the shorter one. */
async function* commonDifferences(left: Front, right: Front, onDone: OnDone): AsyncGenerator<Difference> {
  while ((await left.fill()) && (await right.fill())) {
    const end = Math.min(left.end, right.end);
    yield* partDifferences(left.take(end), right.take(end));
    const turn = onDone(end);
    if (turn !== undefined) await turn;
  }
}

interface TailOptions {
  readonly tail: CompareOptions['tail'];
  readonly onDone: OnDone;
}

/** Of what only one disk has; there is something in front. `sizeBytes` is undefined where only the end tells it. */
async function* tailDifferences(
  longer: Front,
  sizeBytes: number | undefined,
  { tail, onDone }: TailOptions,
): AsyncGenerator<Difference> {
  const { start } = longer;
  let kind: Difference['kind'] = 'zero-tail';
  while (await longer.fill()) {
    const part = longer.take(longer.end);
    if (tail === 'zeros') yield* partDifferences(part, { ...part, bytes: undefined });
    else if (part.bytes !== undefined && !isZero(part.bytes)) kind = 'tail';
    if (tail === 'differs' && kind === 'tail' && sizeBytes !== undefined) break;
    const turn = onDone(part.end);
    if (turn !== undefined) await turn;
  }
  if (tail === 'differs') yield { start, end: sizeBytes ?? longer.end, kind };
}

/** Of two parts of the same place; neighbouring differences may come one by one. */
function* partDifferences(a: Part, b: Part): Generator<Difference> {
  if (a.bytes === undefined && b.bytes === undefined) return;
  for (let start = a.start; start < a.end; ) {
    const end = Math.min(a.end, start - (start % STEP_BYTES) + STEP_BYTES);
    const [left, right] = [bytesOf(a, start, end), bytesOf(b, start, end)];
    if (Buffer.compare(left, right) !== 0) yield* stepDifferences(left, right, start);
    start = end;
  }
}

function bytesOf({ bytes, start: base }: Part, start: number, end: number): Uint8Array {
  return bytes === undefined ? zeroBytes(end - start) : bytes.subarray(start - base, end - base);
}

/** Of bytes that begin at `base` in the disk. */
function* stepDifferences(left: Uint8Array, right: Uint8Array, base: number): Generator<Difference> {
  let held: { start: number; end: number } | undefined;
  for (let from = 0; from < left.length; ) {
    const to = Math.min(left.length, from + UNIT_BYTES - ((base + from) % UNIT_BYTES));
    const [one, other] = [left.subarray(from, to), right.subarray(from, to)];
    if (Buffer.compare(one, other) !== 0) {
      const end = base + from + one.findLastIndex((byte, index) => byte !== other[index]) + 1;
      if (held === undefined) {
        held = { start: base + from + one.findIndex((byte, index) => byte !== other[index]), end };
      } else {
        held.end = end;
      }
    } else if (held !== undefined) {
      yield { ...held, kind: 'data' };
      held = undefined;
    }
    from = to;
  }
  if (held !== undefined) yield { ...held, kind: 'data' };
}

async function* chosen(differences: AsyncGenerator<Difference>, { find }: CompareOptions): AsyncGenerator<Difference> {
  let held: Difference | undefined;
  for await (const difference of differences) {
    if (find === 'first') {
      yield difference;
      return;
    }
    if (held !== undefined && held.kind === difference.kind && unitOf(difference.start) <= unitOf(held.end - 1) + 1) {
      held = { ...held, end: difference.end };
    } else {
      if (held !== undefined) yield held;
      held = difference;
    }
  }
  if (held !== undefined) yield held;
}

function unitOf(offset: number): number {
  return Math.floor(offset / UNIT_BYTES);
}
