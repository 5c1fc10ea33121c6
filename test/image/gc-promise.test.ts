import fs from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { lookSource } from '../../src/image/file.ts';
import { heldGenerations } from '../../src/image/held.ts';
import { Image } from '../../src/image/image.ts';
import type { MemoryDisk } from '../../src/storage/memory.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import {
  commit,
  expectBytes,
  expectClean,
  newDoomedImage,
  newImage,
  noise,
  openDisk,
  openStorage,
  text,
} from '../support/image.ts';
import { PowerCutStorage } from '../support/power-cut.ts';
import { SeededRandom } from '../support/random.ts';
import { randomStep, stateOf } from '../support/script.ts';
import { CountingStorage } from '../support/storages.ts';

const MIB = 1024 * 1024;

/** A small container with a past; without the versions that were deleted last, if there are any. */
async function randomDisk(seed: number): Promise<MemoryDisk> {
  const random = new SeededRandom(seed);
  const { image, disk } = newImage({
    sizeBytes: 300_000 + random.below(2_000_000),
    blockSizeBytes: random.below(2) === 0 ? 512 : 4096,
    compression: random.below(2) === 0 ? { codec: 'none' } : { codec: 'zstd', level: 1 },
  });
  const steps = 5 + random.below(60);
  for (let step = 0; step < steps; step++) {
    const { sizeBytes } = image.info();
    if (random.below(3) === 0 && sizeBytes > 1000) {
      const start = random.below(sizeBytes);
      const length = Math.min(sizeBytes - start, 1 + random.below(random.below(4) === 0 ? 1_500_000 : 100_000));
      await image.write(start, random.below(2) === 0 ? noise(length, step) : text(length, step));
    }
    await randomStep(image, random);
  }
  await image.publish();
  const doomed = deletable(image, random);
  if (random.below(2) === 0 && doomed.length > 0) await image.deleteVersions(doomed);
  image.close();
  return disk;
}

/** Some versions that nothing protects. */
function deletable(image: Image, random: SeededRandom): string[] {
  const free = [...image.versions()].filter(({ isHead, branches }) => !isHead && branches.length === 0);
  return random.shuffled(free.map(({ number }) => String(number))).slice(0, random.below(free.length + 1));
}

describe('a random container', () => {
  it.each(Array.from({ length: 16 }, (_, index) => index + 1))(
    'becomes as long as promised (seed %d)',
    async (seed) => {
      const disk = await randomDisk(seed);
      const random = new SeededRandom(1000 + seed);
      for (const compact of [false, true]) {
        const trial = disk.clone();
        const before = trial.bytes();
        const promise = await openDisk(trial, { readOnly: true }).gc({ dryRun: true, compact });
        expectBytes(trial.bytes(), before);
        const image = openDisk(trial);
        const state = await stateOf(image);
        const report = await image.gc({ compact });
        expect({ ...promise, dryRun: false }).toEqual(report);
        image.close();
        expect(trial.sizeBytes).toBe(report.fileBytesAfter);
        if (!compact) expect(report.fileBytesAfter).toBeLessThanOrEqual(report.fileBytesBefore);
        await expectClean(trial);
        const storage = new CountingStorage(new MemoryStorage(trial));
        const again = openStorage(storage);
        expect(await stateOf(again)).toBe(state);
        expect(await again.gc({ compact })).toMatchObject({ reclaimedBytes: 0 });
        expect(storage.counts.writes).toBe(0);
      }
      for (let trials = 0; trials < 3; trials++) {
        const trial = disk.clone();
        const reader = openDisk(trial, { readOnly: true });
        const doomed = deletable(reader, random);
        const promise = await reader.reclaim(doomed);
        expect(promise.fileBytesBefore).toBe(trial.sizeBytes);
        const before = reader.info().space;
        const deleting = openDisk(trial);
        await deleting.deleteVersions(doomed);
        // In one process, or in two.
        const collecting = random.below(2) === 0 ? deleting : openDisk(trial);
        await collecting.gc();
        expect({ doomed, bytes: promise.fileBytesAfter }).toEqual({ doomed, bytes: trial.sizeBytes });
        const after = collecting.info().space;
        expect(promise.reclaimed).toEqual({
          dataBytes: before.dataBytes - after.dataBytes,
          metadataBytes: Math.max(0, before.metadataBytes - after.metadataBytes),
        });
        await expectClean(trial);
      }
    },
  );
});

describe('a promise', () => {
  /** A version of so much data, another one that has some of it anew, and no first one. */
  async function history(disk: MemoryDisk, mebibytes: number): Promise<void> {
    const image = openDisk(disk);
    await image.write(0, noise(mebibytes * MIB, 1));
    for (const seed of [2, 3]) {
      await commit(image);
      await image.write(seed * 100_000, noise(MIB, seed));
    }
    await commit(image);
    await image.deleteVersions(['1']);
    image.close();
  }

  it('is kept where the draft is larger than what stays in memory', async () => {
    const { disk } = newImage({ sizeBytes: 64 * MIB });
    await history(disk, 40);
    const scratch = vi.spyOn(fs, 'unlinkSync');
    const promise = await openDisk(disk, { readOnly: true }).gc({ dryRun: true, compact: true });
    expect(scratch).toHaveBeenCalledOnce();
    scratch.mockRestore();
    expect(promise.reclaimedBytes).toBeGreaterThan(1_000_000);
    expect(await openDisk(disk).gc({ compact: true })).toEqual({ ...promise, dryRun: false });
  });

  it('is of the state that a reader holds, whatever is written meanwhile', async () => {
    const { disk } = newImage({ sizeBytes: 4 * MIB });
    await history(disk, 2);
    const then = disk.clone();
    const storage = new MemoryStorage(disk, { readOnly: true, name: 'test.vsi' });
    const reader = new Image(Container.open(storage), lookSource(storage));
    await reader.whileHeld(async () => {
      const probe = new MemoryStorage(disk);
      const writer = new Image(Container.open(probe, { heldGenerations: (limit) => heldGenerations(probe, limit) }));
      const promises = [await reader.gc({ dryRun: true }), await reader.reclaim(['2'])];
      for (let round = 0; round < 6; round++) {
        await writer.write(round * 300_000, noise(200_000, 77 + round));
        await writer.publish();
        await writer.gc();
        const later = [await reader.gc({ dryRun: true }), await reader.reclaim(['2'])];
        expect(later.map(({ fileBytesAfter }) => fileBytesAfter)).toEqual(
          promises.map(({ fileBytesAfter }) => fileBytesAfter),
        );
      }
      expect((await openDisk(then.clone()).gc()).fileBytesAfter).toBe(promises[0]?.fileBytesAfter);
    }, 'required');
  });

  it('fails as gc would where something is damaged', async () => {
    const { image, disk } = newDoomedImage({ sizeBytes: MIB });
    const bytes = noise(MIB, 1);
    await image.write(0, bytes);
    await commit(image);
    await image.write(100 * 4096, noise(4096 * 20, 2));
    await commit(image);
    await image.deleteVersions(['1']);
    disk.write(new Uint8Array(9), Buffer.from(disk.bytes()).indexOf(bytes.subarray(3 * 4096, 4 * 4096)));
    const expected = { code: 'corrupt', hint: expect.stringContaining('check --repair') };
    await expect(openDisk(disk, { readOnly: true }).gc({ dryRun: true, compact: true })).rejects.toMatchObject(
      expected,
    );
    await expect(openDisk(disk.clone()).gc({ compact: true })).rejects.toMatchObject(expected);
    const promise = await openDisk(disk, { readOnly: true }).gc({ dryRun: true });
    expect(await openDisk(disk).gc()).toEqual({ ...promise, dryRun: false });
  });

  it('of protected versions is as if they were not', async () => {
    const { image } = newImage({ sizeBytes: 4 * MIB });
    await image.write(0, noise(MIB, 1));
    await commit(image);
    await image.edits.lock(['1']);
    const { fileBytesAfter, reclaimed } = await image.reclaim(['1']);
    expect(reclaimed.dataBytes).toBe(0);
    expect(fileBytesAfter).toBeGreaterThan(MIB);
    expect([...image.versions()].map(({ number }) => number)).toEqual([1]);
  });
});

describe('gc', () => {
  it('packs a file of a few MiB until the gaps in it are small', async () => {
    const { image, disk } = newImage({ sizeBytes: 4 * MIB });
    await image.write(0, noise(4 * MIB, 1));
    await commit(image);
    // Of every second chunk a quarter goes: gaps into which no chunk from the end fits.
    for (let chunk = 0; chunk < 64; chunk += 2) await image.write(chunk * 65_536, noise(16_384, 100 + chunk));
    await commit(image);
    await image.deleteVersions(['1']);
    await image.gc();
    const { fileBytes, freeBytes } = image.info().space;
    expect(fileBytes).toBe(disk.sizeBytes);
    expect(freeBytes).toBeLessThan(48 * 1024);
  });

  it('leaves the file alone where a change would only make it longer', async () => {
    const { image, disk } = newImage({ sizeBytes: MIB });
    await image.write(0, noise(65_536, 1));
    await commit(image);
    // What is left of the chunk needs a new place, and what it had before can only be used by data to come.
    for (const block of [0, 3, 6]) await image.write(block * 4096, noise(4096, 10 + block));
    await commit(image);
    for (const block of [7, 10, 13]) await image.write(block * 4096, noise(4096, 20 + block));
    await commit(image);
    await image.deleteVersions(['1', '2']);
    const { sizeBytes } = disk;
    expect((await image.gc()).fileBytesAfter).toBeLessThanOrEqual(sizeBytes);
  });

  it('can be cut at any moment while all data moves', async () => {
    const { image, disk } = newImage({ sizeBytes: MIB });
    await image.write(0, noise(MIB, 1));
    await commit(image);
    for (let chunk = 0; chunk < 16; chunk += 2) await image.write(chunk * 65_536, noise(16_384, 100 + chunk));
    await commit(image);
    await image.deleteVersions(['1']);
    image.close();
    const state = await stateOf(openDisk(disk));
    const storage = new PowerCutStorage(disk);
    await openStorage(storage).gc();
    expect(storage.disk.sizeBytes).toBeLessThan(MIB + 64 * 1024);
    for (let eventCount = 0; eventCount <= storage.events.length; eventCount++) {
      const cut = storage.afterCut(eventCount, { seed: eventCount, tearing: 'byte' });
      await expectClean(cut);
      expect(await stateOf(openDisk(cut, { readOnly: true })), `cut after ${eventCount}`).toBe(state);
    }
  });
});
