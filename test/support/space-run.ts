import { expect } from 'vitest';
import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { recordLayout, spaceLayout } from '../../src/map/layouts.ts';
import { PageStore } from '../../src/map/pages.ts';
import { walkTree } from '../../src/map/walk.ts';
import { type HostRange, joinRanges } from '../../src/space/host-range.ts';
import { type BornRange, type PendingRange, pendingRange } from '../../src/space/pending.ts';
import { freeRange, Space, type SpaceState, unusedSpace } from '../../src/space/space.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { CountingStorage } from './storages.ts';

export const EMPTY_SPACE: SpaceState = {
  free: null,
  bySize: null,
  pending: null,
  reserve: [],
  end: RECORDS_OFFSET,
  freeBytes: 0,
  pendingBytes: 0,
};

/** A container's space with plain lists beside it, which every step is compared with. */
export class SpaceRun {
  readonly storage = new CountingStorage(new MemoryStorage());
  space: Space;
  state = EMPTY_SPACE;
  generation = 1;
  /** Records in use, and the pages of the space trees. */
  live: BornRange[] = [];
  pages: BornRange[] = [];
  /** Generations that are read, and all that was in use in each generation that somebody may still read. */
  readers: number[] = [];
  private snapshots = new Map<number, readonly HostRange[]>([[1, []]]);
  /** What was given out or written in the open transaction. */
  private fresh: HostRange[] = [];
  /** Everything given back was given back with its true birth. */
  isExact = true;

  constructor() {
    this.space = this.open();
  }

  open(): Space {
    return new Space(new PageStore(this.storage), this.state);
  }

  begin(): void {
    const slots = { first: this.generation - 1, last: this.generation };
    const readers = [...new Set(this.readers)].sort((a, b) => a - b).filter((reader) => reader < slots.first);
    this.snapshots = new Map(
      [...this.snapshots].filter(([generation]) => generation >= slots.first || readers.includes(generation)),
    );
    this.space.begin([...readers.map((reader) => ({ first: reader, last: reader })), slots]);
  }

  /** Nothing that a state still holds is written over: that of a slot, of a reader, or the one in the making. */
  private claim(range: HostRange): void {
    const taken = [...this.live, ...this.pages, ...this.fresh, ...[...this.snapshots.values()].flat()].find(
      ({ start, end }) => start < range.end && range.start < end,
    );
    expect({ range, taken }).toEqual({ range, taken: undefined });
    expect(range.start).toBeGreaterThanOrEqual(RECORDS_OFFSET);
    this.fresh.push(range);
  }

  allocate(lengthBytes: number, life: 'lasting' | 'passing'): void {
    this.take(this.space.allocate(lengthBytes, life), lengthBytes);
  }

  allocateBelow(lengthBytes: number, limit: number): void {
    const start = this.space.allocateBelow(lengthBytes, limit);
    if (start === undefined) return;
    expect(start + lengthBytes).toBeLessThanOrEqual(limit);
    this.take(start, lengthBytes);
  }

  private take(start: number, lengthBytes: number): void {
    const range = { start, end: start + lengthBytes };
    this.claim(range);
    this.live.push({ ...range, birth: this.generation + 1 });
  }

  release(index: number, birth?: number): void {
    const [range] = this.live.splice(index, 1);
    if (range === undefined) return;
    if (birth !== undefined && birth !== range.birth) this.isExact = false;
    this.space.release(range.start, range.end - range.start, Math.min(range.birth, birth ?? range.birth));
  }

  finish(): void {
    this.generation++;
    this.state = this.space.finish(this.generation, (bytes, place) => {
      this.claim({ start: place, end: place + bytes.length });
      this.storage.write(bytes, place);
    });
    const { pages, free, pending } = this.survey();
    this.pages = pages.map(
      (page) => this.pages.find(({ start }) => start === page.start) ?? { ...page, birth: this.generation },
    );
    this.compare(free, pending);
    this.snapshots.set(this.generation, [...this.live, ...this.pages]);
    this.fresh = [];
  }

  private survey(): { pages: HostRange[]; free: HostRange[]; pending: PendingRange[] } {
    const pages: HostRange[] = [];
    const walk = <R>(
      layout: typeof spaceLayout,
      root: SpaceState['free'],
      rangeOf: (key: string, value: Uint8Array) => R,
    ): R[] => {
      const ranges: R[] = [];
      walkTree(layout, new PageStore(this.storage), root, {
        page: ({ place, lengthBytes }) => pages.push({ start: place, end: place + lengthBytes }) > 0,
        leaf: ({ keys, values }) => ranges.push(...keys.map((key, index) => rangeOf(key, values[index] as Uint8Array))),
      });
      return ranges;
    };
    const free = walk(spaceLayout, this.state.free, freeRange);
    const pending = walk(recordLayout('pending space'), this.state.pending, pendingRange);
    walk(recordLayout('free space by length'), this.state.bySize, () => null);
    return { pages, free, pending };
  }

  /** Every byte up to the end is in use, free, pending or set aside: one of them, and counted so. */
  private compare(free: readonly HostRange[], pending: readonly PendingRange[]): void {
    const { reserve, end, freeBytes, pendingBytes } = this.state;
    const bytes = (ranges: readonly HostRange[]): number =>
      ranges.reduce((total, range) => total + range.end - range.start, 0);
    expect([bytes(free), bytes(pending)]).toEqual([freeBytes, pendingBytes]);
    expect(unusedSpace(this.state)).toBe(freeBytes + pendingBytes + bytes(reserve));
    expect([this.space.freeBytes, this.space.pendingBytes, this.space.end]).toEqual([freeBytes, pendingBytes, end]);
    const all = [...this.live, ...this.pages, ...free, ...pending, ...reserve]
      .map(({ start, end: stop }) => ({ start, end: stop }))
      .filter((range) => range.start < range.end);
    expect(joinRanges(all)).toEqual(end === RECORDS_OFFSET ? [] : [{ start: RECORDS_OFFSET, end }]);
    expect(bytes(all)).toBe(end - RECORDS_OFFSET);
    // Free runs that touch are one.
    expect(joinRanges(free)).toEqual(free);
    if (this.isExact) this.expectNeeded(pending);
  }

  /** What is pending is in use in a state that somebody may read, or was made and given back in one transaction. */
  private expectNeeded(pending: readonly PendingRange[]): void {
    const needed = [...this.snapshots.values()].flat();
    const bounds = [...new Set(needed.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b);
    for (const range of pending) {
      if (range.birth === range.givenUp && range.givenUp >= this.generation - 1) continue;
      for (const start of [range.start, ...bounds.filter((bound) => bound > range.start && bound < range.end)]) {
        const isNeeded = needed.some((other) => other.start <= start && start < other.end);
        expect({ range, start, isNeeded }).toEqual({ range, start, isNeeded: true });
      }
    }
  }
}
