import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import type { BlameRange, DiffRange } from './api.ts';
import type { Lineage } from './lineage.ts';

/**
 * Which version changed each part of `range` last, ascending, seen from a state (null: the working state). Goes back in
 * history only until all is known, and compares only where it is not: the cost follows what the versions changed there.
 */
export async function blame(lineage: Lineage, from: number | null, range: ByteRange): Promise<BlameRange[]> {
  const giveTurn = turnGiver();
  const found: BlameRange[] = [];
  let open: readonly ByteRange[] = range.start < range.end ? [range] : [];
  for (const step of lineage.back(from)) {
    const [first, last] = [open[0], open[open.length - 1]];
    if (first === undefined || last === undefined) break;
    const claims = new Claims(open, ({ start, end }, kind) =>
      found.push({ start, length: end - start, kind, version: step.version }),
    );
    for (const change of lineage.changes(step, { start: first.start, end: last.end })) {
      claims.take(change);
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
    open = claims.finish();
    const turn = giveTurn();
    if (turn !== undefined) await turn;
  }
  for (const { start, end } of open) found.push({ start, length: end - start, kind: 'zero', version: 0 });
  return joined(found.sort((a, b) => a.start - b.start));
}

/** Takes ascending changes out of ranges that are ascending and apart. */
class Claims {
  private readonly open: readonly ByteRange[];
  private readonly onClaim: (range: ByteRange, kind: BlameRange['kind']) => void;
  /** What is left of the ranges from the first one that a change met up to `index`. */
  private readonly rest: ByteRange[] = [];
  private first: number | undefined;
  private index = 0;
  /** Where the range at `index` begins by now. */
  private from = 0;

  constructor(open: readonly ByteRange[], onClaim: Claims['onClaim']) {
    this.open = open;
    this.onClaim = onClaim;
    this.moveTo(0);
  }

  take({ start, length, kind }: DiffRange): void {
    const end = start + length;
    this.passTo(firstEndingBehind(this.open, start, this.index));
    for (let range = this.open[this.index]; range !== undefined; range = this.open[this.index]) {
      const claimed = { start: Math.max(this.from, start), end: Math.min(range.end, end) };
      if (claimed.start >= claimed.end) return;
      this.first ??= this.index;
      if (this.from < claimed.start) this.rest.push({ start: this.from, end: claimed.start });
      this.onClaim(claimed, kind === 'data' ? 'data' : 'zero');
      this.from = claimed.end;
      if (this.from < range.end) return;
      this.moveTo(this.index + 1);
    }
  }

  /** What no change met. */
  finish(): readonly ByteRange[] {
    if (this.first === undefined) return this.open;
    const behind = this.index;
    if (this.from > (this.open[behind]?.start ?? 0)) this.passTo(behind + 1);
    return this.open.slice(0, this.first).concat(this.rest, this.open.slice(this.index));
  }

  private moveTo(index: number): void {
    this.index = index;
    this.from = this.open[index]?.start ?? 0;
  }

  /** Keeps what is left of the range at `index`, and all up to `next`. */
  private passTo(next: number): void {
    if (next === this.index) return;
    const range = this.open[this.index] as ByteRange;
    if (this.first !== undefined) {
      this.rest.push(this.from === range.start ? range : { start: this.from, end: range.end });
      for (let index = this.index + 1; index < next; index++) this.rest.push(this.open[index] as ByteRange);
    }
    this.moveTo(next);
  }
}

function firstEndingBehind(ranges: readonly ByteRange[], position: number, from: number): number {
  let low = from;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as ByteRange).end <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Ranges that touch and say the same become one. */
function joined(ranges: readonly BlameRange[]): BlameRange[] {
  const result: BlameRange[] = [];
  for (const range of ranges) {
    const last = result[result.length - 1];
    const continues = last !== undefined && last.start + last.length === range.start;
    if (continues && last.version === range.version && last.kind === range.kind)
      result[result.length - 1] = { ...last, length: last.length + range.length };
    else result.push(range);
  }
  return result;
}
