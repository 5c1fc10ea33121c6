import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { NO_RECORDS, numberInKey, numberKey } from '../../src/format/record-page.ts';
import { recordLayout, spaceLayout } from '../../src/map/layouts.ts';
import { PageStore } from '../../src/map/pages.ts';
import { putRecord, type RecordTree, records } from '../../src/map/records.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { pendingRange } from '../../src/space/pending.ts';
import { Space } from '../../src/space/space.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { decodeHostile } from '../support/hostile.ts';
import { SeededRandom } from '../support/random.ts';
import { EMPTY_SPACE, SpaceRun } from '../support/space-run.ts';
import { CountingStorage, type StorageCounts } from '../support/storages.ts';

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
    let state = EMPTY_SPACE;
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
    let state = EMPTY_SPACE;
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
      ...EMPTY_SPACE,
      free,
      bySize,
      end: RECORDS_OFFSET + 1000,
      freeBytes: length,
    });
    for (const action of [() => space.allocateBelow(50, 2 ** 50), () => space.fillReserve()])
      expect(decodeHostile(action)).toEqual({ code: 'corrupt' });
  });
});
