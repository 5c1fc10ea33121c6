import { env } from 'node:process';
import { expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { newDoomedImage, noise, readRange } from '../support/image.ts';
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
