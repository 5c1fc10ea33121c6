import type { ByteRange } from '../storage/transfer.ts';
import type { BlameRange, DiffRange } from './api.ts';

/** Takes ascending changes out of ranges that are ascending and apart. */
export class Claims {
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

/** What of ascending ranges lies below `end`. */
export function rangesBelow(ranges: readonly ByteRange[], end: number): readonly ByteRange[] {
  const last = ranges[ranges.length - 1];
  if (last === undefined || last.end <= end) return ranges;
  const below = ranges.slice(0, firstEndingBehind(ranges, end, 0));
  const cut = ranges[below.length] as ByteRange;
  if (cut.start < end) below.push({ start: cut.start, end });
  return below;
}
