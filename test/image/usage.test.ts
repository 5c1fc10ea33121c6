import { describe, expect, it } from 'vitest';
import type { Image } from '../../src/image/image.ts';
import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, newImage, noise, openDisk, openStorage, text } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { randomStep } from '../support/script.ts';
import { CountingStorage } from '../support/storages.ts';

const BLOCK = 4096;
/** What the pages that a deletion and gc write themselves may differ by from those that were there. */
const PAGES = 6 * 1024;

/** What deleting these versions and gc really change, on a copy. */
async function deleted(disk: MemoryDisk, numbers: readonly number[]): Promise<Image> {
  const image = openDisk(disk.clone());
  const doomed = new Set(numbers);
  for (const { name, kind, version } of image.refs())
    if (kind === 'branch' && doomed.has(version) && name !== image.info().head.branch)
      await image.deleteRef(name, 'branch');
  await image.deleteVersions(numbers.map(String));
  return image;
}

async function expectReclaimed(disk: MemoryDisk, numbers: readonly number[]): Promise<void> {
  const promise = await openDisk(disk, { readOnly: true }).reclaim(numbers.map(String));
  const image = await deleted(disk, numbers);
  const before = openDisk(disk).info().space;
  await image.gc();
  const after = image.info().space;
  expect({ numbers, dataBytes: before.dataBytes - after.dataBytes }).toEqual({
    numbers,
    dataBytes: promise.reclaimed.dataBytes,
  });
  const metadataBytes = before.metadataBytes - after.metadataBytes;
  expect(Math.abs(metadataBytes - promise.reclaimed.metadataBytes)).toBeLessThan(PAGES);
}

function deletable(image: Image): number[] {
  const { head } = image.info();
  return [...image.versions()].map(({ number }) => number).filter((number) => number !== head.version);
}

describe('reclaim', () => {
  it.each([
    { seed: 1, codec: 'none' as const },
    { seed: 2, codec: 'none' as const },
    { seed: 3, codec: 'zstd' as const },
    { seed: 4, codec: 'zstd' as const },
    { seed: 5, codec: 'zstd' as const },
  ])('is to the byte what gc then gives back (seed $seed, $codec)', async ({ seed, codec }) => {
    const compression = codec === 'none' ? { codec } : { codec, level: 1 };
    const { image, disk } = newImage({ sizeBytes: 400_000, blockSizeBytes: 512, compression });
    const random = new SeededRandom(seed);
    for (let step = 0; step < 60; step++) {
      if (random.below(3) === 0 && image.info().sizeBytes > 100_000)
        await image.write(random.below(50_000), text(50_000, step));
      await randomStep(image, random);
    }
    await image.publish();
    for (let trial = 0; trial < 12; trial++) {
      const candidates = random.shuffled(deletable(image));
      if (candidates.length === 0) break;
      await expectReclaimed(disk, candidates.slice(0, 1 + random.below(candidates.length)));
    }
    await expectReclaimed(disk, deletable(image));
  });

  it('of a set is more than of its versions one by one', async () => {
    const { image, disk } = newImage({ sizeBytes: 64 * BLOCK });
    await image.write(0, noise(32 * BLOCK, 1));
    await commit(image);
    await image.write(50 * BLOCK, noise(BLOCK, 2));
    await commit(image);
    await image.write(0, noise(32 * BLOCK, 3));
    await commit(image);
    const one = await image.reclaim(['1']);
    const other = await image.reclaim(['2']);
    const both = await image.reclaim(['1', '2']);
    expect([one, other, both].map(({ reclaimed }) => reclaimed.dataBytes)).toEqual([0, 0, 32 * BLOCK]);
    await expectReclaimed(disk, [1, 2]);
  });

  it('tells what gc gives back without that', async () => {
    const { image, disk } = newImage({ sizeBytes: 256 * BLOCK });
    for (let seed = 1; seed <= 3; seed++) {
      await image.write(0, noise(32 * seed * BLOCK, seed));
      await commit(image);
    }
    await image.deleteVersions(['1']);
    const { reclaimed, reclaimable } = await image.reclaim(['2']);
    expect(reclaimable.dataBytes).toBe(32 * BLOCK);
    expect(reclaimed.dataBytes).toBe(96 * BLOCK);
    await expectReclaimed(disk, [2]);
    expect((await image.reclaim([])).reclaimed).toEqual(reclaimable);
  });

  it('knows how well the rest of a chunk packs', async () => {
    const { image, disk } = newImage({ sizeBytes: 256 * BLOCK, compression: { codec: 'zstd', level: 1 } });
    // Of each chunk one half is text, and one half does not compress.
    for (let chunk = 0; chunk < 16; chunk++) {
      await image.write(16 * chunk * BLOCK, text(8 * BLOCK, chunk));
      await image.write((16 * chunk + 8) * BLOCK, noise(8 * BLOCK, chunk));
    }
    await commit(image);
    for (let chunk = 0; chunk < 16; chunk++) await image.zero((16 * chunk + 8) * BLOCK, 8 * BLOCK);
    await commit(image);
    const { reclaimed } = await image.reclaim(['1']);
    expect(reclaimed.dataBytes).toBeGreaterThan(16 * 7 * BLOCK);
    await expectReclaimed(disk, [1]);
  });

  it('counts the pages of maps that go', async () => {
    const { image, disk } = newImage({ sizeBytes: 8192 * 512, blockSizeBytes: 512 });
    const random = new SeededRandom(1);
    for (let version = 1; version <= 4; version++) {
      const blocks = random.shuffled(Array.from({ length: 2048 }, (_, index) => 4 * index + (version % 2)));
      for (const block of blocks) await image.write(block * 512, noise(512, block + version));
      await commit(image);
    }
    const { reclaimed } = await image.reclaim(['1', '3']);
    expect(reclaimed.metadataBytes).toBeGreaterThan(3 * PAGES);
    await expectReclaimed(disk, [1, 3]);
  });
});

describe('usage', () => {
  it.each([1, 2, 3, 4])('divides all that is stored (seed %d)', async (seed) => {
    const { image, disk } = newImage({ sizeBytes: 60_000, blockSizeBytes: 512 });
    const random = new SeededRandom(seed);
    for (let step = 0; step < 100; step++) await randomStep(image, random);
    await image.publish();
    const usage = await image.usage();
    const total = usage.versions.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
    const { dataBytes } = image.info().space;
    expect(total + usage.working.dataBytes + usage.shared.dataBytes + usage.unneededDataBytes).toBe(dataBytes);
    expect(usage.versions.map(({ number }) => number)).toEqual(
      [...image.versions()].map(({ number }) => number).reverse(),
    );
    for (const { number, dataBytes: alone } of usage.versions) {
      if (number === image.info().head.version) continue;
      // Without it, nobody needs what it held alone, and all else is as before.
      const after = await (await deleted(disk, [number])).usage();
      expect({ number, alone: after.unneededDataBytes - usage.unneededDataBytes }).toEqual({ number, alone });
    }
  });

  it('knows what versions on different branches share', async () => {
    const { image } = newImage({ sizeBytes: 256 * BLOCK });
    await image.write(0, noise(16 * BLOCK, 1));
    await commit(image);
    await image.write(16 * BLOCK, noise(16 * BLOCK, 2));
    await commit(image);
    await image.checkout('1', { branch: 'side' });
    await image.write(32 * BLOCK, noise(32 * BLOCK, 3));
    await commit(image);
    await image.write(0, noise(2 * BLOCK, 4));
    await image.publish();
    const usage = await image.usage();
    expect(usage.versions.map(({ dataBytes }) => dataBytes / BLOCK)).toEqual([0, 16, 0]);
    expect(usage.working.dataBytes).toBe(2 * BLOCK);
    // Version 1's blocks are in 2 and 3 too; what 3 added is in the working state.
    expect(usage.shared.dataBytes).toBe(48 * BLOCK);
    expect(usage.unneededDataBytes).toBe(0);
  });

  it('divides a compressed chunk that several need to the byte', async () => {
    const { image } = newImage({ sizeBytes: 256 * BLOCK, compression: { codec: 'zstd', level: 1 } });
    await image.write(0, text(16 * BLOCK, 1));
    await commit(image);
    await image.write(3 * BLOCK, text(5 * BLOCK, 2));
    await commit(image);
    const { dataBytes } = image.info().space;
    const { versions, shared } = await image.usage();
    const [first, second] = versions.map((version) => version.dataBytes);
    expect(first).toBeGreaterThan(0);
    expect(second).toBe(0);
    expect((first as number) + shared.dataBytes).toBe(dataBytes);
  });

  it('of an empty image is nothing', async () => {
    const { image } = newImage();
    const nothing = { dataBytes: 0, metadataBytes: 0 };
    expect(await image.usage()).toEqual({ versions: [], working: nothing, shared: nothing, unneededDataBytes: 0 });
  });
});

describe('the cost', () => {
  /** Many versions of one block each, over a map of 2048 extents. */
  async function manyVersions(): Promise<MemoryDisk> {
    const { image, disk } = newImage({ sizeBytes: 4096 * 512, blockSizeBytes: 512 });
    const random = new SeededRandom(1);
    for (const block of random.shuffled(Array.from({ length: 2048 }, (_, index) => index)))
      await image.write(block * 1024, noise(512, block));
    await commit(image);
    for (let version = 0; version < 100; version++) {
      await image.write(random.below(2048) * 1024, noise(512, 5000 + version));
      await commit(image);
    }
    image.close();
    return disk;
  }

  it('of what changed follows the change; of the whole list it is each page once', async () => {
    const disk = await manyVersions();
    const storage = new CountingStorage(new MemoryStorage(disk, { readOnly: true }));
    const image = openStorage(storage);
    expect([...image.changesOf('50')]).toHaveLength(1);
    expect(storage.counts.reads).toBeLessThan(12);
    expect(storage.counts.readBytes).toBeLessThan(20_000);
    expect([...image.changesOf(null)]).toHaveLength(0);
    storage.reset();
    await image.usage();
    expect(storage.counts.readBytes).toBeLessThan(image.info().space.metadataBytes);
  });
});
