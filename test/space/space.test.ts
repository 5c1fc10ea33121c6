import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { NO_RECORDS, numberKey } from '../../src/format/record-page.ts';
import { recordLayout, spaceLayout } from '../../src/map/layouts.ts';
import { PageStore } from '../../src/map/pages.ts';
import { putRecord, type RecordTree } from '../../src/map/records.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { walkTree } from '../../src/map/walk.ts';
import { joinRanges } from '../../src/space/host-ranges.ts';
import { type HostRange, rangeOfRecord, Space, type SpaceState, unusedSpace } from '../../src/space/space.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { decodeHostile } from '../support/hostile.ts';
import { SeededRandom } from '../support/random.ts';

const EMPTY: SpaceState = {
  free: null,
  bySize: null,
  pending: null,
  reserve: [],
  end: RECORDS_OFFSET,
  freeBytes: 0,
  pendingBytes: 0,
};

interface Given extends HostRange {
  /** Generation that published without it. */
  readonly generation: number;
}

/** A container's space with plain lists beside it, which every step is compared with. */
class SpaceRun {
  readonly storage = new MemoryStorage();
  space: Space;
  state = EMPTY;
  generation = 1;
  /** Records in use, the pages of the space trees, and what was given back and may be needed still. */
  readonly live: HostRange[] = [];
  pages: HostRange[] = [];
  given: Given[] = [];
  /** What was given out or written in the open transaction. */
  fresh: HostRange[] = [];
  private ripe = 0;

  constructor() {
    this.space = this.open();
  }

  open(): Space {
    return new Space(new PageStore(this.storage), this.state);
  }

  begin(oldestReader = Number.POSITIVE_INFINITY): void {
    this.ripe = Math.min(this.generation - 1, oldestReader);
    this.space.begin(this.ripe);
    this.given = this.given.filter(({ generation }) => generation > this.ripe);
  }

  private claim(range: HostRange): void {
    const taken = [...this.live, ...this.pages, ...this.given, ...this.fresh].find(
      ({ start, end }) => start < range.end && range.start < end,
    );
    expect({ range, taken }).toEqual({ range, taken: undefined });
    expect(range.start).toBeGreaterThanOrEqual(RECORDS_OFFSET);
    this.fresh.push(range);
  }

  allocate(lengthBytes: number, life: 'lasting' | 'passing'): void {
    const start = this.space.allocate(lengthBytes, life);
    this.claim({ start, end: start + lengthBytes });
    this.live.push(this.fresh.pop() as HostRange);
  }

  allocateBelow(lengthBytes: number, limit: number): void {
    const start = this.space.allocateBelow(lengthBytes, limit);
    if (start === undefined) return;
    expect(start + lengthBytes).toBeLessThanOrEqual(limit);
    this.claim({ start, end: start + lengthBytes });
    this.live.push(this.fresh.pop() as HostRange);
  }

  release(index: number): void {
    const [range] = this.live.splice(index, 1);
    if (range === undefined) return;
    this.space.release(range.start, range.end - range.start);
    this.given.push({ ...range, generation: this.generation + 1 });
  }

  finish(): void {
    this.generation++;
    this.state = this.space.finish(this.generation, (bytes, place) => {
      this.claim({ start: place, end: place + bytes.length });
      this.storage.write(bytes, place);
    });
    this.fresh = [];
    const { pages, free, pending } = this.survey();
    for (const { start, end } of this.pages)
      if (!pages.some((page) => page.start === start)) this.given.push({ start, end, generation: this.generation });
    this.pages = pages;
    this.compare(free, pending);
  }

  private survey(): { pages: HostRange[]; free: HostRange[]; pending: HostRange[] } {
    const pages: HostRange[] = [];
    const walk = (layout: typeof spaceLayout, root: SpaceState['free']): HostRange[] => {
      const ranges: HostRange[] = [];
      walkTree(layout, new PageStore(this.storage), root, {
        page: ({ place, lengthBytes }) => pages.push({ start: place, end: place + lengthBytes }) > 0,
        leaf: ({ keys, values }) =>
          ranges.push(...keys.map((key, index) => rangeOfRecord(key, values[index] as Uint8Array))),
      });
      return ranges;
    };
    const free = walk(spaceLayout, this.state.free);
    const pending = walk(recordLayout('pending space'), this.state.pending);
    walkTree(recordLayout('free space by length'), new PageStore(this.storage), this.state.bySize, {
      page: ({ place, lengthBytes }) => pages.push({ start: place, end: place + lengthBytes }) > 0,
      leaf: () => {},
    });
    return { pages, free, pending };
  }

  /** Every byte up to the end is in use, free, pending or set aside: one of them, and counted so. */
  private compare(free: readonly HostRange[], pending: readonly HostRange[]): void {
    const { reserve, end, freeBytes, pendingBytes } = this.state;
    const bytes = (ranges: readonly HostRange[]): number =>
      ranges.reduce((total, range) => total + range.end - range.start, 0);
    expect([bytes(free), bytes(pending)]).toEqual([freeBytes, pendingBytes]);
    expect(unusedSpace(this.state)).toBe(freeBytes + pendingBytes + bytes(reserve));
    expect([this.space.freeBytes, this.space.pendingBytes, this.space.end]).toEqual([freeBytes, pendingBytes, end]);
    const all = [...this.live, ...this.pages, ...free, ...pending, ...reserve].filter(
      ({ start, end: stop }) => start < stop,
    );
    expect(joinRanges(all)).toEqual(end === RECORDS_OFFSET ? [] : [{ start: RECORDS_OFFSET, end }]);
    expect(bytes(all)).toBe(end - RECORDS_OFFSET);
    // Free runs that touch are one.
    expect(joinRanges(free)).toEqual(free);
    const outside = this.given.filter(({ generation }) => generation > this.generation - 1 || generation > this.ripe);
    for (const { start, end: stop } of outside)
      expect(pending.some((range) => range.start <= start && stop <= range.end)).toBe(true);
  }
}

describe('Space', () => {
  it('never gives out what is in use, pending or needed by a reader, and accounts for every byte', () => {
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
      reader: fc.nat({ max: 6 }),
      reopen: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(transactions, { maxLength: 40, size: 'max' }), (list) => {
        const run = new SpaceRun();
        for (const transaction of list) {
          if (transaction.reopen) run.space = run.open();
          // A reader of a generation keeps what later ones gave back.
          run.begin(transaction.reader < 3 ? run.generation - transaction.reader : undefined);
          for (const { kind, length } of transaction.list) {
            if (kind === 'lasting' || kind === 'passing') run.allocate(length, kind);
            else if (kind === 'below') run.allocateBelow(length, run.space.end - 1);
            else if (run.live.length > 0) run.release(length % run.live.length);
          }
          run.finish();
        }
      }),
    );
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

  it('does not give anything back to use while an old reader is there', () => {
    const run = new SpaceRun();
    run.begin();
    for (let index = 0; index < 20; index++) run.allocate(10_000, 'lasting');
    run.finish();
    const reader = run.generation;
    run.begin(reader);
    while (run.live.length > 0) run.release(0);
    run.finish();
    for (let round = 0; round < 5; round++) {
      run.begin(reader);
      run.allocate(10_000, 'lasting');
      run.finish();
    }
    expect(run.state.pendingBytes).toBeGreaterThanOrEqual(200_000);
    run.begin();
    run.finish();
    expect(run.state.pendingBytes).toBeLessThan(50_000);
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
});
