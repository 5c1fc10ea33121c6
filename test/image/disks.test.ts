import { describe, expect, it } from 'vitest';
import type { Compression } from '../../src/format/header.ts';
import { Container } from '../../src/image/container.ts';
import type { Disks } from '../../src/image/disks.ts';
import { Image } from '../../src/image/image.ts';
import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, expectBytes, expectClean, newImage, noise, openDisk, readAll, TIME } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { FailingStorage } from '../support/storages.ts';

const BLOCK = 4096;
const SECTOR = 512;

function read(disk: { read(offset: number, into: Uint8Array): void }, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, 0x5a);
  disk.read(offset, bytes);
  return bytes;
}

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
    expectBytes(read(disk, 0, 4 * BLOCK), model);
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
      read(disks.version(String(number)).disk, 0, sizeBytes);
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
      expectBytes(read(working, at, BLOCK), model.subarray(at, at + BLOCK), `the working state at ${at}`);
      for (const { disk, model: then } of opened) expectBytes(read(disk, at, BLOCK), then.subarray(at, at + BLOCK));
      looks++;
      // Next to every step that does not wait for anything itself.
      await (looks % 8 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined);
    }
    await gc;
    expect(looks).toBeGreaterThan(2);
    expectBytes(read(working, 0, sizeBytes), model);
    for (const { disk, model: then } of opened) expectBytes(read(disk, 0, sizeBytes), then);
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
        expectBytes(read(disk, from, 100_000), model.subarray(from, from + 100_000), `write ${count}`);
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
        expectBytes(read(disk, 0, sizeBytes), model, `round ${round}`);
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
      for (let at = 0; at < sizeBytes; at += sizeBytes / 16) expect([1, 2]).toContain(read(disk, at, BLOCK)[BLOCK - 1]);
      reads++;
      await (reads % 4 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined);
    }
    await writing;
    expect(reads).toBeGreaterThan(4);
    expectBytes(read(disk, 0, sizeBytes), after);
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

it('a version made of a scratch disk leaves nothing unlisted of what the working state gives up later', async () => {
  const sizeBytes = 64 * 1024 * 1024;
  const { image, disk: file } = newImage({ sizeBytes });
  const disks = await image.disks();
  const working = disks.working();
  const spread = async (round: number): Promise<void> => {
    for (let at = 0; at < sizeBytes / 2; at += 32 * BLOCK)
      await working.write(at + round * BLOCK, noise(BLOCK, round + 1));
    await working.flush();
  };
  await spread(0);
  await commit(image, 'one');
  await spread(1);
  const scratch = disks.scratch('1');
  await scratch.disk.write(0, noise(BLOCK, 9));
  await disks.commit(scratch, { message: 'scratch', timeSeconds: TIME });
  await scratch.close();
  for (let round = 2; round < 5; round++) await spread(round);
  await expectClean(file);
  await image.gc();
  await expectClean(file);
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
      if (!hasFailed || kind !== 1) expectBytes(read(disk, 0, model.length), model, `call ${call}, step ${step}`);
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

const SEEDS = (process.env['VSIMG_DISKS_SEEDS'] ?? '1 2 3 4').split(' ').map(Number);

describe('disks of one image, used at once', () => {
  it.each(SEEDS)('hold what was written to each, seed %i', async (seed) => {
    const random = new SeededRandom(seed);
    const sizeBytes = 256 * 1024 - 512;
    const { image, disk: file } = newImage({ sizeBytes });
    const working = (await image.disks()).working();
    const model = Buffer.alloc(sizeBytes);
    const versions = new Map<number, Buffer>();
    const scratches: { readonly open: ReturnType<Disks['scratch']>; readonly model: Buffer }[] = [];
    const readers: { readonly open: ReturnType<Disks['version']>; readonly number: number }[] = [];
    const anyVersion = (): number => [...versions.keys()][random.below(versions.size)] ?? 0;
    let published = Buffer.from(model);

    /** Changes of parts that do not overlap, all at once; blocks are shared all the same. */
    const change = async (disk: Pick<typeof working, 'write' | 'zero'>, bytes: Buffer): Promise<void> => {
      const going: (Promise<void> | undefined)[] = [];
      for (let at = SECTOR * random.below(60); at < sizeBytes; at += SECTOR * random.below(20)) {
        const length = Math.min(sizeBytes - at, SECTOR * (1 + random.below(24)));
        const part = bytes.subarray(at, at + length);
        if (random.below(3) === 0) {
          part.fill(0);
          going.push(disk.zero(at, length));
        } else {
          part.fill(random.below(256));
          going.push(disk.write(at, Buffer.from(part)));
        }
        if (random.below(8) === 0) going.push(working.flush());
        if (random.below(8) === 0) going.push(working.settle());
        at += length;
      }
      await Promise.all(going);
    };

    const steps: Record<string, () => Promise<void>> = {
      change: () => change(working, model),
      reconcile: () => working.reconcile(),
      flush: async () => {
        await working.flush();
        published = Buffer.from(model);
      },
      commit: async () => {
        await working.settle();
        const { number } = await commit(image, `of ${versions.size}`);
        versions.set(number, Buffer.from(model));
        published = Buffer.from(model);
      },
      openScratch: async () => {
        if (versions.size === 0 || scratches.length > 3) return;
        const number = anyVersion();
        scratches.push({
          open: (await image.disks()).scratch(String(number)),
          model: Buffer.from(versions.get(number) ?? []),
        });
      },
      changeScratch: async () => {
        const scratch = scratches[random.below(scratches.length)];
        if (scratch !== undefined) await change(scratch.open.disk, scratch.model);
      },
      closeScratch: async () => {
        const [scratch] = scratches.splice(random.below(scratches.length), 1);
        if (scratch === undefined) return;
        if (random.below(3) > 0) {
          const number = await (await image.disks()).commit(scratch.open, { message: 'scratch', timeSeconds: TIME });
          versions.set(number, scratch.model);
        }
        await scratch.open.close();
      },
      openReader: async () => {
        if (versions.size === 0 || readers.length > 3) return;
        const number = anyVersion();
        readers.push({ open: (await image.disks()).version(String(number)), number });
      },
      closeReader: async () => {
        const [reader] = readers.splice(random.below(readers.length), 1);
        await reader?.open.close();
      },
      remove: async () => {
        const number = anyVersion();
        const isOpen =
          readers.some((each) => each.number === number) || scratches.some(({ open }) => open.base === number);
        const gone = await image.deleteVersions([String(number)]).catch((error: unknown) => {
          expect(error).toMatchObject({ code: expect.stringMatching(/^(refused|not-found|locked)$/) });
          return [];
        });
        expect(isOpen && gone.length > 0, 'a version was removed while it is open').toBe(false);
        for (const { number: each } of gone) versions.delete(each);
      },
      gc: async () => {
        await image.gc();
      },
    };
    const names = Object.keys(steps);
    for (let count = 0; count < 60; count++) {
      const name = names[random.below(names.length)] ?? 'change';
      await steps[name]?.();
      const what = `step ${count}, ${name}`;
      expectBytes(read(working, 0, sizeBytes), model, `${what}: the working state`);
      for (const { open, model: bytes } of scratches)
        expectBytes(read(open.disk, 0, sizeBytes), bytes, `${what}: a scratch disk`);
      for (const { open, number } of readers)
        expectBytes(read(open.disk, 0, sizeBytes), versions.get(number) as Buffer, `${what}: version ${number}`);
      await working.settle();
      let at = 0;
      for (const { kind, start, end } of working.runs({ start: 0, end: sizeBytes })) {
        expect(start).toBe(at);
        if (kind === 'hole') expectBytes(model.subarray(start, end), Buffer.alloc(end - start), `${what}: a hole`);
        at = end;
      }
      expect(at).toBe(sizeBytes);
      if (name === 'change' || name === 'changeScratch') continue;
      await expectClean(file);
      if (name === 'flush' || name === 'commit') {
        const cut = openDisk(file.clone(), { readOnly: true });
        expectBytes(await readAll(cut, null), published, `${what}: after a cut`);
        cut.close();
      }
    }
    for (const [number, bytes] of versions)
      expectBytes(await readAll(image, String(number)), bytes, `version ${number}`);
    for (const { open } of [...scratches, ...readers]) await open.close();
    await working.flush();
  });
});
