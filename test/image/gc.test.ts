import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { SLOT_A_OFFSET, SLOT_BYTES } from '../../src/format/layout.ts';
import { readSlots } from '../../src/format/slot.ts';
import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import {
  commit,
  expectBytes,
  expectClean,
  newDoomedImage,
  newImage,
  noise,
  openDisk,
  openStorage,
  readAll,
  readRange,
  text,
} from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { randomStep, stateOf } from '../support/script.ts';
import { CountingStorage } from '../support/storages.ts';

const MIB = 1024 * 1024;
/** What may lie about besides data: slots, maps, tables, the reserve, and what the last publications gave up. */
const SLACK = 140_000;

function headerOf(disk: MemoryDisk) {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  disk.read(bytes, SLOT_A_OFFSET);
  return readSlots(bytes.subarray(0, SLOT_BYTES), bytes.subarray(SLOT_BYTES), 'x').header;
}

describe('gc', () => {
  it('makes the file smaller by what the deleted versions held', async () => {
    const { image, disk } = newImage({ sizeBytes: 4 * MIB });
    const sizes = [1, 2, 3].map((seed) => seed * 512 * 1024);
    for (const [index, size] of sizes.entries()) {
      await image.write(0, noise(size, index));
      await commit(image);
    }
    const before = disk.sizeBytes;
    const last = await readAll(image, '3');
    await image.deleteVersions(['1', '2']);
    expect(disk.sizeBytes).toBeLessThan(before + 50_000);
    const report = await image.gc();
    expect(report).toEqual({
      dryRun: false,
      fileBytesBefore: expect.any(Number),
      fileBytesAfter: disk.sizeBytes,
      reclaimedBytes: report.fileBytesBefore - disk.sizeBytes,
    });
    // Version 3 covers 1.5 MiB; the 1.5 MiB of versions 1 and 2 go.
    expect(Math.abs(report.reclaimedBytes - 1.5 * MIB)).toBeLessThan(SLACK);
    expect(disk.sizeBytes).toBeLessThan(1.5 * MIB + SLACK);
    expect(headerOf(disk).space.end).toBe(disk.sizeBytes);
    expectBytes(await readAll(openDisk(disk), '3'), last);
  });

  it('gives back everything but a few pages when everything was cleared', async () => {
    const { image, disk } = newImage({ sizeBytes: 8 * MIB });
    await image.write(0, noise(6 * MIB, 1));
    await commit(image);
    await image.zero(0, 8 * MIB);
    await commit(image);
    await image.deleteVersions(['1']);
    const { reclaimedBytes } = await image.gc();
    expect(reclaimedBytes).toBeGreaterThan(6 * MIB - SLACK);
    expect(disk.sizeBytes).toBeLessThan(SLACK);
    expect(image.info().space.dataBytes).toBe(0);
  });

  it('promises with a dry run about what it does, and changes nothing by that', async () => {
    const { image, disk } = newImage({ sizeBytes: 4 * MIB });
    for (let seed = 0; seed < 4; seed++) {
      await image.write(seed * 100_000, noise(MIB, seed));
      await commit(image);
    }
    await image.deleteVersions(['1', '3']);
    const bytes = disk.bytes();
    const promise = await image.gc({ dryRun: true });
    expectBytes(disk.bytes(), bytes);
    const report = await image.gc();
    expect(promise.dryRun).toBe(true);
    expect(Math.abs(promise.fileBytesAfter - report.fileBytesAfter)).toBeLessThan(SLACK);
  });

  it('thins chunks of which a part is still needed', async () => {
    const { image, disk } = newImage({ sizeBytes: 2 * MIB });
    await image.write(0, noise(2 * MIB, 1));
    await commit(image);
    // Every second 4 KiB block is written again: half of every chunk of version 1 goes with it.
    for (let block = 0; block < 512; block += 2) await image.write(block * 4096, noise(4096, block + 2));
    await commit(image);
    await image.deleteVersions(['1']);
    await image.gc();
    expect(image.info().space.dataBytes).toBe(2 * MIB);
    expect(disk.sizeBytes).toBeLessThan(2 * MIB + SLACK);
  });

  it('does not write data again to gain next to nothing', async () => {
    const { image, disk } = newImage({ sizeBytes: 8 * MIB });
    await image.write(0, noise(8 * MIB, 1));
    await commit(image);
    // Five of sixteen blocks of one chunk: one part in 400 of the file.
    for (let block = 160; block < 165; block++) await image.write(block * 4096, noise(4096, block));
    await commit(image);
    await image.deleteVersions(['1']);
    image.close();
    const storage = new CountingStorage(new MemoryStorage(disk));
    await openStorage(storage).gc();
    expect(storage.counts.writtenBytes).toBeLessThan(60_000);
    expect(openDisk(disk).info().space.dataBytes).toBe(8 * MIB + 5 * 4096);
  });

  it('does not make a small image longer', async () => {
    const { image, disk } = newImage({ sizeBytes: 2 * MIB });
    await image.write(0, noise(10 * 4096, 1));
    await commit(image, 'first');
    await image.write(0, noise(3 * 4096, 2));
    await commit(image, 'second');
    await image.deleteVersions(['1']);
    const before = disk.sizeBytes;
    expect(await image.gc()).toMatchObject({ fileBytesBefore: before });
    expect(disk.sizeBytes).toBeLessThanOrEqual(before);
  });

  it('cuts off a free end, however many gaps are listed before it', async () => {
    const BLOCK = 4096;
    const { image, disk } = newImage({ sizeBytes: 64 * MIB });
    // Each lies by itself in the file.
    for (let block = 0; block < 4000; block++) {
      await image.write(block * BLOCK, noise(BLOCK, block));
      await image.publish();
    }
    await commit(image);
    // Too long for the gaps that this leaves.
    for (let block = 0; block < 4000; block += 2) await image.write(block * BLOCK, noise(BLOCK, block + 1));
    await commit(image);
    await image.write(32 * MIB, Buffer.alloc(32 * MIB, noise(MIB, 1)));
    await commit(image);
    await image.zero(32 * MIB, 32 * MIB);
    await commit(image);
    await image.deleteVersions(['1', '3']);
    await image.gc();
    const { dataBytes, freeBytes } = image.info().space;
    expect(freeBytes).toBeGreaterThan(6 * MIB);
    expect(disk.sizeBytes).toBeLessThan(dataBytes + 12 * MIB);
    await expectClean(disk);
  });

  it('needs little room in the file for what it thins', async () => {
    const BLOCK = 4096;
    const { image, disk } = newImage({ sizeBytes: 96 * MIB });
    await image.write(0, Buffer.alloc(96 * MIB, noise(MIB, 1)));
    await commit(image);
    const other = Buffer.from(noise(BLOCK, 2));
    for (let at = 0; at < 96 * MIB; at += 2 * BLOCK) await image.write(at, other);
    await commit(image);
    await image.deleteVersions(['1']);
    const before = disk.sizeBytes;
    let longest = 0;
    const storage = new MemoryStorage(disk);
    const write = storage.write.bind(storage);
    storage.write = (buffer, position) => {
      write(buffer, position);
      longest = Math.max(longest, disk.sizeBytes);
    };
    const report = await openStorage(storage).gc();
    // 48 MiB stay of what is thinned.
    expect(report.reclaimedBytes).toBeGreaterThan(46 * MIB);
    expect(longest).toBeLessThan(before + 32 * MIB);
    await expectClean(disk);
  });

  it('leaves a damaged chunk for check to find where all else of its segment is written again', async () => {
    const CHUNK = 64 * 1024;
    const { image, disk } = newDoomedImage({ sizeBytes: 4 * MIB });
    const data = Buffer.from(noise(2 * MIB, 1));
    await image.write(0, data);
    await commit(image);
    // All but the last chunk lose half of their blocks.
    for (let at = 0; at < 31 * CHUNK; at += 8192) await image.write(at, noise(4096, at + 2));
    await commit(image);
    await image.deleteVersions(['1']);
    const expected = Buffer.from(await readAll(image, '2'));
    const place = Buffer.from(disk.bytes()).indexOf(data.subarray(31 * CHUNK, 31 * CHUNK + 4096)) + 100;
    disk.write(Uint8Array.of(~(data[31 * CHUNK + 100] as number)), place);
    const again = openDisk(disk);
    const { reclaimedBytes } = await again.gc();
    expect(reclaimedBytes).toBeGreaterThan(0.9 * MIB);
    expectBytes(await readRange(again, '2', 0, 31 * CHUNK), expected.subarray(0, 31 * CHUNK));
    await expect(readRange(again, '2', 31 * CHUNK, 32 * CHUNK)).rejects.toMatchObject({ code: 'corrupt' });
    const { errors } = await again.check({ data: true });
    expect(errors).toContainEqual(expect.objectContaining({ message: expect.stringContaining('checksum') }));
  });

  it('thins into what it dropped, where the file system has no room left', async () => {
    const { image, disk } = newImage({ sizeBytes: 24 * MIB });
    await image.write(0, noise(24 * MIB, 1));
    await commit(image);
    await image.write(0, noise(12 * MIB, 2));
    for (let at = 12 * MIB; at < 24 * MIB; at += 8192) await image.write(at, noise(4096, at));
    await commit(image);
    await image.deleteVersions(['1']);
    const expected = await readAll(image, '2');
    const most = disk.sizeBytes + 100_000;
    const storage = new MemoryStorage(disk);
    const write = storage.write.bind(storage);
    storage.write = (buffer, position) => {
      if (position + buffer.length > most) throw new VsimgError('no-space', 'no room');
      write(buffer, position);
    };
    const { reclaimedBytes } = await openStorage(storage).gc();
    expect(reclaimedBytes).toBeGreaterThan(17 * MIB);
    expectBytes(await readAll(openDisk(disk), '2'), expected);
    await expectClean(disk);
  });

  it('lets others have their turn while it moves data', async () => {
    const { image } = newImage({ sizeBytes: 128 * MIB });
    for (const at of [0, 64]) {
      await image.write(at * MIB, Buffer.alloc(64 * MIB, noise(MIB, at + 1)));
      await commit(image);
    }
    await image.zero(0, 64 * MIB);
    await commit(image);
    await image.deleteVersions(['1', '2']);
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const { reclaimedBytes } = await image.gc();
    isDone = true;
    expect(reclaimedBytes).toBeGreaterThan(60 * MIB);
    expect(turns).toBeGreaterThan(0);
  });

  it('does not change anything that can be seen', async () => {
    const { image } = newImage({ sizeBytes: 300_000, blockSizeBytes: 512, compression: { codec: 'zstd', level: 1 } });
    for (let seed = 0; seed < 12; seed++) {
      await image.write(seed * 15_000, text(40_000, seed));
      await commit(image, `m${seed}`, seed % 3 === 0 ? { tag: `t${seed}` } : {});
    }
    await image.checkout('4', { branch: 'side' });
    await image.write(5, noise(1000, 1));
    await image.deleteVersions(['2', '5', '7', '8']);
    const state = await stateOf(image);
    await image.gc();
    expect(await stateOf(image)).toBe(state);
  });

  it('again gives nothing more, and does not grow the file', async () => {
    const { image, disk } = newImage({ sizeBytes: 2 * MIB });
    for (let seed = 0; seed < 5; seed++) {
      await image.write(seed * 300_000, noise(500_000, seed));
      await commit(image);
    }
    await image.deleteVersions(['2', '3']);
    await image.gc();
    const size = disk.sizeBytes;
    for (let round = 0; round < 6; round++) {
      await image.gc();
      expect(disk.sizeBytes).toBeLessThanOrEqual(size + 4096);
    }
  });

  it('has counted the deleted versions as done, also when they held nothing', async () => {
    const { image, disk } = newImage();
    await commit(image);
    await commit(image);
    await image.deleteVersions(['1']);
    expect(headerOf(disk).unreclaimed).toBe(1);
    await image.gc();
    expect(headerOf(disk).unreclaimed).toBe(0);
  });

  it('publishes what was not published yet', async () => {
    const { image, disk } = newImage();
    const bytes = noise(10_000, 1);
    await image.write(0, bytes);
    await image.gc();
    expectBytes((await readAll(openDisk(disk), null)).subarray(0, 10_000), bytes);
  });

  it('of an empty container leaves it empty', async () => {
    const { image, disk } = newImage();
    await image.gc();
    expect(disk.sizeBytes).toBeLessThan(3 * SLOT_BYTES);
    expect(image.info().versionCount).toBe(0);
  });

  it('says how far it is', async () => {
    const { image } = newImage();
    await image.write(0, noise(200_000, 1));
    await commit(image);
    await image.write(0, noise(200_000, 2));
    await commit(image);
    await image.deleteVersions(['1']);
    const calls: [number, number | undefined][] = [];
    await image.gc({ onProgress: (done, total) => calls.push([done, total]) });
    expect(calls.at(-1)?.[0]).toBe(calls.at(-1)?.[1]);
  });

  it.each([1, 2, 3, 4])('keeps the file small through a random history (seed %d)', async (seed) => {
    const { image, disk } = newImage({ sizeBytes: 60_000, blockSizeBytes: 512 });
    const random = new SeededRandom(seed);
    for (let step = 0; step < 150; step++) await randomStep(image, random);
    await image.publish();
    const state = await stateOf(image);
    await image.gc();
    await expectClean(disk);
    expect(await stateOf(openDisk(disk))).toBe(state);
    const { dataBytes, metadataBytes } = image.info().space;
    expect(disk.sizeBytes).toBeLessThan(dataBytes + metadataBytes + SLACK);
    // Even if no two versions shared a block.
    expect(dataBytes).toBeLessThanOrEqual((image.info().versionCount + 1) * 70_000 * 1.34);
  });
});
