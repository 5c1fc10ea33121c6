import { describe, expect, it } from 'vitest';
import type { VersionInfo } from '../../src/image/api.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { commit, newDoomedImage, newImage, noise, openDisk, readAll, type TestImage, TIME } from '../support/image.ts';

/** Versions 1 to 5, each with another byte at another place, on main. */
async function withFive(made: TestImage = newImage()): Promise<TestImage> {
  for (let number = 1; number <= 5; number++) {
    await made.image.write(number * 10_000, noise(5000, number));
    await commit(made.image, `state ${number}`);
  }
  return made;
}

const numbers = (versions: Iterable<VersionInfo>): number[] => [...versions].map(({ number }) => number);

describe('edits of versions', () => {
  it('are there after opening again, and what versions hold stays', async () => {
    const { disk, image } = await withFive();
    const [three, five] = [await readAll(image, '3'), await readAll(image, '5')];
    const { id } = image.version('3');
    await image.edits.amend('3', { message: 'better', tags: ['good'] });
    await image.edits.lock(['3']);
    await image.edits.squash('3', '5');
    await image.gc();
    const again = openDisk(disk);
    expect(again.version('good')).toMatchObject({ id, message: 'better', firstMessage: 'state 3', isLocked: true });
    expect(again.version('5').parent).toBe(3);
    expect(Buffer.compare(await readAll(again, '3'), three)).toBe(0);
    expect(Buffer.compare(await readAll(again, '5'), five)).toBe(0);
  });

  it('that are refused change nothing, and the image goes on', async () => {
    const { image } = await withFive();
    await image.edits.lock(['2']);
    await expect(image.edits.remove(['1', '2'])).rejects.toMatchObject({ code: 'refused' });
    await expect(image.edits.squash('1', '4')).rejects.toMatchObject({ code: 'refused' });
    await expect(image.edits.amend('1', { message: 'x', tags: ['ok', '1'] })).rejects.toMatchObject({ code: 'usage' });
    await expect(image.edits.forget({}, { nowSeconds: TIME })).rejects.toMatchObject({ code: 'usage' });
    expect(image.version('1')).toMatchObject({ message: 'state 1', tags: [] });
    expect(numbers(image.versions())).toEqual([5, 4, 3, 2, 1]);
    await image.deleteVersions(['1']);
  });

  it('wait for each other', async () => {
    const { image } = await withFive();
    const [, forgotten, squashed] = await Promise.all([
      image.edits.lock(['2']),
      image.edits.forget({ last: 1 }, { nowSeconds: TIME }),
      image.edits.squash('2', '5'),
    ]);
    expect(numbers(forgotten.removed)).toEqual([4, 3, 1]);
    expect(squashed).toMatchObject({ removed: [], version: { number: 5, parent: 2 } });
  });

  it('that change nothing publish nothing', async () => {
    const { image } = await withFive();
    const { generation } = image.info();
    await image.edits.amend('4', { message: 'state 4' });
    await image.edits.unlock(['1', '2']);
    await image.edits.squash('4', '5');
    await image.edits.forget({ last: 1 }, { nowSeconds: TIME, dryRun: true });
    await image.edits.forget({ last: 9 }, { nowSeconds: TIME });
    expect(image.info().generation).toBe(generation);
  });

  it('keep uncommitted changes', async () => {
    const { image } = await withFive();
    await image.write(0, noise(9000, 9));
    const working = await readAll(image, null);
    await image.edits.forget({ last: 1 }, { nowSeconds: TIME });
    expect(image.info().head).toMatchObject({ version: 5, dirty: true });
    expect(Buffer.compare(await readAll(image, null), working)).toBe(0);
  });

  it('outlive a repair', async () => {
    const { disk, image } = await withFive(newDoomedImage());
    await image.edits.amend('2', { message: 'better' });
    await image.edits.lock(['2']);
    // A damaged header is enough to give repair something to do.
    disk.write(noise(100, 1), 60);
    const damaged = new Image(Container.open(new MemoryStorage(disk), { damage: 'accept' }));
    expect((await damaged.repair()).actions.length).toBeGreaterThan(0);
    expect(openDisk(disk).version('2')).toMatchObject({ message: 'better', firstMessage: 'state 2', isLocked: true });
  });
});
