/** What has become of log blocks `[log, log + count)`: `next` is the new number of the first, or what else there is to say. */
export interface Renumbered {
  readonly log: number;
  readonly count: number;
  /** Undefined: they have no new number yet. */
  readonly next: number | typeof LOST | undefined;
}

/** Instead of a new number: their data was lost before. */
export const LOST = 'lost';

const PIECE_RUNS = 512;
/** Stands for `LOST`, so that a run is three numbers. */
const LOST_NUMBER = -1;

/** Some runs, ascending. */
class Piece {
  readonly starts = new Float64Array(PIECE_RUNS);
  readonly ends = new Float64Array(PIECE_RUNS);
  readonly numbers = new Float64Array(PIECE_RUNS);
  count = 0;

  /** How many runs begin at or below `log`. */
  upTo(log: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.starts[middle] as number) <= log) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  insert(index: number, start: number, end: number, number: number): void {
    for (const column of [this.starts, this.ends, this.numbers]) column.copyWithin(index + 1, index, this.count);
    this.starts[index] = start;
    this.ends[index] = end;
    this.numbers[index] = number;
    this.count++;
  }

  /** Keeps the first half; returns a piece with the other one. */
  split(): Piece {
    const right = new Piece();
    const half = this.count >>> 1;
    for (const name of ['starts', 'ends', 'numbers'] as const) right[name].set(this[name].subarray(half, this.count));
    right.count = this.count - half;
    this.count = half;
    return right;
  }
}

/** New numbers of log blocks by old ones, as runs, which take 24 to 48 bytes each. */
export class Renumbering {
  private readonly pieces: Piece[] = [new Piece()];

  /** Blocks `[log, log + count)`, which have no new number yet, get the numbers from `next` on, or are lost. */
  set(log: number, count: number, next: number | typeof LOST): void {
    const at = this.pieceOf(log);
    const piece = this.pieces[at] as Piece;
    const index = piece.upTo(log);
    const number = next === LOST ? LOST_NUMBER : next;
    const before = index - 1;
    if (before >= 0 && piece.ends[before] === log) {
      const expected = piece.numbers[before] as number;
      if (number === (expected === LOST_NUMBER ? LOST_NUMBER : expected + log - (piece.starts[before] as number))) {
        piece.ends[before] = log + count;
        return;
      }
    }
    piece.insert(index, log, log + count, number);
    if (piece.count === PIECE_RUNS) this.pieces.splice(at + 1, 0, piece.split());
  }

  /** All of `[log, log + count)` in order. */
  *runs(log: number, count: number): Generator<Renumbered> {
    const end = log + count;
    let at = log;
    search: for (let index = this.pieceOf(log); index < this.pieces.length; index++) {
      const piece = this.pieces[index] as Piece;
      for (let run = Math.max(0, piece.upTo(at) - 1); run < piece.count; run++) {
        const start = piece.starts[run] as number;
        if (start >= end) break search;
        const stop = Math.min(end, piece.ends[run] as number);
        if (stop <= at) continue;
        if (start > at) yield { log: at, count: start - at, next: undefined };
        const from = Math.max(at, start);
        const number = piece.numbers[run] as number;
        yield { log: from, count: stop - from, next: number === LOST_NUMBER ? LOST : number + from - start };
        at = stop;
      }
    }
    if (at < end) yield { log: at, count: end - at, next: undefined };
  }

  /** The last piece that begins at or below `log`, or the first. */
  private pieceOf(log: number): number {
    let low = 1;
    let high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (((this.pieces[middle] as Piece).starts[0] as number) <= log) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
