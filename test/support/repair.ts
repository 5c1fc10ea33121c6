import { VsimgError } from '../../src/errors.ts';
import { TREE_NAMES } from '../../src/format/header.ts';
import { SLOT_BYTES } from '../../src/format/layout.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { surveyContainer } from '../../src/image/survey.ts';
import { walkTree } from '../../src/map/walk.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { noise, TIME, text } from './content.ts';
import { PowerCutStorage } from './power-cut.ts';
import { SeededRandom } from './random.ts';

/** A container and what its versions hold, by number; null stands for the working state. */
export interface Sample {
  readonly disk: MemoryDisk;
  readonly truth: ReadonlyMap<number | null, Uint8Array>;
}

const SIZE_BYTES = 300_000;

/** Versions that share most of their data, with branches and tags, holes, and trees of several levels. */
export async function damageable(seed: number): Promise<Sample> {
  const random = new SeededRandom(seed);
  const disk = new MemoryDisk();
  const blockSizeBytes = [512, 4096][random.below(2)] as number;
  const compression = random.below(2) === 0 ? ({ codec: 'none' } as const) : ({ codec: 'zstd', level: 1 } as const);
  const image = new Image(
    Container.create(new MemoryStorage(disk, { name: 'test.vsi' }), {
      sizeBytes: SIZE_BYTES,
      blockSizeBytes,
      compression,
    }),
  );
  const truth = new Map<number | null, Uint8Array>();
  const now = new Uint8Array(SIZE_BYTES);
  const change = async (): Promise<void> => {
    const length = 1 + random.below(8000);
    const start = random.below(SIZE_BYTES - length);
    const bytes = random.below(2) === 0 ? noise(length, random.below(1e6)) : text(length, random.below(9));
    now.set(bytes, start);
    await image.write(start, bytes);
  };
  for (let number = 1; number <= 12; number++) {
    for (let count = 1 + random.below(12); count > 0; count--) await change();
    const tag = random.below(2) === 0 ? { tag: `t${number}` } : {};
    await image.commit({ message: `version ${number}`, timeSeconds: TIME + number, allowEmpty: true, ...tag });
    truth.set(number, now.slice());
    if (number === 6) await image.setBranch('side', '3');
  }
  await image.deleteVersions(['2', '5']);
  truth.delete(2);
  truth.delete(5);
  if (random.below(2) === 0) await image.gc();
  await change();
  await image.publish();
  truth.set(null, now.slice());
  return { disk, truth };
}

export type Damage = (disk: MemoryDisk, random: SeededRandom) => void | Promise<void>;

function flip(disk: MemoryDisk, place: number): void {
  const byte = new Uint8Array(1);
  disk.read(byte, place);
  disk.write(Uint8Array.of((byte[0] as number) ^ 0x20), place);
}

async function usedRanges(disk: MemoryDisk): Promise<{ start: number; end: number }[]> {
  const { used } = await surveyContainer(Container.open(new MemoryStorage(disk, { readOnly: true })));
  return [...used.ranges()];
}

/** Ways to damage a container. */
export const DAMAGES: readonly (readonly [string, Damage])[] = [
  [
    'one byte of a record',
    async (disk, random) => {
      const ranges = await usedRanges(disk);
      const range = ranges[random.below(ranges.length)] as { start: number; end: number };
      flip(disk, range.start + random.below(range.end - range.start));
    },
  ],
  [
    'several bytes',
    (disk, random) => {
      for (let count = 2 + random.below(8); count > 0; count--)
        flip(disk, 2 * SLOT_BYTES + random.below(disk.sizeBytes - 2 * SLOT_BYTES));
    },
  ],
  [
    'a sector of zeros',
    (disk, random) => disk.write(new Uint8Array(512), 2 * SLOT_BYTES + 512 * random.below((disk.sizeBytes >>> 9) - 16)),
  ],
  [
    'four kilobytes from elsewhere',
    (disk, random) => {
      const bytes = new Uint8Array(4096);
      disk.read(bytes, 2 * SLOT_BYTES + random.below(disk.sizeBytes - 3 * SLOT_BYTES));
      disk.write(bytes, 2 * SLOT_BYTES + random.below(disk.sizeBytes - 3 * SLOT_BYTES));
    },
  ],
  ['a lost end', (disk, random) => disk.truncate(2 * SLOT_BYTES + random.below(disk.sizeBytes - 2 * SLOT_BYTES))],
  [
    "a header and a page of the header's trees",
    (disk, random) => {
      const pages = treePages(disk);
      const { place, lengthBytes } = pages[random.below(pages.length)] as { place: number; lengthBytes: number };
      flip(disk, place + random.below(lengthBytes));
      flip(disk, (random.below(4) === 0 ? SLOT_BYTES : 0) + random.below(200));
    },
  ],
  [
    'a header and one byte',
    (disk, random) => {
      flip(disk, random.below(2) * SLOT_BYTES + random.below(200));
      flip(disk, 2 * SLOT_BYTES + random.below(disk.sizeBytes - 2 * SLOT_BYTES));
    },
  ],
];

/** Places of the pages of the trees that the header names. */
function treePages(disk: MemoryDisk): { place: number; lengthBytes: number }[] {
  const container = Container.open(new MemoryStorage(disk, { readOnly: true }));
  const found: { place: number; lengthBytes: number }[] = [];
  for (const name of TREE_NAMES) {
    const page = (ref: { place: number; lengthBytes: number }) => found.push(ref) > 0;
    walkTree(container.trees[name].layout, container.pages, container.header.trees[name], { page, leaf: () => {} });
  }
  return found;
}

/** What can be read of each state: its bytes, and which of them. */
type Readable = ReadonlyMap<number | null, { readonly bytes: Uint8Array; readonly isRead: Uint8Array }>;

async function readable(disk: MemoryDisk, options: { readonly damage?: 'accept' } = {}): Promise<Readable> {
  const image = new Image(Container.open(new MemoryStorage(disk, { readOnly: true, name: 'test.vsi' }), options));
  const found = new Map<number | null, { bytes: Uint8Array; isRead: Uint8Array }>();
  for (const number of [...Array.from({ length: 20 }, (_, index) => index + 1), null]) {
    const rev = number === null ? null : String(number);
    let sizeBytes: number;
    try {
      sizeBytes = image.sizeOf(rev);
    } catch (error) {
      if (error instanceof VsimgError && (error.code === 'not-found' || error.code === 'corrupt')) continue;
      throw error;
    }
    const bytes = new Uint8Array(sizeBytes);
    const isRead = new Uint8Array(sizeBytes).fill(1);
    const pieces = image.readablePieces(rev, 0, sizeBytes, ({ guestOffset, lengthBytes }) => {
      isRead.fill(0, guestOffset, guestOffset + lengthBytes);
    });
    for await (const piece of pieces) if (piece.kind === 'data') bytes.set(piece.bytes, piece.start);
    found.set(number, { bytes, isRead });
  }
  return found;
}

function expectRight(found: Readable, truth: Sample['truth'], what: string): void {
  for (const [number, { bytes, isRead }] of found) {
    const right = truth.get(number);
    if (right === undefined) throw new Error(`${what}: there is a version ${number}`);
    for (let at = 0; at < bytes.length; at++)
      if (isRead[at] === 1 && bytes[at] !== right[at])
        throw new Error(`${what}: version ${number} is wrong at byte ${at}`);
  }
}

function expectNoLess(before: Readable, after: Readable, what: string): void {
  for (const [number, { isRead }] of before) {
    const now = after.get(number)?.isRead;
    for (let at = 0; at < isRead.length; at++)
      if (isRead[at] === 1 && now?.[at] !== 1)
        throw new Error(`${what}: byte ${at} of version ${number} could be read before`);
  }
}

/** Errors must be gone, and what is lost must be what can not be read. */
async function expectMended(disk: MemoryDisk, what: string): Promise<void> {
  const image = new Image(Container.open(new MemoryStorage(disk, { readOnly: true, name: 'test.vsi' })));
  const { errors, leakedBytes, lost } = await image.check({ data: true });
  if (errors.length > 0 || leakedBytes > 0)
    throw new Error(`${what}: ${leakedBytes} bytes leak, ${errors.map(({ message }) => message).join('; ')}`);
  const found = await readable(disk);
  for (const { guestOffset, lengthBytes, versions, working } of lost) {
    const states = versions.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => first + index),
    );
    for (const number of [...states, ...(working ? [null] : [])]) {
      const state = found.get(number);
      // Runs of version numbers may go over ones that were deleted.
      if (state === undefined) continue;
      if (state.isRead.subarray(guestOffset, guestOffset + lengthBytes).includes(1))
        throw new Error(`${what}: byte ${guestOffset} of version ${number} is called lost, but can be read`);
    }
  }
}

async function repair(storage: MemoryStorage | PowerCutStorage): Promise<readonly string[]> {
  const image = new Image(Container.open(storage, { damage: 'accept' }));
  const { actions } = await image.repair();
  return actions;
}

/**
 * Damages a copy of the sample, repairs it, and throws if a wrong byte was returned at any time, if anything that could
 * be read before can not be read after, if a defect is left, or if a cut during the repair breaks any of this.
 * Returns the number of cuts tried.
 */
export async function checkRepair(sample: Sample, damage: Damage, seed: number): Promise<number> {
  const random = new SeededRandom(seed);
  const damaged = sample.disk.clone();
  await damage(damaged, random);
  const what = `seed ${seed}`;
  const before = await readable(damaged, { damage: 'accept' });
  expectRight(before, sample.truth, `${what}, damaged`);
  const storage = new PowerCutStorage(damaged, { name: 'test.vsi' });
  await repair(storage);
  const after = storage.disk.clone();
  await expectMended(after, `${what}, repaired`);
  const mended = await readable(after);
  expectRight(mended, sample.truth, `${what}, repaired`);
  expectNoLess(before, mended, `${what}, repaired`);
  await expectUsable(after, sample, mended, { seed, what });
  let cuts = 0;
  for (const eventCount of someCuts(storage, random)) {
    const cut = storage.afterCut(eventCount, { seed: random.below(1e9), tearing: 'byte' });
    const found = await readable(cut, { damage: 'accept' });
    expectRight(found, sample.truth, `${what}, cut after ${eventCount}`);
    expectNoLess(before, found, `${what}, cut after ${eventCount}`);
    await repair(new MemoryStorage(cut, { name: 'test.vsi' }));
    await expectMended(cut, `${what}, cut after ${eventCount}, repaired again`);
    expectNoLess(before, await readable(cut), `${what}, cut after ${eventCount}, repaired again`);
    cuts++;
  }
  return cuts;
}

/** Some moments, and each time the slots are written. */
function someCuts(storage: PowerCutStorage, random: SeededRandom): number[] {
  const step = Math.max(1, Math.floor(storage.events.length / 6));
  const first = random.below(step);
  return Array.from({ length: storage.events.length + 1 }, (_, count) => count).filter((count) => {
    const event = storage.events[count - 1];
    return count % step === first || (event?.kind === 'write' && event.start < 2 * SLOT_BYTES);
  });
}

/** Work goes on with a repaired container. */
async function expectUsable(
  disk: MemoryDisk,
  sample: Sample,
  mended: Readable,
  { seed, what }: { readonly seed: number; readonly what: string },
): Promise<void> {
  const copy = disk.clone();
  const image = new Image(Container.open(new MemoryStorage(copy, { name: 'test.vsi' })));
  // Whole blocks: a part of a lost one can not be written, because the rest of it is not known.
  const bytes = noise(8192, 7);
  const sizeBytes = image.sizeOf(null);
  await image.write(4096, bytes);
  const { number } = await image.commit({ message: 'after', timeSeconds: TIME, allowEmpty: true });
  // Every other block anew, so that chunks with lost blocks in them are thinned.
  const blockBytes = image.info().blockSizeBytes;
  for (let start = 16 * blockBytes; start + blockBytes <= sizeBytes; start += 2 * blockBytes)
    await image.write(start, noise(blockBytes, start));
  const last = await image.commit({ message: 'last', timeSeconds: TIME, allowEmpty: true });
  for (const rev of ['1', '3', '4'])
    await image.deleteVersions([rev]).catch((error: unknown) => {
      if (!(error instanceof VsimgError)) throw error;
    });
  await image.gc();
  if (seed % 2 === 0) await image.gc({ compact: true });
  await expectMended(copy, `${what}, used`);
  const found = new Map(await readable(copy));
  const written = found.get(number);
  if (written === undefined || Buffer.compare(written.bytes.subarray(4096, 12_288), bytes) !== 0)
    throw new Error(`${what}: what was written after the repair does not read back`);
  for (const own of [number, last.number, null]) found.delete(own);
  expectRight(found, sample.truth, `${what}, used`);
  const old = new Map(mended);
  for (const gone of [null, ...[1, 3, 4].filter((each) => !found.has(each))]) old.delete(gone);
  expectNoLess(old, found, `${what}, used`);
}
