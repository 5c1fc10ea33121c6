import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import type { Ancestry } from './ancestry.ts';
import type { BlameRange, DiffRange } from './api.ts';
import { Claims, rangesBelow } from './claims.ts';

/**
 * More would take much memory, of which no command has more than 256 MiB; with fewer, history is gone through more often: once
 * for each window of the disk.
 */
const RANGES_AT_ONCE = 131_072;
/** Of these in a window as it is planned: most windows then need not be cut. */
const PLANNED_SHARE = 0.75;
/** An extent of the newest state and the hole behind it. */
const RANGES_AN_EXTENT = 2;
/** Windows become wider at most so quickly: what follows may be denser. */
const MAX_GROWTH = 8;

export interface BlameOptions {
  /** Ranges that are found, and held, before the first of them is told; a few times as many may be held for a while. */
  readonly rangesAtOnce?: number | undefined;
}

/**
 * Which version changed each part of `range` last, ascending, some ranges at a time as they become known; ranges that touch
 * differ in something.
 */
export async function* blame(
  ancestry: Ancestry,
  range: ByteRange,
  { rangesAtOnce = RANGES_AT_ONCE }: BlameOptions,
): AsyncGenerator<readonly BlameRange[]> {
  const plannedCount = rangesAtOnce * PLANNED_SHARE;
  /** May go on in the next window. */
  let last: BlameRange | undefined;
  let widthBytes = Number.POSITIVE_INFINITY;
  for (let { start } = range; start < range.end; ) {
    const limit = Math.min(range.end, start + widthBytes);
    const end = await ancestry.endOfExtents({ start, end: limit }, plannedCount / RANGES_AN_EXTENT);
    const window = new Window({ start, end }, rangesAtOnce);
    await window.search(ancestry);
    const known = joined(last, window.ranges());
    last = known.pop();
    yield known;
    const growth = Math.min(MAX_GROWTH, plannedCount / window.rangeCount);
    widthBytes = Math.ceil((window.end - start) * growth);
    start = window.end;
  }
  if (last !== undefined) yield [last];
}

/** Ranges that follow each other without gaps; what says the same becomes one. */
function joined(first: BlameRange | undefined, others: readonly BlameRange[]): BlameRange[] {
  const result: BlameRange[] = [];
  let last = first;
  for (const next of others) {
    if (last !== undefined && last.version === next.version && last.kind === next.kind) {
      last = { ...last, length: last.length + next.length };
      continue;
    }
    if (last !== undefined) result.push(last);
    last = next;
  }
  if (last !== undefined) result.push(last);
  return result;
}

/** A part of the disk of which more and more is known; it becomes smaller rather than hold too many ranges. */
class Window {
  readonly #limit: number;
  #end: number;
  #found: BlameRange[] = [];
  #open: readonly ByteRange[];

  constructor(range: ByteRange, limit: number) {
    this.#limit = limit;
    this.#end = range.end;
    this.#open = [range];
  }

  get end(): number {
    return this.#end;
  }

  get rangeCount(): number {
    return this.#found.length;
  }

  /** Ascending and without gaps. */
  ranges(): readonly BlameRange[] {
    return this.#found.sort((a, b) => a.start - b.start);
  }

  /**
   * Goes back in history only until all is known, and compares only where it is not: the cost follows what the versions
   * changed there.
   */
  async search(ancestry: Ancestry): Promise<void> {
    const giveTurn = turnGiver();
    for (let index = 0; ; ) {
      const [first, last] = [this.#open[0], this.#open[this.#open.length - 1]];
      if (first === undefined || last === undefined) return;
      const within = { start: first.start, end: last.end };
      const unchanged = await ancestry.unchangedFrom(index, within);
      if (unchanged === 0) {
        const step = await ancestry.step(index);
        if (step === undefined) break;
        await this.#take(ancestry.lineage.changes(step, within), step.version);
      }
      index += Math.max(1, unchanged);
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
    for (const { start, end } of this.#open) this.#found.push({ start, length: end - start, kind: 'zero', version: 0 });
  }

  /** `changes` are ascending, so what was taken so far is complete wherever the window is cut meanwhile. */
  async #take(changes: Iterable<DiffRange>, version: BlameRange['version']): Promise<void> {
    const giveTurn = turnGiver();
    const claims = new Claims(this.#open, ({ start, end }, kind) => {
      const length = Math.min(end, this.#end) - start;
      if (length > 0) this.#found.push({ start, length, kind, version });
    });
    for (const change of changes) {
      if (change.start >= this.#end) break;
      claims.take(change);
      if (this.#found.length > this.#limit) this.#cut();
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
    this.#open = rangesBelow(claims.finish(), this.#end);
  }

  /** Forgets the upper half of what was found, and all that lies there. */
  #cut(): void {
    this.#found.sort((a, b) => a.start - b.start);
    const middle = this.#found.length >>> 1;
    this.#end = (this.#found[middle] as BlameRange).start;
    this.#found.length = middle;
  }
}
