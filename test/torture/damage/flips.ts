import { SLOT_BYTES } from '../../../src/format/layout.ts';
import { MemoryDisk } from '../../../src/storage/memory.ts';
import type { SeededRandom } from '../../support/random.ts';
import { checkOutcome, outcome, type Reader, slotGenerations } from './readers.ts';
import type { Subject } from './subjects.ts';
import type { Tally } from './tally.ts';

export interface FlipTallies {
  readonly slots: Tally;
  readonly padding: Tally;
  readonly metadata: Tally;
  readonly data: Tally;
  readonly unused: Tally;
}

/** Share of the readers that do not need the changed byte and are tried all the same. */
const CONTROL_SHARE = 0.02;
const MAX_READERS = 3;
/** Nothing reads what is behind a header: a few of its bits are enough. */
const PADDING_SHARE = 0.02;

interface Case {
  readonly subject: Subject;
  readonly readers: readonly Reader[];
  readonly random: SeededRandom;
}

/** Turns bits of every kind of byte; each reader must refuse what it reads, and read the same if it does not need it. */
export async function flipBits(
  subject: Subject,
  readers: readonly Reader[],
  tallies: FlipTallies,
  options: { readonly random: SeededRandom; readonly bitShare: number; readonly dataBits: number },
): Promise<void> {
  const { random, bitShare, dataBits } = options;
  const disk = MemoryDisk.from(subject.bytes);
  const context = { subject, readers, random };
  const header = new DataView(subject.bytes.buffer, subject.bytes.byteOffset).getUint32(16, true);
  for (const slot of [0, SLOT_BYTES]) {
    for (let bit = 0; bit < SLOT_BYTES * 8; bit++) {
      const isPadding = bit >>> 3 >= 24 + header;
      if (random.next() >= bitShare * (isPadding ? PADDING_SHARE : 1)) continue;
      await flipInSlot(context, disk, slot * 8 + bit, isPadding ? tallies.padding : tallies.slots, isPadding);
    }
  }
  const { isMetadata, isData } = subject;
  for (let bit = 0; bit < isMetadata.length * 8; bit++)
    if (isMetadata[bit >>> 3] === 1 && random.next() < bitShare)
      await flipInRecord(context, disk, bit, tallies.metadata);
  const data = positions(isData, 1);
  for (let count = 0; count < dataBits && data.length > 0; count++)
    await flipInRecord(context, disk, randomBit(data, random), tallies.data);
  const used = Uint8Array.from(isMetadata, (flag, at) => flag | (isData[at] as number));
  const unused = positions(used, 0).filter((at) => at >= 2 * SLOT_BYTES);
  for (let count = 0; count < dataBits / 10 && unused.length > 0; count++)
    await flipUnused(context, disk, randomBit(unused, random), tallies.unused);
}

function positions(flags: Uint8Array, wanted: number): number[] {
  return Array.from(flags.keys()).filter((at) => flags[at] === wanted);
}

function randomBit(places: readonly number[], random: SeededRandom): number {
  return (places[random.below(places.length)] as number) * 8 + random.below(8);
}

function turn(disk: MemoryDisk, original: Uint8Array, bit: number): void {
  disk.write(Uint8Array.of((original[bit >>> 3] as number) ^ (1 << (bit & 7))), bit >>> 3);
}

function mend(disk: MemoryDisk, original: Uint8Array, bit: number): void {
  disk.write(Uint8Array.of(original[bit >>> 3] as number), bit >>> 3);
}

async function flipInSlot(
  { subject, readers, random }: Case,
  disk: MemoryDisk,
  bit: number,
  tally: Tally,
  isPadding: boolean,
): Promise<void> {
  const { bytes } = subject;
  turn(disk, bytes, bit);
  tally.tried();
  const where = `${subject.name}, bit ${bit & 7} of byte ${bit >>> 3}`;
  const hit = bit >>> 3 < SLOT_BYTES ? 0 : 1;
  const generations = slotGenerations(disk);
  if (generations[1 - hit] === undefined) tally.lost(`${where}: the other slot is not whole`);
  if ((generations[hit] === undefined) === isPadding)
    tally.lost(`${where}: the slot is ${isPadding ? 'not ' : ''}whole`);
  const reader = readers[random.below(readers.length)] as Reader;
  tally.expect(await outcome(reader, disk), ['same'], `${where}, ${reader.name}`);
  mend(disk, bytes, bit);
}

async function flipInRecord(context: Case, disk: MemoryDisk, bit: number, tally: Tally): Promise<void> {
  const { subject, readers, random } = context;
  turn(disk, subject.bytes, bit);
  tally.tried();
  const where = `${subject.name}, bit ${bit & 7} of byte ${bit >>> 3}`;
  const needed = random.shuffled(readers.filter(({ touched }) => touched[bit >>> 3] === 1));
  for (const reader of needed.slice(0, MAX_READERS))
    tally.expect(await outcome(reader, disk), ['corrupt'], `${where}, ${reader.name}`);
  for (const reader of readers) {
    if (needed.includes(reader) || random.next() >= CONTROL_SHARE) continue;
    tally.expect(await outcome(reader, disk), ['same'], `${where}, ${reader.name}`);
  }
  // Checking data only adds to what is found: for metadata, one bit of each byte is tried with it.
  const data = subject.isData[bit >>> 3] === 1 || (bit & 7) === 0;
  tally.expect(await checkOutcome(disk, { data }), ['found'], `${where}, check`);
  mend(disk, subject.bytes, bit);
}

/** Free space may be changed without anybody noticing. */
async function flipUnused(
  { subject, readers, random }: Case,
  disk: MemoryDisk,
  bit: number,
  tally: Tally,
): Promise<void> {
  turn(disk, subject.bytes, bit);
  tally.tried();
  const where = `${subject.name}, byte ${bit >>> 3} of free space`;
  const reader = readers[random.below(readers.length)] as Reader;
  tally.expect(await outcome(reader, disk), ['same'], `${where}, ${reader.name}`);
  tally.expect(await checkOutcome(disk, { data: true }), ['clean'], `${where}, check`);
  mend(disk, subject.bytes, bit);
}
