import { describe, expect, it } from 'vitest';
import type { Compression } from '../../src/format/header.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, diskBytes, expectBytes, expectClean, newImage, noise, openDisk, readAll } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { FailingStorage } from '../support/storages.ts';

const BLOCK = 4096;
const SECTOR = 512;

describe('the working disk', () => {
  it.each([
    ['a part of the block', 2048],
    ['all of it and more', 3 * BLOCK],
  ])('keeps what is written beside zeros that are under way in %s', async (_what, zeroBytes) => {
    const { image } = newImage();
    await image.write(0, noise(4 * BLOCK, 1));
    await image.publish();
    const disk = (await image.disks()).working();
    const model = Buffer.from(noise(4 * BLOCK, 1)).fill(0, 0, zeroBytes);
    const zeroing = disk.zero(0, zeroBytes);
    const at = zeroBytes === 2048 ? 2048 : BLOCK + SECTOR;
    await disk.write(at, noise(SECTOR, 2));
    model.set(noise(SECTOR, 2), at);
    await zeroing;
    expectBytes(diskBytes(disk, 0, 4 * BLOCK), model);
    await disk.flush();
    expectBytes(await readAll(image, null).then((bytes) => bytes.subarray(0, 4 * BLOCK)), model);
  });

  it.each<Compression>([{ codec: 'none' }, { codec: 'zstd', level: 2 }])(
    'does not keep twice what the version has already, whatever was there meanwhile ($codec)',
    async (compression) => {
      const sizeBytes = 4 * 1024 * 1024;
      const { image } = newImage({ sizeBytes, compression });
      const first = Buffer.from(noise(sizeBytes, 1));
      await image.write(0, first);
      await commit(image, 'one');
      const disk = (await image.disks()).working();
      await disk.zero(0, sizeBytes);
      await disk.flush();
      const second = Buffer.from(first);
      second.set(noise(2 * BLOCK, 2), 100 * BLOCK);
      second.set(noise(SECTOR, 3), 500 * BLOCK + SECTOR);
      // In long writes and in short ones.
      await disk.write(0, second.subarray(0, sizeBytes / 2));
      for (let at = sizeBytes / 2; at < sizeBytes; at += BLOCK) await disk.write(at, second.subarray(at, at + BLOCK));
      await disk.reconcile();
      await disk.flush();
      expect([...image.diff('1', null)].map(({ start, length }) => [start / BLOCK, length / BLOCK])).toEqual([
        [100, 2],
        [500, 1],
      ]);
      expectBytes(await readAll(image, null), second);
      expectBytes(await readAll(image, '1'), first);
      await commit(image, 'two');
      await image.gc();
      expect(image.info().space.fileBytes).toBeLessThan(sizeBytes * 1.05);
    },
  );

  it.each([false, true])('reads right, as open versions do, at every moment of gc (compact: %s)', async (compact) => {
    const sizeBytes = 2 * 1024 * 1024;
    const { image } = newImage({ sizeBytes, compression: { codec: 'zstd', level: 2 } });
    const disks = await image.disks();
    const working = disks.working();
    const random = new SeededRandom(3);
    const model = Buffer.alloc(sizeBytes);
    const change = async (): Promise<void> => {
      for (let count = 0; count < 60; count++) {
        const at = random.below(sizeBytes / BLOCK) * BLOCK;
        model.subarray(at, at + BLOCK).set(random.bytes(BLOCK / 4));
        await working.write(at, Buffer.from(model.subarray(at, at + BLOCK)));
      }
    };
    const opened = [];
    for (let number = 1; number <= 4; number++) {
      await change();
      await working.settle();
      await commit(image, `version ${number}`);
      opened.push({ disk: disks.version(String(number)).disk, model: Buffer.from(model) });
      diskBytes(disks.version(String(number)).disk, 0, sizeBytes);
    }
    // Uncommitted, and some of it not even in the container.
    await change();
    await working.flush();
    await change();
    let isOver = false;
    let looks = 0;
    const gc = image.gc({ compact }).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const at = random.below(sizeBytes / BLOCK) * BLOCK;
      expectBytes(diskBytes(working, at, BLOCK), model.subarray(at, at + BLOCK), `the working state at ${at}`);
      for (const { disk, model: then } of opened)
        expectBytes(diskBytes(disk, at, BLOCK), then.subarray(at, at + BLOCK));
      looks++;
      // Next to every step that does not wait for anything itself.
      await (looks % 8 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined);
    }
    await gc;
    expect(looks).toBeGreaterThan(2);
    expectBytes(diskBytes(working, 0, sizeBytes), model);
    for (const { disk, model: then } of opened) expectBytes(diskBytes(disk, 0, sizeBytes), then);
    await working.flush();
    expectBytes(await readAll(image, null), model);
  });

  it('takes more than its memory holds, and reads right meanwhile', async () => {
    const sizeBytes = 96 * 1024 * 1024;
    const { image } = newImage({ sizeBytes });
    const disk = (await image.disks()).working();
    const model = Buffer.alloc(sizeBytes);
    const random = new SeededRandom(7);
    let flushed: Promise<void> | undefined;
    for (let count = 0; count < 3000; count++) {
      const length = SECTOR * (1 + random.below(100));
      const offset = SECTOR * random.below((sizeBytes - length) / SECTOR);
      const bytes = model.subarray(offset, offset + length).fill(1 + random.below(255));
      const writing = disk.write(offset, Buffer.from(bytes));
      if (random.below(50) === 0) flushed = disk.flush();
      if (writing !== undefined) await writing;
      const from = random.below(sizeBytes - 100_000);
      if (count % 16 === 0)
        expectBytes(diskBytes(disk, from, 100_000), model.subarray(from, from + 100_000), `write ${count}`);
    }
    await flushed;
    await disk.flush();
    expectBytes(await readAll(image, null), model);
  });

  it.each<Compression>([{ codec: 'none' }, { codec: 'zstd', level: 2 }])(
    'uses the space of what is overwritten before anybody could know of it, without a flush ($codec)',
    async (compression) => {
      const sizeBytes = 12 * 1024 * 1024;
      const { image, disk: file } = newImage({ sizeBytes, compression });
      const first = Buffer.from(noise(sizeBytes, 1));
      await image.write(0, first);
      await commit(image, 'one');
      const disk = (await image.disks()).working();
      let model = first;
      for (let round = 1; round <= 8; round++) {
        model = Buffer.concat([first.subarray(round * SECTOR), first.subarray(0, round * SECTOR)]);
        const pieceBytes = 256 * 1024;
        for (let at = 0; at < sizeBytes; at += pieceBytes) await disk.write(at, model.subarray(at, at + pieceBytes));
        expectBytes(diskBytes(disk, 0, sizeBytes), model, `round ${round}`);
      }
      // The version, the working state, and what is on its way.
      expect(file.sizeBytes).toBeLessThan(4 * sizeBytes);
      await disk.flush();
      expectBytes(await readAll(image, null), model);
      expectBytes(await readAll(image, '1'), first);
      await expectClean(file);
    },
  );

  it('reads right while what is not published is written over at length', async () => {
    const sizeBytes = 24 * 1024 * 1024;
    const { image } = newImage({ sizeBytes });
    const [before, after] = [new Uint8Array(sizeBytes).fill(1), new Uint8Array(sizeBytes).fill(2)];
    await image.write(0, before);
    const disk = (await image.disks()).working();
    let isOver = false;
    const writing = image.write(0, after).finally(() => {
      isOver = true;
    });
    let reads = 0;
    while (!isOver) {
      for (let at = 0; at < sizeBytes; at += sizeBytes / 16)
        expect([1, 2]).toContain(diskBytes(disk, at, BLOCK)[BLOCK - 1]);
      reads++;
      await (reads % 4 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined);
    }
    await writing;
    expect(reads).toBeGreaterThan(4);
    expectBytes(diskBytes(disk, 0, sizeBytes), after);
  });

  it('answers several flushes at once, each for all that was written before it', async () => {
    const { image, disk: file } = newImage();
    const disk = (await image.disks()).working();
    const flushes: Promise<void>[] = [];
    for (let block = 0; block < 8; block++) {
      await disk.write(block * BLOCK, noise(BLOCK, block + 1));
      flushes.push(
        disk.flush().then(async () => {
          const cut = openDisk(file.clone(), { readOnly: true });
          const bytes = (await readAll(cut, null)).subarray(block * BLOCK, (block + 1) * BLOCK);
          expectBytes(bytes, noise(BLOCK, block + 1), `block ${block}`);
          cut.close();
        }),
      );
    }
    await Promise.all(flushes);
  });
});

describe('a working disk whose container fails', () => {
  /** What was asked for until the end, and what of it was said to be lasting. */
  async function run(file: MemoryDisk, call: number, effect: 'nothing' | 'half'): Promise<boolean> {
    const memory = new MemoryStorage(file, { name: 'test.vsi' });
    const storage = new FailingStorage(memory, { kind: 'change', call, code: 'io', effect });
    const image = new Image(Container.open(storage));
    const disk = (await image.disks()).working();
    const model = Buffer.from(await readAll(image, null));
    let lasting = Buffer.from(model);
    /** What flushes that failed had to do: they may have come that far. */
    const attempts: Buffer[] = [];
    const random = new SeededRandom(call);
    let hasFailed = false;
    for (let step = 0; step < 24; step++) {
      const kind = random.below(4);
      const length = SECTOR * (1 + random.below(20));
      const offset = SECTOR * random.below((model.length - length) / SECTOR);
      const before = Buffer.from(model);
      try {
        if (kind === 0) {
          attempts.push(Buffer.from(model));
          await disk.flush();
          expect(hasFailed, 'a flush goes well after a failure').toBe(false);
          lasting = Buffer.from(model);
          attempts.length = 0;
        } else if (kind === 1) {
          model.fill(0, offset, offset + length);
          await disk.zero(offset, length);
        } else {
          model.fill(step + 1, offset, offset + length);
          await disk.write(offset, model.slice(offset, offset + length));
        }
      } catch {
        hasFailed = true;
        // Zeros that failed may be there in part; whatever else was written must still be read.
        if (kind === 1) break;
        if (kind > 1) model.set(before);
      }
      if (!hasFailed || kind !== 1) expectBytes(diskBytes(disk, 0, model.length), model, `call ${call}, step ${step}`);
    }
    if (storage.fired) {
      await expect((async () => disk.write(0, noise(SECTOR, 3)))().then(() => disk.flush())).rejects.toThrow();
      await expect(disk.flush(), 'the last flush').rejects.toThrow();
    }
    const again = openDisk(file.clone(), { readOnly: true });
    const actual = Buffer.from(await readAll(again, null));
    if (!attempts.some((each) => each.equals(actual))) expectBytes(actual, lasting, `after call ${call}`);
    again.close();
    return storage.fired;
  }

  it.each(['nothing', 'half'] as const)(
    'forgets nothing that it called lasting, when a call leaves %s behind',
    async (effect) => {
      const { disk, image } = newImage({ sizeBytes: 64 * 1024 });
      await image.write(0, noise(32 * 1024, 5));
      await commit(image);
      image.close();
      for (let call = 1; await run(disk.clone(), call, effect); call++) expect(call).toBeLessThan(500);
    },
  );
});
