import { env } from 'node:process';
import { expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { commit, expectBytes, newDoomedImage, noise, readRange } from '../support/image.ts';
import { checkRepair, DAMAGES, damageable } from '../support/repair.ts';
import { CountingStorage } from '../support/storages.ts';

const RUNS = Number(env['VSIMG_REPAIR_RUNS'] ?? 2);
const FIRST_SEED = Number(env['VSIMG_REPAIR_SEED'] ?? 1);

it.each(DAMAGES)(
  'after %s a repair saves what can be read, says what is lost, and makes nothing worse',
  async (_name, damage) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const sample = await damageable(seed);
      expect(await checkRepair(sample, damage, seed)).toBeGreaterThan(0);
    }
  },
  120_000,
);

it('of a container whose log is gone takes no longer for larger extents', async () => {
  const { image, disk } = newDoomedImage({ sizeBytes: 2 ** 43, blockSizeBytes: 512 });
  await image.write(0, noise(10_000, 1));
  await image.publish();
  const container = Container.open(new MemoryStorage(disk));
  container.begin();
  // A map that says that terabytes are stored, in a log that knows nothing of it.
  for (let block = 2 ** 20; block < 2 ** 33; block += 2 ** 28) container.map.set(block, 2 ** 28 - 1, block);
  await container.publish();
  const storage = new CountingStorage(new MemoryStorage(disk));
  const damaged = new Image(Container.open(storage, { damage: 'accept' }));
  await damaged.repair();
  expect(storage.counts.writtenBytes).toBeLessThan(100_000);
  const { errors, lost } = await damaged.check({ data: true });
  expect(errors).toEqual([]);
  expect(lost).toHaveLength(32);
  await expect(readRange(damaged, null, 2 ** 30, 2 ** 30 + 512)).rejects.toMatchObject({ code: 'corrupt' });
});

it('is not undone by a collection that thins the chunks around what was lost', async () => {
  const { image, disk } = newDoomedImage({ sizeBytes: 2 ** 20 });
  const bytes = noise(2 ** 20, 1);
  await image.write(0, bytes);
  await commit(image);
  image.close();
  const place = Buffer.from(disk.bytes()).indexOf(bytes.subarray(3 * 4096, 4 * 4096));
  disk.write(new Uint8Array(9), place + 100);
  const repaired = new Image(Container.open(new MemoryStorage(disk), { damage: 'accept' }));
  await repaired.repair();
  for (const block of [0, 1, 2, 4, 5, 6]) await repaired.write(block * 4096, noise(4096, 100 + block));
  await commit(repaired);
  await repaired.deleteVersions(['1']);
  await repaired.gc();
  const { errors, lost } = await repaired.check({ data: true });
  expect(errors).toEqual([]);
  expect(lost).toEqual([{ guestOffset: 3 * 4096, lengthBytes: 4096, versions: [[2, 2]], working: true }]);
  expectBytes(await readRange(repaired, '2', 7 * 4096, 2 ** 20), bytes.subarray(7 * 4096));
});

it('refuses to drop changes that are not published', async () => {
  const { image } = newDoomedImage();
  await image.write(0, noise(5000, 1));
  await expect(image.repair()).rejects.toMatchObject({ code: 'refused' });
  await image.publish();
  expect(await image.repair()).toEqual({ actions: [] });
  expectBytes(await readRange(image, null, 0, 5000), noise(5000, 1));
});

it('is not needed to write over data of the working state whose table is damaged', async () => {
  const { image, disk } = newDoomedImage();
  await image.write(0, noise(20 * 4096, 1));
  await image.publish();
  const container = Container.open(new MemoryStorage(disk));
  const { place } = container.tables.find(0).entry;
  disk.write(new Uint8Array(8).fill(0xff), place + 4);
  const again = new Image(Container.open(new MemoryStorage(disk)));
  await again.write(0, noise(20 * 4096, 2));
  await again.publish();
  expectBytes(await readRange(again, null, 0, 20 * 4096), noise(20 * 4096, 2));
});
