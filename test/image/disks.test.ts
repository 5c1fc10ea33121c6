import { describe, expect, it } from 'vitest';
import type { Disks } from '../../src/image/disks.ts';
import {
  commit,
  diskBytes,
  expectBytes,
  expectClean,
  newImage,
  noise,
  openDisk,
  readAll,
  TIME,
} from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';

const BLOCK = 4096;
const SECTOR = 512;

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
      expectBytes(diskBytes(working, 0, sizeBytes), model, `${what}: the working state`);
      for (const { open, model: bytes } of scratches)
        expectBytes(diskBytes(open.disk, 0, sizeBytes), bytes, `${what}: a scratch disk`);
      for (const { open, number } of readers)
        expectBytes(diskBytes(open.disk, 0, sizeBytes), versions.get(number) as Buffer, `${what}: version ${number}`);
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
