import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { native } from '../../src/log/hash.ts';
import { zstd } from '../../src/log/zstd.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { noise, sourceOf, TIME, text } from '../support/content.ts';
import { CountingStorage, type StorageCounts } from '../support/storages.ts';

/** What work costs, in calls and bytes: it is fast only as long as these stay small. */

const MIB = 1024 * 1024;
const CHUNK = 65_536;
const DATA_BYTES = 16 * MIB;
const CHUNKS = DATA_BYTES / CHUNK;

interface Cost extends StorageCounts {
  readonly hashes: number;
  readonly hashedBytes: number;
  readonly compressions: number;
  readonly compressedBytes: number;
}

type Calls = {
  readonly mock: { readonly calls: readonly (readonly [Uint8Array, ...unknown[]])[] };
  mockClear(): unknown;
};

/** Counts what is given to the native code that hashes and compresses. */
function watchNativeCode(): { readonly hash: Calls; readonly compress: readonly Calls[] } {
  const hash = vi.spyOn(native() as { blake3(bytes: Uint8Array): Uint8Array }, 'blake3');
  const libraries = new Set([zstd('few'), zstd('many')]);
  const compress = [...libraries].map((library) => vi.spyOn(library, 'compress'));
  onTestFinished(() => {
    hash.mockRestore();
    for (const spy of compress) spy.mockRestore();
  });
  return { hash, compress };
}

const bytesOf = (calls: Calls): number => calls.mock.calls.reduce((total, [bytes]) => total + bytes.length, 0);

class Meter {
  readonly storage = new CountingStorage(new MemoryStorage(new MemoryDisk(), { name: 'test.vsi' }));
  readonly #native = watchNativeCode();

  async during(action: () => unknown): Promise<Cost> {
    const { hash, compress } = this.#native;
    for (const calls of [hash, ...compress]) calls.mockClear();
    this.storage.reset();
    await action();
    return {
      ...this.storage.reset(),
      hashes: hash.mock.calls.length,
      hashedBytes: bytesOf(hash),
      compressions: compress.reduce((total, { mock }) => total + mock.calls.length, 0),
      compressedBytes: compress.reduce((total, calls) => total + bytesOf(calls), 0),
    };
  }

  create(codec: 'none' | 'zstd'): Image {
    const compression = codec === 'none' ? ({ codec } as const) : ({ codec, level: 2 } as const);
    return new Image(Container.create(this.storage, { sizeBytes: 0, compression }));
  }
}

/** 16 MiB that do not compress, no block twice, and a hole of 8 MiB. */
function someDisk(): Uint8Array {
  const disk = new Uint8Array(DATA_BYTES + 8 * MIB);
  const part = noise(MIB, 1);
  for (let at = 0; at < DATA_BYTES; at += MIB) disk.set(part, at);
  const view = new DataView(disk.buffer);
  for (let at = 0; at < DATA_BYTES; at += 4096) view.setUint32(at, at + 1);
  return disk;
}

const take = (image: Image, disk: Uint8Array) => image.importFrom(sourceOf(disk), { message: 'm', timeSeconds: TIME });

async function readTo(image: Image, start: number, end: number): Promise<void> {
  for await (const _ of image.pieces('HEAD', start, end));
}

const target = { data: async () => {}, hole: async () => {}, finish: async () => {}, abort: () => {} };

describe.each(['none', 'zstd'] as const)('what work costs with compression %s', (codec) => {
  it('is in proportion to what is new', { timeout: 60_000 }, async () => {
    const meter = new Meter();
    const image = meter.create(codec);
    const disk = someDisk();

    let cost = await meter.during(() => take(image, disk));
    expect(cost.readBytes, 'first import').toBeLessThan(CHUNK);
    expect(cost.writtenBytes, 'first import').toBeGreaterThanOrEqual(DATA_BYTES);
    expect(cost.writtenBytes, 'first import').toBeLessThan(DATA_BYTES * 1.01);
    expect(cost.writes, 'first import').toBeLessThanOrEqual(12);
    expect(cost.syncs, 'first import').toBe(2);
    expect(cost).toMatchObject({ hashes: CHUNKS, hashedBytes: DATA_BYTES });
    // Of most chunks only a small part is tried.
    expect(cost.compressions, 'first import').toBeLessThanOrEqual(codec === 'none' ? 0 : CHUNKS);
    expect(cost.compressedBytes, 'first import').toBeLessThan(DATA_BYTES / 8);

    cost = await meter.during(() => take(image, disk));
    expect(cost.readBytes, 'import unchanged').toBeLessThan(DATA_BYTES * 1.01);
    expect(cost.reads, 'import unchanged').toBeLessThanOrEqual(CHUNKS * 1.05);
    expect(cost.writtenBytes, 'import unchanged').toBeLessThan(20_000);
    expect(cost.syncs, 'import unchanged').toBe(2);
    // What is stored uncompressed is compared as it is.
    expect(cost).toMatchObject({ hashes: 0, compressions: 0 });

    const changed = disk.slice();
    for (const mebibyte of [1, 5, 9, 13]) changed.set(noise(CHUNK, mebibyte), mebibyte * MIB + 12_288);
    cost = await meter.during(() => take(image, changed));
    // The eight chunks that differ are read once more, with their checksums.
    expect(cost.readBytes, 'import changed').toBeLessThan(DATA_BYTES * 1.01 + 8 * CHUNK);
    expect(cost.writtenBytes, 'import changed').toBeGreaterThanOrEqual(4 * CHUNK);
    expect(cost.writtenBytes, 'import changed').toBeLessThan(4 * CHUNK + 20_000);
    expect(cost.hashes, 'import changed').toBeLessThanOrEqual(CHUNKS + 8);

    for (const [what, action] of [
      ['export', () => image.exportTo('HEAD', target)],
      ['read', () => readTo(image, 0, disk.length)],
    ] as const) {
      cost = await meter.during(action);
      expect(cost.readBytes, what).toBeGreaterThanOrEqual(DATA_BYTES);
      expect(cost.readBytes, what).toBeLessThan(DATA_BYTES * 1.01);
      expect(cost.reads, what).toBeLessThanOrEqual(48);
      expect(cost).toMatchObject({ writes: 0, syncs: 0, hashes: 0 });
    }

    cost = await meter.during(() => readTo(new Image(Container.open(meter.storage)), 5 * MIB, 5 * MIB + 4096));
    expect(cost.readBytes, 'small read').toBeLessThan(32_768);
    expect(cost.reads, 'small read').toBeLessThanOrEqual(6);

    cost = await meter.during(() => new Image(Container.open(meter.storage)).info());
    expect(cost.readBytes, 'info').toBeLessThan(16_384);
    expect(cost.reads, 'info').toBeLessThanOrEqual(3);

    await image.write(3 * MIB, noise(4096, 50));
    cost = await meter.during(() => image.commit({ message: 'c', timeSeconds: TIME }));
    expect(cost.readBytes, 'commit').toBeLessThan(16_384);
    expect(cost.writtenBytes, 'commit').toBeLessThan(32_768);
    expect(cost.writes, 'commit').toBeLessThanOrEqual(8);
    expect(cost.syncs, 'commit').toBe(2);

    cost = await meter.during(() => [...new Image(Container.open(meter.storage)).diff('1', 'HEAD')]);
    expect(cost.readBytes, 'diff').toBeLessThan(32_768);
    expect(cost.reads, 'diff').toBeLessThanOrEqual(8);

    cost = await meter.during(() => image.gc());
    expect(cost, 'gc of nothing').toMatchObject({ reads: 0, writes: 0, truncates: 0, syncs: 0 });

    await image.deleteVersions(['1', '2']);
    cost = await meter.during(() => image.gc());
    // In proportion to the 256 KiB and 4 KiB that are given up, not to what stays.
    expect(cost.readBytes, 'gc').toBeLessThan(MIB);
    expect(cost.writtenBytes, 'gc').toBeLessThan(MIB);
    expect(cost.syncs, 'gc').toBeLessThanOrEqual(40);
  });
});

describe('compressing', () => {
  it('reads what shrinks once, and stores it as often', async () => {
    const meter = new Meter();
    const image = meter.create('zstd');
    const disk = text(4 * MIB, 1);
    const cost = await meter.during(() => take(image, disk));
    expect(cost).toMatchObject({ hashes: 64, hashedBytes: 4 * MIB, compressions: 64, compressedBytes: 4 * MIB });
    expect(cost.writtenBytes).toBeLessThan(2 * MIB);
    const read = await meter.during(() => image.exportTo('HEAD', target));
    expect(read.readBytes).toBeLessThan(cost.writtenBytes);
  });

  it('gives up on what does not shrink, and not on what shrinks behind it', async () => {
    const meter = new Meter();
    const image = meter.create('zstd');
    const disk = noise(5 * MIB, 1);
    // The last of the first segment, and the third of the next.
    const texts = [63, 66].map((chunk) => chunk * CHUNK);
    for (const at of texts) disk.set(text(CHUNK, at), at);
    const cost = await meter.during(() => take(image, disk));
    expect(cost.hashes).toBe(80);
    // Two whole chunks at the beginning of each segment and behind each text, and the texts; of the rest 4 KiB each.
    expect(cost.compressedBytes).toBeLessThanOrEqual(8 * CHUNK + 80 * 4096);
    expect(cost.writtenBytes).toBeLessThan(disk.length - 1.5 * CHUNK);
  });
});
