import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import type { BlameRange, DiffRange } from './api.ts';
import type { Container } from './container.ts';
import { changesOf, lineage } from './lineage.ts';

/**
 * Which version changed each part of `range` last, ascending, seen from a state (null: the working state). Goes back in
 * history only until all is known, and compares only where it is not: the cost follows what the versions changed there.
 */
export async function blame(container: Container, from: number | null, range: ByteRange): Promise<BlameRange[]> {
  const giveTurn = turnGiver();
  const found: BlameRange[] = [];
  let open: readonly ByteRange[] = range.start < range.end ? [range] : [];
  for (const step of lineage(container, from)) {
    const [first, last] = [open[0], open[open.length - 1]];
    if (first === undefined || last === undefined) break;
    const claims = new Claims(open, ({ start, end }, kind) =>
      found.push({ start, length: end - start, kind, version: step.version }),
    );
    for (const change of changesOf(container, step, { start: first.start, end: last.end })) {
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
  }

  take({ start, length, kind }: DiffRange): void {
    const end = start + length;
    if (this.first === undefined) {
      const index = firstEndingBehind(this.open, start);
      if (index === this.open.length) return;
      this.first = index;
      this.moveTo(index);
    }
    for (let range = this.open[this.index]; range !== undefined && this.from < end; range = this.open[this.index]) {
      const claimed = { start: Math.max(this.from, start), end: Math.min(range.end, end) };
      if (claimed.start < claimed.end) {
        this.keep(claimed.start);
        this.onClaim(claimed, kind === 'data' ? 'data' : 'zero');
        this.from = claimed.end;
        if (this.from < range.end) return;
      } else {
        this.keep(range.end);
      }
      this.moveTo(this.index + 1);
    }
  }

  /** What no change met. */
  finish(): readonly ByteRange[] {
    if (this.first === undefined) return this.open;
    const range = this.open[this.index];
    if (range !== undefined) this.keep(range.end);
    return this.open.slice(0, this.first).concat(this.rest, this.open.slice(this.index + 1));
  }

  private moveTo(index: number): void {
    this.index = index;
    this.from = this.open[index]?.start ?? 0;
  }

  private keep(end: number): void {
    if (this.from < end) this.rest.push({ start: this.from, end });
  }
}

function firstEndingBehind(ranges: readonly ByteRange[], position: number): number {
  let low = 0;
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
