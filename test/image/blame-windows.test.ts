import { describe, expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, newImage, noise } from '../support/image.ts';
import { all } from '../support/iterables.ts';
import { CountingStorage } from '../support/storages.ts';

describe('blame, window by window and in leaps over history,', () => {
  it('knows of what was made zeros again, or what a disk lost in between, though the states around have the same', async () => {
    const [blocks, block] = [2000, 4096];
    const { image } = newImage({ sizeBytes: blocks * block });
    // More than a page of the map holds.
    for (let at = 0; at < 1000; at += 2) await image.write(at * block, noise(block, at));
    const commits = async (count: number): Promise<number> => {
      let last = 0;
      for (let done = 0; done < count; done++) last = (await commit(image)).number;
      return last;
    };
    await commits(40);
    await image.write(1500 * block, noise(block, 1));
    await commits(1);
    await image.zero(1500 * block, block);
    const zeroed = await commits(1);
    await commits(70);
    await image.resize(1900 * block, { shrink: true });
    await commits(1);
    await image.resize(blocks * block);
    const grown = await commits(1);
    await commits(40);
    const owners = async (from: number) => {
      const found = await all(image.history.blame({ rev: 'HEAD', start: from * block }));
      return found.map(({ start, version }) => [start / block, version]);
    };
    const behind = [
      [1500, zeroed],
      [1501, 0],
      [1900, grown],
    ];
    expect(await owners(998)).toEqual([[998, 1], [999, 0], ...behind]);
    expect(await owners(1500)).toEqual(behind);
    expect(await owners(1900)).toEqual([[1900, grown]]);
    image.close();
  });

  it('holds few ranges also where the newest state has no extents, but many who made it so', async () => {
    const { image } = newImage({ sizeBytes: 300 * 4096 });
    await image.write(40 * 4096, noise(200 * 4096, 1));
    await commit(image);
    for (let at = 40; at < 240; at++) {
      await image.zero(at * 4096, 4096);
      if (at % 40 !== 39) await commit(image);
    }
    await commit(image);
    const whole = await all(image.history.blame({ rev: 'HEAD', start: 0 }));
    expect(whole).toHaveLength(198);
    for (const rangesAtOnce of [2, 7, 64, 128])
      expect(await all(image.history.blame({ rev: 'HEAD', start: 0 }, { rangesAtOnce }))).toEqual(whole);
    image.close();
  });

  const SPARSE = 4000;

  it('tells the first ranges before it has read all of the map, and reads little more than once for all', async () => {
    const disk = new MemoryDisk();
    const image = new Image(
      Container.create(new MemoryStorage(disk, { name: 'test.vsi' }), {
        sizeBytes: SPARSE * 1024,
        blockSizeBytes: 512,
        compression: { codec: 'none' },
      }),
    );
    for (let block = 0; block < SPARSE; block++) await image.write(block * 1024, noise(512, block));
    await commit(image);
    for (let count = 1; count <= 64; count++) {
      for (let block = count; block < SPARSE; block += 640) await image.write(block * 1024, noise(512, count));
      await commit(image);
    }
    image.close();
    const storage = new CountingStorage(new MemoryStorage(disk, { name: 'test.vsi', readOnly: true }));
    const reader = new Image(Container.open(storage));
    const readsOf = async (rangesAtOnce: number, limit: number): Promise<{ reads: number; found: number }> => {
      storage.reset();
      let found = 0;
      for await (const _ of reader.history.blame({ rev: 'HEAD', start: 0 }, { rangesAtOnce }))
        if (++found === limit) break;
      return { reads: storage.reset().reads, found };
    };
    const atOnce = await readsOf(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    const inWindows = await readsOf(SPARSE / 20, Number.POSITIVE_INFINITY);
    expect(inWindows.found).toBe(atOnce.found);
    expect(atOnce.found).toBeGreaterThan(2 * SPARSE - 10);
    // The map has some 400 pages.
    expect(inWindows.reads).toBeLessThan(atOnce.reads * 1.2);
    expect((await readsOf(SPARSE / 20, SPARSE / 20)).reads).toBeLessThan(atOnce.reads / 20);
    reader.close();
  });
});
