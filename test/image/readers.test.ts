import { statSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { describe, expect, it } from 'vitest';
import { SLOT_BYTES } from '../../src/format/layout.ts';
import { Container } from '../../src/image/container.ts';
import { createImageFile, lookSource, openImageFile } from '../../src/image/file.ts';
import { heldGenerations } from '../../src/image/held.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { expectBytes, expectClean, noise, readAll } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { randomStep, stateOf } from '../support/script.ts';
import { WrappedStorage } from '../support/storages.ts';

const KIB = 1024;
const DISK_BYTES = 256 * KIB;

async function newFile(): Promise<string> {
  const path = join(scratchDirectory(), 'disk.vsi');
  await createImageFile(path, { sizeBytes: DISK_BYTES, compression: { codec: 'none' } });
  return path;
}

/** A command that writes: opens, changes, publishes, closes. */
async function change(path: string, action: (image: Image) => Promise<void>): Promise<void> {
  const image = await openImageFile(path, { mode: 'write', sync: 'off' });
  await action(image);
  await image.publish();
  image.close();
}

/** The whole disk in the given round. */
function contentOf(round: number): Uint8Array {
  return Buffer.alloc(DISK_BYTES, noise(1000, round));
}

async function rewrite(path: string, round: number): Promise<void> {
  await change(path, async (image) => {
    await image.write(0, contentOf(round));
  });
}

async function expectWhole(path: string): Promise<void> {
  const image = await openImageFile(path, { mode: 'read-long' });
  const { errors, leakedBytes } = await image.check({ data: true });
  expect({ errors, leakedBytes }).toEqual({ errors: [], leakedBytes: 0 });
  image.close();
}

describe('a long reader beside a writer', () => {
  it('keeps its own state and nothing that was written later, however often all is rewritten', async () => {
    const path = await newFile();
    await rewrite(path, 1);
    const reader = await openImageFile(path, { mode: 'read-long' });
    for (let round = 2; round <= 201; round++) {
      await rewrite(path, round);
      if (round % 50 === 0) expectBytes(await readAll(reader, null), contentOf(1));
    }
    // The reader's state, the newest, what the slots hold, and holes; all 200 would be 50 MiB.
    expect(statSync(path).size).toBeLessThan(9 * DISK_BYTES);
    expectBytes(await readAll(reader, null), contentOf(1));
    expect((await reader.check({ data: true })).errors).toEqual([]);
    await expectWhole(path);
    reader.close();
    await change(path, async (image) => {
      await image.gc();
    });
    expect(statSync(path).size).toBeLessThan(1.2 * DISK_BYTES);
    await expectWhole(path);
  });

  it('does not keep what lies between it and another one', async () => {
    const path = await newFile();
    const readers: { readonly image: Image; readonly seed: number }[] = [];
    for (let round = 1; round <= 120; round++) {
      await rewrite(path, round);
      if (round === 1 || round === 60)
        readers.push({ image: await openImageFile(path, { mode: 'read-long' }), seed: round });
    }
    for (const { image, seed } of readers) expectBytes(await readAll(image, null), contentOf(seed));
    expect(statSync(path).size).toBeLessThan(9 * DISK_BYTES);
    // The newer one keeps its state when the older one goes.
    readers[0]?.image.close();
    for (let round = 121; round <= 130; round++) await rewrite(path, round);
    expectBytes(await readAll(readers[1]?.image as Image, null), contentOf(60));
    readers[1]?.image.close();
    await change(path, async (image) => {
      await image.gc();
    });
    expect(statSync(path).size).toBeLessThan(1.2 * DISK_BYTES);
    await expectWhole(path);
  });

  it('keeps versions that are made and deleted meanwhile from taking space for ever, but for pages of their maps', async () => {
    const path = await newFile();
    await change(path, async (image) => {
      await image.write(0, contentOf(1));
      await image.commit({ message: 'first', timeSeconds: 1 });
    });
    const reader = await openImageFile(path, { mode: 'read-long' });
    for (let round = 2; round <= 40; round++) {
      await change(path, async (image) => {
        await image.write(0, contentOf(round));
        await image.commit({ message: `${round}`, timeSeconds: round });
        await image.deleteVersions([String(round - 1)]);
        await image.gc();
      });
    }
    expect(statSync(path).size).toBeLessThan(9 * DISK_BYTES);
    expectBytes(await readAll(reader, '1'), contentOf(1));
    reader.close();
    await expectWhole(path);
  });
});

/** A disk whose slots are still those that a reader found. */
class OldSlots extends WrappedStorage {
  readonly #slots = new Uint8Array(2 * SLOT_BYTES);

  constructor(inner: MemoryStorage) {
    super(inner);
    inner.read(this.#slots, 0);
  }

  override read(buffer: Uint8Array, position: number): number {
    const length = super.read(buffer, position);
    if (position < this.#slots.length) buffer.set(this.#slots.subarray(position, position + length));
    return length;
  }

  override close(): void {}
}

const SCRIPTS = Number(env['VSIMG_READER_SCRIPTS'] ?? 10);
const FIRST_SEED = Number(env['VSIMG_READER_SEED'] ?? 1);

it.each(Array.from({ length: SCRIPTS }, (_, index) => FIRST_SEED + index))(
  'whatever is done meanwhile, every reader finds all of its state on the disk (VSIMG_READER_SEED=%d)',
  async (seed) => {
    const random = new SeededRandom(seed);
    const disk = new MemoryDisk();
    Container.create(new MemoryStorage(disk), {
      sizeBytes: random.below(50_000),
      blockSizeBytes: 512,
      compression: random.below(2) === 0 ? { codec: 'none' } : { codec: 'zstd', level: 1 },
    }).close();
    const readers: { readonly storage: MemoryStorage; readonly slots: OldSlots; readonly state: string }[] = [];
    const verify = async ({ slots, state }: (typeof readers)[number]): Promise<void> => {
      // Without anything in memory that it knew before.
      expect(await stateOf(new Image(Container.open(slots)))).toBe(state);
    };
    const open = (): Image => {
      const storage = new MemoryStorage(disk);
      return new Image(Container.open(storage, { heldGenerations: (limit) => heldGenerations(storage, limit) }));
    };
    let image = open();
    for (let step = 0; step < 120; step++) {
      if (random.below(6) === 0 && readers.length < 5) {
        const storage = new MemoryStorage(disk, { readOnly: true });
        const { open: look, pin } = lookSource(storage);
        expect(pin(look())).toBe(true);
        const slots = new OldSlots(storage);
        readers.push({ storage, slots, state: await stateOf(new Image(Container.open(slots))) });
      } else if (random.below(8) === 0 && readers.length > 0) {
        const [reader] = readers.splice(random.below(readers.length), 1);
        if (reader !== undefined) await verify(reader);
        reader?.storage.close();
      }
      await randomStep(image, random);
      if (random.below(3) > 0) continue;
      image.close();
      image = open();
      const some = readers[random.below(readers.length + 1)];
      if (some !== undefined) await verify(some);
    }
    for (const reader of readers) {
      await verify(reader);
      reader.storage.close();
    }
    image.close();
    await expectClean(disk);
  },
);
