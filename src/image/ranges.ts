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

  private join(): void {
    if (this.sorted === this.count) return;
    const order = Array.from({ length: this.count }, (_, index) => index).sort(
      (a, b) => (this.starts[a] as number) - (this.starts[b] as number),
    );
    const starts = new Float64Array(this.starts.length);
    const ends = new Float64Array(this.ends.length);
    let count = 0;
    for (const index of order) {
      const start = this.starts[index] as number;
      const end = this.ends[index] as number;
      const last = count > 0 ? (ends[count - 1] as number) : Number.NEGATIVE_INFINITY;
      if (last > start) this.overlap ??= { start, end: Math.min(last, end) };
      if (last >= start) ends[count - 1] = Math.max(ends[count - 1] as number, end);
      else {
        starts[count] = start;
        ends[count] = end;
        count++;
      }
    }
    this.starts = starts;
    this.ends = ends;
    this.count = count;
    this.sorted = count;
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
