import { SeededRandom } from '../../support/random.ts';
import type { PartOptions, Row } from '../part.ts';
import { cutEverywhere, mixBlocks } from './blocks.ts';
import { flipBits } from './flips.ts';
import { readersOf } from './readers.ts';
import { damageSlots } from './slots.ts';
import type { Subject } from './subjects.ts';
import { Tally } from './tally.ts';

/** What the full run takes of each kind, for each container. */
const DATA_BITS = 2000;
const MIXED_BLOCKS = 4000;
const SLOT_ROUNDS = 60;

/** Bits, blocks, ends and headers of containers that are damaged after they were written well. */
export async function damageAll(subjects: readonly Subject[], { scale, seed, log }: PartOptions): Promise<Row[]> {
  const random = new SeededRandom(seed);
  const tally = (what: string): Tally => new Tally(what, log);
  const flips = {
    slots: tally('bits turned in headers'),
    padding: tally('bits turned behind headers'),
    metadata: tally('bits turned in pages and chunk tables'),
    data: tally('bits turned in chunks'),
    unused: tally('bits turned in free space'),
  };
  const cuts = tally('files cut');
  const blocks = tally('blocks zeroed, copied, swapped, shifted');
  const slots = tally('pairs of damaged headers');
  const share = Math.min(1, scale);
  for (const subject of subjects) {
    const readers = await readersOf(subject.bytes);
    log(`${subject.name}: ${subject.bytes.length} bytes, ${readers.length} readers`);
    const times = (count: number): number => Math.ceil(count * scale);
    await flipBits(subject, readers, flips, { random, bitShare: share, dataBits: times(DATA_BITS) });
    await cutEverywhere(subject, readers, cuts, { random, share, stepBytes: 13 });
    await mixBlocks(subject, readers, blocks, { random, count: times(MIXED_BLOCKS) });
    await damageSlots(subject, slots, { random, rounds: times(SLOT_ROUNDS) });
  }
  return [...Object.values(flips), cuts, blocks, slots].map((each) => each.row());
}
