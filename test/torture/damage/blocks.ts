import { RECORDS_OFFSET, SLOT_BYTES } from '../../../src/format/layout.ts';
import type { HostRange } from '../../../src/space/host-range.ts';
import { MemoryDisk } from '../../../src/storage/memory.ts';
import type { SeededRandom } from '../../support/random.ts';
import { checkOutcome, outcome, type Reader, slotGenerations } from './readers.ts';
import type { Subject } from './subjects.ts';
import type { Tally } from './tally.ts';

const MAX_READERS = 3;
const CONTROL_SHARE = 0.1;
/** Share of the trials after which also all data is checked. */
const DATA_SHARE = 0.2;
const BLOCK_SIZES = [512, 4096] as const;
const WAYS = ['zero', 'copy', 'swap', 'shift'] as const;

interface Damage {
  readonly where: string;
  readonly bytes: Uint8Array;
  /** What may have changed or be gone. */
  readonly ranges: readonly HostRange[];
}

/** True if one of these bytes has changed or is gone. */
function isHit(subject: Subject, { bytes, ranges }: Damage, touched: Uint8Array): boolean {
  for (const { start, end } of ranges) {
    for (let at = Math.max(start, RECORDS_OFFSET); at < end; at++) {
      at = touched.indexOf(1, at);
      if (at < 0 || at >= end) break;
      if (bytes[at] !== subject.bytes[at]) return true;
    }
  }
  return false;
}

/** Readers must read the same or say 'corrupt'; which of them is known from what they touch. */
async function judge(
  subject: Subject,
  readers: readonly Reader[],
  damage: Damage,
  tally: Tally,
  random: SeededRandom,
): Promise<void> {
  tally.tried();
  const disk = MemoryDisk.from(damage.bytes);
  const opens = slotGenerations(disk).some((generation) => generation !== undefined);
  const needed: Reader[] = [];
  for (const reader of random.shuffled(readers)) {
    if (!opens || isHit(subject, damage, reader.touched)) needed.push(reader);
    else if (random.next() < CONTROL_SHARE)
      tally.expect(await outcome(reader, disk), ['same'], `${damage.where}, ${reader.name}`);
  }
  for (const reader of needed.slice(0, MAX_READERS))
    tally.expect(await outcome(reader, disk), ['corrupt'], `${damage.where}, ${reader.name}`);
  const data = random.next() < DATA_SHARE;
  const isFound = isHit(subject, damage, subject.isMetadata) || (data && isHit(subject, damage, subject.isData));
  // The header says how long the file is.
  const isCut = damage.bytes.length < subject.bytes.length;
  const expected = !opens ? 'corrupt' : isFound || isCut ? 'found' : 'clean';
  tally.expect(await checkOutcome(disk, { data }), [expected], `${damage.where}, check`);
}

/** Cuts the file: at every length of the slots and of the last 4 KiB, and at others in steps. */
export async function cutEverywhere(
  subject: Subject,
  readers: readonly Reader[],
  tally: Tally,
  options: { readonly random: SeededRandom; readonly share: number; readonly stepBytes: number },
): Promise<void> {
  const { random, share, stepBytes } = options;
  const total = subject.bytes.length;
  for (let length = 0; length < total; length++) {
    const isClose = length <= RECORDS_OFFSET || length > total - SLOT_BYTES;
    if (!isClose && length % stepBytes !== 0) continue;
    if (random.next() >= share) continue;
    const damage: Damage = {
      where: `${subject.name}, cut to ${length} bytes`,
      bytes: subject.bytes.subarray(0, length),
      ranges: [{ start: length, end: total }],
    };
    await judge(subject, readers, damage, tally, random);
  }
}

/** Zeroes, copies, swaps and shifts whole blocks, as a device or a file system that mixes them up would. */
export async function mixBlocks(
  subject: Subject,
  readers: readonly Reader[],
  tally: Tally,
  options: { readonly random: SeededRandom; readonly count: number },
): Promise<void> {
  const { random, count } = options;
  const { bytes, name } = subject;
  for (let round = 0; round < count; round++) {
    const size = BLOCK_SIZES[random.below(2)] as number;
    const way = WAYS[random.below(WAYS.length)] as (typeof WAYS)[number];
    const pick = (): number =>
      random.below(4) === 0
        ? random.below(bytes.length - size + 1)
        : size * random.below(Math.floor(bytes.length / size));
    const [from, to] = [pick(), pick()];
    const copy = bytes.slice();
    if (way === 'zero') copy.fill(0, to, to + size);
    else if (way === 'shift') copy.copyWithin(to + 1, to, to + size);
    else copy.set(bytes.subarray(from, from + size), to);
    if (way === 'swap') copy.set(bytes.subarray(to, to + size), from);
    const damage: Damage = {
      where: `${name}, ${way} ${size} bytes from ${from} to ${to}`,
      bytes: copy.subarray(0, bytes.length),
      ranges: [
        { start: to, end: to + size + 1 },
        { start: from, end: way === 'swap' ? from + size : from },
      ],
    };
    await judge(subject, readers, damage, tally, random);
  }
}
