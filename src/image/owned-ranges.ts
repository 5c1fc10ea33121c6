import { firstEndingBehind } from './ranges.ts';

/** Owner of what has several owners. All others are numbers from 0 on. */
export const SHARED = -1;

export interface OwnedRange {
  readonly start: number;
  readonly end: number;
  readonly owner: number;
}

/** Many ranges `[start, end)`, each with an owner, in little memory; where those of different owners overlap, `SHARED` has it. */
export class OwnedRanges {
  private starts = new Float64Array(1024);
  private ends = new Float64Array(1024);
  private owners = new Float64Array(1024);
  private count = 0;
  /** The first so many are apart and ascending. */
  private joined = 0;

  add(start: number, end: number, owner: number): void {
    if (start >= end) return;
    const last = this.count - 1;
    if (last >= this.joined && this.ends[last] === start && this.owners[last] === owner) {
      this.ends[last] = end;
      return;
    }
    if (this.count === this.starts.length) {
      // Joining first: the same ranges may have been added many times.
      this.join();
      if (this.count > this.starts.length / 2) this.grow(this.starts.length * 2);
    }
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.owners[this.count] = owner;
    this.count++;
  }

  /** The parts of `[start, end)` that have an owner, ascending and apart. */
  *within(start: number, end: number): Generator<OwnedRange> {
    this.join();
    for (
      let index = firstEndingBehind(this.ends, this.count, start);
      index < this.count && (this.starts[index] as number) < end;
      index++
    ) {
      yield {
        start: Math.max(start, this.starts[index] as number),
        end: Math.min(end, this.ends[index] as number),
        owner: this.owners[index] as number,
      };
    }
  }

  private grow(length: number): void {
    const longer = (values: Float64Array): Float64Array<ArrayBuffer> => {
      const copy = new Float64Array(length);
      copy.set(values);
      return copy;
    };
    this.starts = longer(this.starts);
    this.ends = longer(this.ends);
    this.owners = longer(this.owners);
  }

  /** Sweeps over all bounds in order, with the owners of what lies there at hand. */
  private join(): void {
    if (this.joined === this.count) return;
    const { starts, ends, owners, count } = this;
    const byStart = orderOf(starts, count);
    const byEnd = orderOf(ends, count);
    const active = new Map<number, number>();
    // Ranges that overlap in all ways come to as many parts as they have bounds.
    const room = Math.max(starts.length, 2 * count);
    this.starts = new Float64Array(room);
    this.ends = new Float64Array(room);
    this.owners = new Float64Array(room);
    this.count = 0;
    let opened = 0;
    let closed = 0;
    let at = 0;
    while (closed < count) {
      const nextEnd = ends[byEnd[closed] as number] as number;
      const position = opened < count ? Math.min(starts[byStart[opened] as number] as number, nextEnd) : nextEnd;
      if (active.size > 0 && position > at) this.append(at, position, soleOwner(active));
      at = position;
      for (; opened < count && starts[byStart[opened] as number] === at; opened++) {
        const owner = owners[byStart[opened] as number] as number;
        active.set(owner, (active.get(owner) ?? 0) + 1);
      }
      for (; closed < count && ends[byEnd[closed] as number] === at; closed++) {
        const owner = owners[byEnd[closed] as number] as number;
        const left = (active.get(owner) as number) - 1;
        if (left === 0) active.delete(owner);
        else active.set(owner, left);
      }
    }
    this.joined = this.count;
  }

  private append(start: number, end: number, owner: number): void {
    const last = this.count - 1;
    if (last >= 0 && this.ends[last] === start && this.owners[last] === owner) {
      this.ends[last] = end;
      return;
    }
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.owners[this.count] = owner;
    this.count++;
  }
}

/** Indexes of the first `count` values, by value. */
function orderOf(values: Float64Array, count: number): Uint32Array {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < count; index++) {
    least = Math.min(least, values[index] as number);
    greatest = Math.max(greatest, values[index] as number);
  }
  const order = new Uint32Array(count);
  if ((greatest - least + 1) * count > Number.MAX_SAFE_INTEGER) {
    for (let index = 0; index < count; index++) order[index] = index;
    return order.sort((a, b) => (values[a] as number) - (values[b] as number));
  }
  // Value and index in one number: without a function that compares, sorting takes a fraction of the time.
  const keys = new Float64Array(count);
  for (let index = 0; index < count; index++) keys[index] = ((values[index] as number) - least) * count + index;
  keys.sort();
  for (let index = 0; index < count; index++) order[index] = (keys[index] as number) % count;
  return order;
}

function soleOwner(active: ReadonlyMap<number, number>): number {
  if (active.size > 1) return SHARED;
  for (const owner of active.keys()) return owner;
  return SHARED;
}
