import { SLOT_A_OFFSET, SLOT_B_OFFSET, SLOT_BYTES } from '../../../src/format/layout.ts';
import { encodeSlot, readSlot, readSlots } from '../../../src/format/slot.ts';
import { MemoryDisk, MemoryStorage } from '../../../src/storage/memory.ts';
import type { SeededRandom } from '../../support/random.ts';
import { openBytes, outcome, type Reader, readersOf } from './readers.ts';
import { commitTo, type Subject } from './subjects.ts';
import type { Tally } from './tally.ts';

const CONDITIONS = ['good', 'flipped', 'zeroed', 'torn', 'older', 'foreign'] as const;
type Condition = (typeof CONDITIONS)[number];

interface Sources {
  readonly newest: Uint8Array;
  readonly older: Uint8Array;
}

const STRANGER = new Uint8Array(16).fill(99);

/** A header of an empty container, as old as the newest one or a generation older or younger. */
function foreignSlot(newest: Uint8Array, random: SeededRandom): Uint8Array {
  const { generation, header } = readSlots(newest, newest, 'newest');
  return encodeSlot(generation - 1 + random.below(3), {
    ...header,
    imageId: STRANGER,
    working: { ...header.working, map: null },
    trees: { versions: null, children: null, refs: null, marks: null, log: null },
  });
}

function slotIn(condition: Condition, { newest, older }: Sources, random: SeededRandom): Uint8Array {
  const slot = newest.slice();
  if (condition === 'flipped') {
    const at = random.below(24 + new DataView(slot.buffer).getUint32(16, true));
    slot[at] = (slot[at] as number) ^ (1 << random.below(8));
  }
  if (condition === 'zeroed') slot.fill(0);
  if (condition === 'torn') slot.set(older.subarray(0, 1 + random.below(SLOT_BYTES - 1)));
  if (condition === 'older') slot.set(older);
  if (condition === 'foreign') slot.set(foreignSlot(newest, random));
  return slot;
}

/**
 * Both slots in every pair of conditions. One that is good must be enough for the newest state; without one, the
 * older state is next, which is whole still. Where the slots are of two containers, nobody can tell which one is
 * right: opening must fail.
 */
export async function damageSlots(
  subject: Subject,
  tally: Tally,
  options: { readonly random: SeededRandom; readonly rounds: number },
): Promise<void> {
  const { random, rounds } = options;
  const disk = MemoryDisk.from(subject.bytes);
  const before = await readersOf(subject.bytes);
  await commitTo(openBytes(new MemoryStorage(disk)), 'one more', 'newest');
  const published = disk.bytes();
  const after = await readersOf(published);
  const sources: Sources = {
    newest: published.slice(SLOT_A_OFFSET, SLOT_B_OFFSET),
    older: subject.bytes.slice(SLOT_A_OFFSET, SLOT_B_OFFSET),
  };
  for (let round = 0; round < rounds; round++) {
    for (const a of CONDITIONS) {
      for (const b of CONDITIONS) {
        const slots = [slotIn(a, sources, random), slotIn(b, sources, random)];
        disk.write(slots[0] as Uint8Array, SLOT_A_OFFSET);
        disk.write(slots[1] as Uint8Array, SLOT_B_OFFSET);
        tally.tried();
        // A torn slot may be as good as the newest or the older one.
        const generations = slots
          .filter((_slot, index) => [a, b][index] !== 'foreign')
          .map((slot) => readSlot(slot)?.generation)
          .filter((generation) => generation !== undefined);
        const hasForeign = a === 'foreign' || b === 'foreign';
        const where = `${subject.name}, slots ${a} and ${b}`;
        // The slot of another container alone is a header like any other.
        if (hasForeign && generations.length === 0) continue;
        const readers = Math.max(...generations) === readSlot(sources.newest)?.generation ? after : before;
        const allowed = hasForeign || generations.length === 0 ? 'corrupt' : 'same';
        const reader = readers[random.below(readers.length)] as Reader;
        tally.expect(await outcome(reader, disk), [allowed], `${where}, ${reader.name}`);
      }
    }
  }
}
