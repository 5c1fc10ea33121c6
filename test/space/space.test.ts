import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/format/cursor.ts';
import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { NO_RECORDS, numberInKey, numberKey } from '../../src/format/record-page.ts';
import { recordLayout, spaceLayout } from '../../src/map/layouts.ts';
import { PageStore } from '../../src/map/pages.ts';
import { putRecord, type RecordTree, records } from '../../src/map/records.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { walkTree } from '../../src/map/walk.ts';
import { type HostRange, joinRanges } from '../../src/space/host-range.ts';
import { type BornRange, type PendingRange, pendingRange } from '../../src/space/pending.ts';
import { freeRange, Space, type SpaceState, unusedSpace } from '../../src/space/space.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { decodeHostile } from '../support/hostile.ts';
import { SeededRandom } from '../support/random.ts';
import { CountingStorage, type StorageCounts } from '../support/storages.ts';

const EMPTY: SpaceState = {
  free: null,
  bySize: null,
  pending: null,
  reserve: [],
  end: RECORDS_OFFSET,
  freeBytes: 0,
  pendingBytes: 0,
};

/** A container's space with plain lists beside it, which every step is compared with. */
class SpaceRun {
  readonly storage = new CountingStorage(new MemoryStorage());
  space: Space;
  state = EMPTY;
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

describe('Space', () => {
  const lengths = fc.oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 300, max: 5000 }),
    fc.integer({ min: 5000, max: 90_000 }),
  );
  const actions = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('lasting', 'passing'), length: lengths }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('below'), length: lengths }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('release'), length: fc.nat() }) },
  );
  const transactions = fc.record({
    list: fc.array(actions, { maxLength: 15 }),
    // A reader comes, which takes the newest generation; or one that is there goes.
    reader: fc.option(fc.oneof(fc.constant('comes' as const), fc.nat())),
    reopen: fc.boolean(),
    // Some births are not known, and told as older than they are.
    vague: fc.option(fc.nat(), { freq: 20 }),
  });

  it('never gives out what is in use, in a slot or before a reader, keeps nothing longer, and accounts for every byte', () => {
    fc.assert(
      fc.property(fc.array(transactions, { maxLength: 40, size: 'max' }), (list) => {
        const run = new SpaceRun();
        for (const transaction of list) {
          if (transaction.reopen) run.space = run.open();
          const { reader, vague } = transaction;
          if (reader === 'comes') run.readers.push(run.generation);
          else if (reader !== null) run.readers.splice(reader % Math.max(1, run.readers.length), 1);
          run.begin();
          for (const { kind, length } of transaction.list) {
            if (kind === 'lasting' || kind === 'passing') run.allocate(length, kind);
            else if (kind === 'below') run.allocateBelow(length, run.space.end - 1);
            else if (run.live.length > 0)
              run.release(length % run.live.length, vague === null ? undefined : vague % run.generation);
          }
          run.finish();
        }
      }),
    );
  });

  it('does not keep what is made and given back in one transaction for a reader', () => {
    const run = new SpaceRun();
    run.readers.push(run.generation);
    run.begin();
    run.allocate(5000, 'lasting');
    run.release(0);
    run.finish();
    for (let round = 0; round < 2; round++) {
      run.begin();
      run.finish();
    }
    expect(run.state.pendingBytes).toBeLessThan(5000);
  });

  it('lowers the end when all is given back', () => {
    const run = new SpaceRun();
    const random = new SeededRandom(1);
    run.begin();
    for (let index = 0; index < 500; index++) run.allocate(1 + random.below(20_000), 'lasting');
    run.finish();
    expect(run.state.end).toBeGreaterThan(4_000_000);
    run.begin();
    while (run.live.length > 0) run.release(random.below(run.live.length));
    run.finish();
    for (let round = 0; round < 6; round++) {
      run.begin();
      run.finish();
    }
    expect(run.state.end).toBeLessThan(RECORDS_OFFSET + 100_000);
  });

  it('uses what was given back instead of growing', () => {
    const run = new SpaceRun();
    const random = new SeededRandom(2);
    let end = 0;
    for (let round = 0; round < 120; round++) {
      run.begin();
      for (let index = 0; index < 10; index++)
        run.allocate(1 + random.below(8000), index % 2 === 0 ? 'lasting' : 'passing');
      while (run.live.length > 60) run.release(random.below(run.live.length));
      run.finish();
      if (round === 30) end = run.state.end;
    }
    expect(run.state.end).toBeLessThan(end * 1.5);
  });

  it('keeps what a reader needs, and no more, until it goes', () => {
    const run = new SpaceRun();
    const replaceAll = (): void => {
      run.begin();
      while (run.live.length > 0) run.release(0);
      for (let index = 0; index < 20; index++) run.allocate(10_000, 'lasting');
      run.finish();
    };
    for (let round = 0; round < 5; round++) replaceAll();
    run.readers.push(run.generation);
    for (let round = 0; round < 50; round++) replaceAll();
    // What the reader has, what the slots and the newest state have, and the trees of space.
    expect(run.state.end).toBeLessThan(6 * 200_000);
    expect(run.state.pendingBytes).toBeGreaterThanOrEqual(400_000);
    run.readers.push(run.generation);
    for (let round = 0; round < 50; round++) replaceAll();
    expect(run.state.end).toBeLessThan(7 * 200_000);
    run.readers.shift();
    for (let round = 0; round < 5; round++) replaceAll();
    expect(run.state.pendingBytes).toBeLessThan(4 * 200_000);
    run.readers.shift();
    for (let round = 0; round < 5; round++) replaceAll();
    expect(run.state.pendingBytes).toBeLessThan(3 * 200_000);
  });

  it('does not look at what a reader pins again while that reader lives', () => {
    const PINNED = 5000;
    const storage = new CountingStorage(new MemoryStorage());
    let state = EMPTY;
    let generation = 1;
    const publish = (change: (space: Space) => void): StorageCounts =>
      storage.during(() => {
        const space = new Space(new PageStore(storage), state);
        const slots = { first: generation - 1, last: generation };
        space.begin(generation > 3 ? [{ first: 2, last: 2 }, slots] : [slots]);
        change(space);
        state = space.finish(++generation, (bytes, place) => storage.write(bytes, place));
      });
    const places: number[] = [];
    publish((space) => {
      for (let index = 0; index < 2 * PINNED; index++) places.push(space.allocate(100, 'lasting'));
    });
    publish(() => {});
    publish((space) => {
      // Every second one, so that nothing is joined.
      for (let index = 0; index < PINNED; index++) space.release(places[2 * index] as number, 100, 2);
    });
    // Then all of it is looked at once, and waits for the reader.
    expect(publish(() => {}).writtenBytes).toBeLessThan(8000);
    expect(publish(() => {}).writtenBytes).toBeGreaterThan(5 * PINNED);
    for (let round = 0; round < 5; round++) {
      const { reads, writtenBytes } = publish((space) =>
        space.release(space.allocate(100, 'lasting'), 100, generation),
      );
      expect(state.pendingBytes).toBeGreaterThanOrEqual(PINNED * 100);
      expect(reads).toBeLessThan(20);
      expect(writtenBytes).toBeLessThan(8000);
    }
  });

  it('lets what waited for a reader that goes wait beside what waits for the next one already', () => {
    const COUNT = 300;
    const storage = new MemoryStorage();
    let state = EMPTY;
    let generation = 1;
    const publish = (readers: readonly number[], change: (space: Space) => void): void => {
      const space = new Space(new PageStore(storage), state);
      const held = readers
        .filter((reader) => reader < generation - 1)
        .map((reader) => ({ first: reader, last: reader }));
      space.begin([...held, { first: generation - 1, last: generation }]);
      change(space);
      state = space.finish(++generation, (bytes, place) => storage.write(bytes, place));
    };
    const places: number[] = [];
    publish([], (space) => {
      for (let index = 0; index < 2 * COUNT; index++) places.push(space.allocate(100, 'lasting'));
    });
    for (let round = 0; round < 6; round++) publish([2, 4], () => {});
    publish([2, 4], (space) => {
      // Neighbours are of different births: of generation 2, and of 4 as far as anybody knows.
      for (const [index, place] of places.entries()) space.release(place, 100, index % 2 === 0 ? 2 : 4);
    });
    const waiting = (): Record<number, number> => {
      const counts: Record<number, number> = {};
      const pending = new Space(new PageStore(storage), state).pending;
      for (const { key, value } of records(pending)) {
        const { start, end } = pendingRange(key, value);
        if (!places.includes(start)) continue;
        expect(end).toBe(start + 100);
        counts[numberInKey(key)] = (counts[numberInKey(key)] ?? 0) + 1;
      }
      return counts;
    };
    for (let round = 0; round < 3; round++) publish([2, 4], () => {});
    expect(waiting()).toEqual({ 2: COUNT, 4: COUNT });
    publish([4], () => {});
    expect(waiting()).toEqual({ 4: 2 * COUNT });
    publish([], () => {});
    expect(waiting()).toEqual({});
    publish([], () => {});
    expect(state.freeBytes + state.reserve.reduce((sum, { start, end }) => sum + end - start, 0)).toBeGreaterThan(
      COUNT,
    );
    expect(state.pendingBytes).toBeLessThan(2 * COUNT * 100);
  });

  it.each([
    ['inside the slots', numberKey(4096), 100],
    ['behind the end', numberKey(2 ** 40), 100],
    ['beyond the end', numberKey(RECORDS_OFFSET), 2 ** 40],
    ['nowhere', '', 100],
    ['at half a number', 'abc', 100],
  ])('refuses free space that lies %s', (_name, key, length) => {
    const storage = new MemoryStorage();
    const sink = { generation: 1, writePage: () => expect.fail('inline'), releasePage: () => {} };
    const tree = (layout: typeof spaceLayout, fill: (made: RecordTree) => void) => {
      const made: RecordTree = new PersistentTree(layout, new PageStore(storage), null);
      fill(made);
      return made.flush(sink);
    };
    const value = Uint8Array.of((length % 128) | 0x80, 0x80 | ((length / 128) % 128), 0x01);
    const free = tree(spaceLayout, (made) => putRecord(made, key, value));
    const bySize = tree(recordLayout('x'), (made) =>
      made.replaceRange(
        '',
        undefined,
        key === '' ? NO_RECORDS : { keys: [numberKey(length) + key], values: [new Uint8Array(0)] },
      ),
    );
    const space = new Space(new PageStore(storage), {
      ...EMPTY,
      free,
      bySize,
      end: RECORDS_OFFSET + 1000,
      freeBytes: length,
    });
    for (const action of [() => space.allocateBelow(50, 2 ** 50), () => space.fillReserve()])
      expect(decodeHostile(action)).toEqual({ code: 'corrupt' });
  });
});

describe('pending space', () => {
  const value = (...numbers: number[]): Uint8Array => {
    const writer = new ByteWriter(16);
    for (const number of numbers) writer.varint(number);
    return writer.finish();
  };

  it('says where it is, and of which generations', () => {
    const range = { start: 9000, end: 9100, birth: 3, givenUp: 7 };
    expect(pendingRange(numberKey(5, 7, 9000), value(100, 3))).toEqual(range);
  });

  it.each([
    ['born after it was given up', numberKey(5, 7, 9000), value(100, 8)],
    ['waiting for a generation without it', numberKey(7, 7, 9000), value(100, 3)],
    ['of no length', numberKey(5, 7, 9000), value(0, 3)],
    ['with a short key', numberKey(5, 7), value(100, 3)],
    ['with a long key', `${numberKey(5, 7, 9000)}x`, value(100, 3)],
    ['without a birth', numberKey(5, 7, 9000), value(100)],
    ['with something behind it', numberKey(5, 7, 9000), value(100, 3, 1)],
  ])('%s is corrupt', (_name, key, bytes) => {
    expect(decodeHostile(() => pendingRange(key, bytes))).toEqual({ code: 'corrupt' });
  });
});

describe('joinRanges', () => {
  it('sorts, and joins what touches', () => {
    expect(
      joinRanges([
        { start: 5, end: 7 },
        { start: 1, end: 2 },
        { start: 2, end: 4 },
        { start: 7, end: 9 },
      ]),
    ).toEqual([
      { start: 1, end: 4 },
      { start: 5, end: 9 },
    ]);
    expect(joinRanges([])).toEqual([]);
  });

  it('joins only what is of one kind', () => {
    const [a, b, c] = [
      { start: 1, end: 2, birth: 1 },
      { start: 2, end: 3, birth: 1 },
      { start: 3, end: 4, birth: 2 },
    ];
    expect(joinRanges([c, b, a], ({ birth }) => birth)).toEqual([{ ...a, end: 3 }, c]);
  });
});
