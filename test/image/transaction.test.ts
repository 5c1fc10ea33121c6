import { describe, expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import {
  commit,
  expectBytes,
  expectClean,
  newImage,
  noise,
  openDisk,
  openStorage,
  readAll,
  readRange,
  sourceOf,
  TIME,
} from '../support/image.ts';
import { stateOf } from '../support/script.ts';
import { CountingStorage } from '../support/storages.ts';

describe('a transaction', () => {
  it('publishes once, however much is written, committed and named within it', async () => {
    const disk = new MemoryDisk();
    const storage = new CountingStorage(new MemoryStorage(disk));
    const image = new Image(Container.create(storage, { sizeBytes: 2_000_000, compression: { codec: 'none' } }));
    storage.reset();
    await image.write(0, noise(10, 1));
    await image.publish();
    const one = storage.reset();
    const before = image.info().generation;
    await image.transaction(async () => {
      for (let index = 0; index < 1000; index++) {
        await image.write((index * 7919) % 1_900_000, noise(512, index));
        await image.publish();
      }
      await commit(image, 'made within', { tag: 'within' });
      await image.setBranch('side', 'within');
      expect(storage.counts.syncs).toBe(0);
      expect(openDisk(disk, { readOnly: true }).info()).toMatchObject({ versionCount: 0, generation: before });
    });
    expect(storage.reset().syncs).toBe(one.syncs);
    expect(
      openDisk(disk)
        .refs()
        .map(({ name }) => name),
    ).toEqual(['main', 'side', 'within']);
    await expectClean(disk);
  });

  it('makes versions that stay what they are while more is written', async () => {
    const { image, disk } = newImage({ sizeBytes: 300_000, blockSizeBytes: 512 });
    const states: Uint8Array[] = [];
    for (let round = 0; round < 4; round++) {
      await image.transaction(async () => {
        for (let step = 0; step < 5; step++) {
          for (let piece = 0; piece < 40; piece++)
            await image.write(((piece * 37 + step) * 4099) % 299_000, noise(700, round * 1000 + step * 100 + piece));
          await commit(image, `round ${round}, step ${step}`);
          states.push(await readAll(image, null));
          expectBytes(await readAll(image, 'HEAD'), states.at(-1) as Uint8Array);
        }
        await image.write(5, noise(30_000, round));
      });
      await expectClean(disk);
      expect(openDisk(disk).info().head.dirty).toBe(true);
      // What the working state alone has is given up without a trace.
      await image.write(5, noise(30_000, round + 100));
      await image.publish();
      await expectClean(disk);
    }
    await image.transaction(async () => {
      await image.checkout('20', { force: true });
      await image.deleteVersions(['2', '7', '12', '17']);
    });
    await expectClean(disk);
    await image.gc();
    const again = openDisk(disk);
    for (const { number } of again.versions())
      expectBytes(await readAll(again, String(number)), states[number - 1] as Uint8Array, `version ${number}`);
    expect(again.info().versionCount).toBe(16);
  });

  it('goes to and fro between versions that it made', async () => {
    const { image, disk } = newImage();
    await image.transaction(async () => {
      await image.write(0, noise(100_000, 1));
      await commit(image, 'one');
      await image.write(50_000, noise(100_000, 2));
      await commit(image, 'two');
      await image.checkout('1', { branch: 'side' });
      await image.resize(20_000, { shrink: true });
      await commit(image, 'three');
      await image.importFrom(sourceOf(noise(70_000, 4)), { message: 'four', timeSeconds: TIME });
      await image.checkout('2', {});
    });
    const again = openDisk(disk);
    expect([...again.versions()].map(({ number, parent, sizeBytes }) => [number, parent, sizeBytes])).toEqual([
      [4, 3, 70_000],
      [3, 1, 20_000],
      [2, 1, 1024 * 1024],
      [1, null, 1024 * 1024],
    ]);
    expectBytes(await readRange(again, '3', 0, 20_000), noise(100_000, 1).subarray(0, 20_000));
    expectBytes(await readRange(again, null, 50_000, 150_000), noise(100_000, 2));
    expect(again.info().head).toMatchObject({ version: 2, branch: null, dirty: false });
  });

  it('that fails is not published, not even by a later change', async () => {
    const { image, disk } = newImage();
    await image.write(0, noise(9000, 1));
    await commit(image, 'first');
    const before = await stateOf(openDisk(disk));
    const failure = new Error('no more');
    const attempt = image.transaction(async () => {
      await image.write(100, noise(9000, 2));
      await commit(image, 'second');
      throw failure;
    });
    await expect(attempt).rejects.toBe(failure);
    await expect(image.publish()).rejects.toMatchObject({ code: 'refused', cause: failure });
    image.close();
    expect(await stateOf(openDisk(disk))).toBe(before);
  });

  it('refuses what publishes step by step, and another transaction', async () => {
    const { disk } = newImage();
    for (const step of [
      (image: Image) => image.gc(),
      (image: Image) => image.repair(),
      (image: Image) => image.transaction(async () => {}),
    ]) {
      const image = openStorage(new MemoryStorage(disk));
      await expect(image.transaction<unknown>(() => step(image))).rejects.toMatchObject({
        code: 'refused',
        message: expect.stringContaining('within a transaction'),
      });
    }
  });
});
