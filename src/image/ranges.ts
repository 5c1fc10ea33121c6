import type { HostRange } from '../space/host-range.ts';

/** Many ranges `[start, end)` in little memory; joined and sorted when asked for. */
export class RangeSet {
  private starts = new Float64Array(1024);
  private ends = new Float64Array(1024);
  private count = 0;
  private sorted = 0;
  /** Two ranges that held the same bytes, if any did. */
  overlap: HostRange | undefined;

  add(start: number, end: number): void {
    if (start >= end) return;
    if (this.count > 0 && this.ends[this.count - 1] === start && this.count > this.sorted) {
      this.ends[this.count - 1] = end;
      return;
    }
    if (this.count === this.starts.length) {
      // Joining first: the same ranges may have been added many times.
      this.join();
      if (this.count > this.starts.length / 2) this.grow();
    }
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.count++;
  }

  private grow(): void {
    const starts = new Float64Array(this.starts.length * 2);
    const ends = new Float64Array(this.ends.length * 2);
    starts.set(this.starts);
    ends.set(this.ends);
    this.starts = starts;
    this.ends = ends;
  }

  /** Starts and ends are sorted apart, without an object for each: how many ranges are open at a place is all that matters. */
  private join(): void {
    if (this.sorted === this.count) return;
    const starts = this.starts.subarray(0, this.count).sort();
    const ends = this.ends.subarray(0, this.count).sort();
    let joined = 0;
    let first = starts[0] as number;
    /** How many ranges end at or before the place that is looked at. */
    let ended = 0;
    for (let begun = 1; begun < starts.length; begun++) {
      const start = starts[begun] as number;
      while (ended < begun && (ends[ended] as number) <= start) ended++;
      if (ended < begun) this.overlap ??= { start, end: ends[ended] as number };
      const last = ends[begun - 1] as number;
      if (ended < begun || last === start) continue;
      starts[joined] = first;
      ends[joined] = last;
      joined++;
      first = start;
    }
    starts[joined] = first;
    ends[joined] = ends[ends.length - 1] as number;
    this.count = joined + 1;
    this.sorted = this.count;
  }

  /** Apart from each other, ascending. */
  *ranges(): Generator<HostRange> {
    this.join();
    for (let index = 0; index < this.count; index++)
      yield { start: this.starts[index] as number, end: this.ends[index] as number };
  }

  /** The parts of `[start, end)` that are in the set. */
  *within(start: number, end: number): Generator<HostRange> {
    this.join();
    for (
      let index = firstEndingBehind(this.ends, this.count, start);
      index < this.count && (this.starts[index] as number) < end;
      index++
    ) {
      yield { start: Math.max(start, this.starts[index] as number), end: Math.min(end, this.ends[index] as number) };
    }
  }

  /** The parts of `[start, end)` that are not in the set. */
  *gaps(start: number, end: number): Generator<HostRange> {
    let at = start;
    for (const range of this.within(start, end)) {
      if (range.start > at) yield { start: at, end: range.start };
      at = range.end;
    }
    if (at < end) yield { start: at, end };
  }

  get totalBytes(): number {
    this.join();
    let total = 0;
    for (let index = 0; index < this.count; index++)
      total += (this.ends[index] as number) - (this.starts[index] as number);
    return total;
  }
}

/** Index of the first of `count` ascending ends that lies behind `place`, or `count`. */
export function firstEndingBehind(ends: Float64Array, count: number, place: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ends[middle] as number) <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}
