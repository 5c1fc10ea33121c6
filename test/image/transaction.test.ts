import { describe, expect, it } from 'vitest';
import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { surveyContainer } from '../../src/image/survey.ts';
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
import { SeededRandom } from '../support/random.ts';
import { stateOf } from '../support/script.ts';
import { CountingStorage } from '../support/storages.ts';

describe('a transaction', () => {
  it('tells of the space as it is within it', async () => {
    const { image } = newImage();
    await image.write(0, noise(100_000, 1));
    await commit(image);
    const before = image.info();
    const blocks = (bytes: number): number => Math.ceil(bytes / 4096) * 4096;
    await image.transaction(async () => {
      expect(image.info()).toEqual(before);
      await image.write(400_000, noise(50_000, 2));
      await commit(image);
      const { space, versionCount, generation } = image.info();
      expect({ versionCount, generation }).toEqual({ versionCount: 2, generation: before.generation });
      expect(space.dataBytes).toBeGreaterThanOrEqual(before.space.dataBytes + 50_000);
      expect(space.dataBytes).toBeLessThanOrEqual(before.space.dataBytes + blocks(50_000) + 4096);
      expect(space.dataBytes + space.metadataBytes + space.freeBytes).toBe(space.fileBytes);
    });
    const { space } = image.info();
    expect(space.dataBytes + space.metadataBytes + space.freeBytes).toBe(space.fileBytes);
    expect(image.info().generation).toBeGreaterThan(before.generation);
  });

  it('refuses to tell of the published state as a whole once it has changed something', async () => {
    const { image } = newImage();
    await image.write(0, noise(10, 1));
    await commit(image);
    await image.transaction(async () => {
      const asked = [() => image.check(), () => image.usage(), () => image.reclaim(['1'])];
      for (const ask of asked) await ask();
      await image.write(0, noise(10, 2));
      for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: 'refused' });
    });
    expect((await image.check()).errors).toEqual([]);
  });

  it('that is given up leaves other bytes only in space that was free', async () => {
    let changedBytes = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const { image, disk } = newImage();
      const random = new SeededRandom(seed);
      for (let version = 1; version <= 30; version++) {
        for (let piece = 0; piece < 6; piece++)
          await image.write(random.below(900_000), noise(4096 * (1 + (piece % 3)), version * 100 + piece));
        await commit(image);
      }
      // Gives up what it holds, and some publications later its space can be used again.
      await image.write(100_000, noise(200_000, seed));
      await image.publish();
      await image.zero(100_000, 200_000);
      for (const name of ['a', 'b', 'c', 'd']) await image.setTag(name, 'HEAD');
      image.close();
      const before = disk.bytes();
      const container = Container.open(new MemoryStorage(disk, { readOnly: true }));
      const { used } = await surveyContainer(container);
      const half = openDisk(disk);
      const failure = new Error('not to be');
      const given = half.transaction(async () => {
        await half.write(3000, noise(40_000, 7));
        await commit(half);
        throw failure;
      });
      await expect(given).rejects.toBe(failure);
      half.close();
      const after = disk.bytes();
      expect(after.length).toBe(before.length);
      for (let at = 0; at < before.length; at++) {
        if (before[at] === after[at]) continue;
        changedBytes++;
        const isUsed = used.within(at, at + 1).next().done !== true;
        expect({ seed, at, isUsed, isHeader: at < RECORDS_OFFSET }).toEqual({
          seed,
          at,
          isUsed: false,
          isHeader: false,
        });
      }
    }
    expect(changedBytes).toBeGreaterThan(0);
  });

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
