import fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { createImageFile, openImageFile } from '../../src/image/file.ts';
import { Image } from '../../src/image/image.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { openSeedTarget } from '../../src/storage/seed-target.ts';
import { openFileTarget } from '../../src/storage/target.ts';
import type { DataTarget } from '../../src/storage/transfer.ts';
import { commit, expectBytes, newImage, readAll } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { scratchDirectory } from '../support/scratch.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** Applies what it is given to bytes in memory, and remembers which those were. */
class MemoryTarget implements DataTarget {
  bytes: Uint8Array;
  readonly written: [start: number, end: number][] = [];

  constructor(seed: Uint8Array, sizeBytes: number) {
    this.bytes = new Uint8Array(Math.max(seed.length, sizeBytes));
    this.bytes.set(seed);
  }

  async data(start: number, bytes: Uint8Array): Promise<void> {
    this.bytes.set(bytes, start);
    this.written.push([start, start + bytes.length]);
  }

  async hole(start: number, end: number): Promise<void> {
    this.bytes.fill(0, start, end);
    this.written.push([start, end]);
  }

  async finish(sizeBytes: number): Promise<void> {
    this.bytes = this.bytes.subarray(0, sizeBytes);
  }

  abort(): void {}
}

/** Changes the working state: writes, zeros, and another size, which an import brings. */
async function mutate(image: Image, random: SeededRandom, blockBytes: number): Promise<void> {
  for (let count = 1 + random.below(6); count > 0; count--) {
    const size = image.sizeOf(null);
    if (size === 0) return;
    const start = random.below(size);
    const length = Math.min(size - start, 1 + random.below(4 * blockBytes));
    if (random.below(3) === 0) await image.zero(start, length);
    else await image.write(start, random.bytes(length));
  }
}

async function resize(image: Image, random: SeededRandom, blockBytes: number): Promise<void> {
  const old = await readAll(image, null);
  const bytes = new Uint8Array(random.below(24 * blockBytes));
  bytes.set(old.subarray(0, bytes.length));
  await image.importFrom(
    {
      sizeBytes: bytes.length,
      async *pieces() {
        if (bytes.length > 0) yield { kind: 'data', start: 0, bytes };
      },
      close: () => {},
    },
    { message: 'resized', timeSeconds: 1_700_000_000 + image.info().versionCount },
  );
}

describe('Image.exportOver', () => {
  it('makes any state of any other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(2 ** 31), fc.constantFrom(512, 4096, 65_536), async (seed, blockBytes) => {
        const random = new SeededRandom(seed);
        const { image } = newImage({ sizeBytes: random.below(24 * blockBytes), blockSizeBytes: blockBytes });
        for (let version = 1; version <= 4; version++) {
          if (version > 1 && random.below(2) === 0) await resize(image, random, blockBytes);
          await mutate(image, random, blockBytes);
          await commit(image);
        }
        await mutate(image, random, blockBytes);
        await image.publish();
        const states = [...Array.from({ length: image.info().versionCount }, (_, index) => String(index + 1)), null];
        for (const from of states.filter((state) => state !== null)) {
          for (const to of states) {
            const target = new MemoryTarget(await readAll(image, from), image.sizeOf(to));
            const report = await image.exportOver(from, to, target);
            expectBytes(target.bytes, await readAll(image, to), `${from} to ${to}`);
            const rewritten = target.written.reduce((sum, [start, end]) => sum + end - start, 0);
            expect(report).toMatchObject({ sizeBytes: image.sizeOf(to), rewrittenBytes: rewritten });
            let differing = 0;
            for (const { start, length, kind } of image.diff(from, to))
              differing += kind === 'hole' ? Math.max(0, Math.min(start + length, image.sizeOf(to)) - start) : length;
            // The block in which the shorter one ends is written whole.
            expect(rewritten).toBeLessThanOrEqual(differing + blockBytes);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('gives nothing where nothing differs', async () => {
    const { image } = newImage();
    await image.write(5000, Uint8Array.of(1, 2, 3));
    await commit(image);
    await commit(image);
    const target = new MemoryTarget(await readAll(image, '1'), image.sizeOf('2'));
    expect(await image.exportOver('1', '2', target)).toEqual({ sizeBytes: MiB, rewrittenBytes: 0, dataBytes: 0 });
    expect(target.written).toEqual([]);
  });

  it.each(['none', 'zstd'] as const)('writes much on other threads, %s, and only what differs', async (codec) => {
    const directory = scratchDirectory();
    const path = join(directory, 'a.vsi');
    const raw = join(directory, 'raw');
    const random = new SeededRandom(7);
    const sizeBytes = 40 * MiB;
    const compression = codec === 'none' ? ({ codec } as const) : ({ codec, level: 1 } as const);
    await createImageFile(path, { sizeBytes, compression });
    const image = await openImageFile(path, { mode: 'write', sync: 'off' });
    const block = (value: number, length: number): Buffer => Buffer.alloc(length, `${value} of many, `);
    for (let at = 0; at < 30; at++) await image.write(at * MiB, block(at, MiB));
    await commit(image);
    const before = Buffer.from(await readAll(image, '1'));
    for (let at = 0; at < 12; at++) await image.write(at * 2 * MiB + random.below(MiB), block(100 + at, MiB - 4096));
    for (let at = 0; at < 200; at++)
      await image.write(24 * MiB + at * 20 * KiB, block(200 + at, 1 + random.below(8000)));
    await image.zero(29 * MiB, MiB);
    await commit(image);
    // Where nothing differs, the file holds what it should not: it stays.
    const marks: number[] = [];
    let end = 0;
    for (const range of image.diff('1', '2')) {
      if (range.start - end > 0) marks.push(end, range.start - 1);
      end = range.start + range.length;
    }
    marks.push(end, sizeBytes - 1);
    const after = Buffer.from(await readAll(image, '2'));
    for (const mark of marks) {
      before[mark] = 0xee;
      after[mark] = 0xee;
    }
    fs.writeFileSync(raw, before);
    const target = openSeedTarget(raw, { seedBytes: sizeBytes, sizeBytes, sync: 'off' });
    const { rewrittenBytes, dataBytes } = await image.exportOver('1', '2', target);
    expectBytes(fs.readFileSync(raw), after);
    expect(dataBytes).toBe(rewrittenBytes - MiB);
    expect(marks.length).toBeGreaterThan(200);
    image.close();
  });

  it.each(['little', 'much'] as const)('gives an error for what was lost, among %s', async (amount) => {
    const path = join(scratchDirectory(), 'a.vsi');
    const sizeBytes = 16 * MiB;
    await createImageFile(path, { sizeBytes, compression: { codec: 'none' } });
    const image = await openImageFile(path, { mode: 'write', sync: 'off' });
    // Log block 0 is there: an extent that says it is lost must not be taken for it.
    await commit(image);
    await image.write(0, Buffer.alloc(amount === 'much' ? 12 * MiB : MiB, 'a'));
    await image.publish();
    image.close();
    const storage = FileStorage.open(path, { mode: 'write' });
    const container = Container.open(storage);
    container.begin();
    container.map.setLost(20, 30);
    await container.publish();
    const damaged = new Image(container);
    const lost = 'bytes 81920 to 122880 of the disk were lost';
    const memory = new MemoryTarget(new Uint8Array(sizeBytes), sizeBytes);
    await expect(damaged.exportOver('1', null, memory)).rejects.toThrow(lost);
    const raw = join(scratchDirectory(), 'raw');
    await expect(damaged.exportTo(null, openFileTarget(raw))).rejects.toThrow(lost);
    fs.writeFileSync(raw, '');
    fs.truncateSync(raw, sizeBytes);
    const target = openSeedTarget(raw, { seedBytes: sizeBytes, sizeBytes, sync: 'off' });
    await expect(damaged.exportOver('1', null, target)).rejects.toMatchObject({ code: 'corrupt', guestOffset: 81920 });
    damaged.close();
  });
});
