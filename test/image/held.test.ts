import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { READER_LOCKS_OFFSET } from '../../src/format/layout.ts';
import { heldGenerations } from '../../src/image/held.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { CountingStorage } from '../support/storages.ts';

/** What the writer finds below `limit` when readers hold these generations, and how often it tried. */
function found(readers: readonly number[], limit: number) {
  const disk = new MemoryDisk();
  for (const reader of readers)
    new MemoryStorage(disk, { readOnly: true }).tryLock(READER_LOCKS_OFFSET + reader, 1, 'shared');
  const storage = new CountingStorage(new MemoryStorage(disk));
  const held = heldGenerations(storage, limit);
  // It lets go of everything that it tried.
  expect(new MemoryStorage(disk).tryLock(READER_LOCKS_OFFSET, 2 ** 49, 'exclusive')).toBe(readers.length === 0);
  return { held, tries: storage.counts.lockProbes };
}

const single = (generation: number) => ({ first: generation, last: generation });

describe('held generations', () => {
  it('are those of readers below the limit', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 5000 }), { maxLength: 20 }), fc.nat({ max: 5001 }), (readers, limit) => {
        const below = readers.filter((reader) => reader < limit).sort((a, b) => a - b);
        expect(found(readers, limit).held).toEqual(below.map(single));
      }),
    );
  });

  it('cost one try without readers, and one for each halving with them', () => {
    expect(found([], 2 ** 48).tries).toBe(1);
    expect(found([0], 2 ** 20).tries).toBeLessThanOrEqual(22);
    expect(found([2 ** 48 - 1], 2 ** 48).tries).toBeLessThanOrEqual(49);
    expect(found([5, 700_000], 2 ** 20).tries).toBeLessThanOrEqual(43);
  });

  it('beyond a number of them count as held from the last that is told apart to the newest', () => {
    const readers = Array.from({ length: 100 }, (_, index) => 10 * index);
    const { held, tries } = found(readers, 2000);
    expect(held).toEqual([...readers.slice(0, 31).map(single), { first: 310, last: 990 }]);
    expect(tries).toBeLessThan(500);
    expect(found(readers.slice(0, 32), 2000).held).toEqual(readers.slice(0, 32).map(single));
  });
});
