import { describe, expect, it } from 'vitest';
import type { Piece } from '../../src/storage/transfer.ts';
import {
  commit,
  expectBytes,
  newImage,
  noise,
  openDisk,
  readAll,
  readRange,
  sourceOf,
  TIME,
} from '../support/image.ts';

describe('size of the disk', () => {
  it.each([0, 1, 511, 512, 513, 4095, 4097, 1_000_003])('may be %d bytes', async (sizeBytes) => {
    const { image, disk } = newImage({ sizeBytes });
    const bytes = noise(sizeBytes, sizeBytes);
    await image.write(0, bytes);
    expectBytes(await readAll(image, null), bytes);
    await commit(image);
    expectBytes(await readAll(openDisk(disk), '1'), bytes);
    expect(openDisk(disk).info().sizeBytes).toBe(sizeBytes);
  });

  it.each([2 ** 32, 2 ** 32 + 1, 8 * 2 ** 40, 2 ** 53 - 1])(
    'may be %d bytes, of which only the written ones take space',
    async (sizeBytes) => {
      const { image, disk } = newImage({ sizeBytes });
      const bytes = noise(5000, 1);
      await image.write(sizeBytes - 5000, bytes);
      await commit(image);
      const again = openDisk(disk);
      expect(again.sizeOf('1')).toBe(sizeBytes);
      expectBytes(await readRange(again, '1', sizeBytes - 5000, sizeBytes), bytes);
      expectBytes(
        await readRange(again, '1', sizeBytes / 2 - 0.5 * (sizeBytes % 2), sizeBytes / 2 - 0.5 * (sizeBytes % 2) + 10),
        new Uint8Array(10),
      );
      expect(again.info().space.fileBytes).toBeLessThan(100_000);
    },
  );

  it.each([-1, 0.5, Number.NaN, 2 ** 53])('is never %d', (sizeBytes) => {
    expect(() => newImage({ sizeBytes })).toThrow(/size .* is not a whole number/);
  });

  it.each([0, 256, 1000, 131_072, Number.NaN, 512.5])('is not made of blocks of %d bytes', (blockSizeBytes) => {
    expect(() => newImage({ blockSizeBytes })).toThrow(/block size/);
  });
});

async function importBytes(
  image: ReturnType<typeof openDisk>,
  bytes: Uint8Array,
  length: 'known' | 'unknown' = 'known',
) {
  return image.importFrom(sourceOf(bytes, { length }), { message: 'import', timeSeconds: TIME });
}

describe('import', () => {
  it.each(['known', 'unknown'] as const)(
    'makes the disk larger or smaller, and nothing old comes back (length %s)',
    async (length) => {
      const { image, disk } = newImage({ sizeBytes: 0 });
      const sizes = [50_000, 10_001, 50_000, 3, 0, 4096, 300_000, 123_457];
      const expected: Uint8Array[] = [];
      for (const [index, size] of sizes.entries()) {
        const bytes = noise(size, index);
        // Zeros at the end of the larger ones: that is where old bytes would show.
        if (size > 10_001) bytes.fill(0, 10_000);
        expected.push(bytes);
        await importBytes(image, bytes, length);
        expect(image.info().sizeBytes).toBe(size);
      }
      const again = openDisk(disk);
      for (const [index, bytes] of expected.entries())
        expectBytes(await readAll(again, String(index + 1)), bytes, `version ${index + 1}`);
    },
  );

  it('of the same bytes stores nothing and still makes a version', async () => {
    const { image } = newImage({ sizeBytes: 0 });
    const bytes = noise(200_000, 1);
    await importBytes(image, bytes);
    const { version, report } = await importBytes(image, bytes);
    expect(version.number).toBe(2);
    expect(report).toMatchObject({ requestedBytes: 200_000, storedBytes: 0 });
    expect([...image.diff('1', '2')]).toEqual([]);
  });

  it('is refused while there are uncommitted changes', async () => {
    const { image } = newImage({ sizeBytes: 8192 });
    await image.write(0, noise(10, 1));
    await expect(importBytes(image, noise(10, 2))).rejects.toMatchObject({ code: 'refused' });
  });

  it('of a source that ends early makes no version', async () => {
    const { image, disk } = newImage({ sizeBytes: 0 });
    await importBytes(image, noise(10_000, 1));
    const source = { ...sourceOf(noise(5000, 2)), sizeBytes: 10_000 };
    await expect(image.importFrom(source, { message: 'x', timeSeconds: TIME })).rejects.toMatchObject({ code: 'io' });
    const again = openDisk(disk);
    expect(again.info()).toMatchObject({ versionCount: 1, sizeBytes: 10_000, head: { dirty: false } });
  });
});

describe('pieces', () => {
  it('of data end at multiples of 1 MiB or where the data ends', async () => {
    const { image } = newImage({ sizeBytes: 8 * 2 ** 20 });
    // Runs that begin beside such a multiple and reach beyond it; the second half is written backwards, a run a block.
    await image.write(3 * 4096, noise(897 * 4096, 1));
    await image.write(2 * 4096, noise(4096, 2));
    for (let block = 1800; block > 900; block--) await image.write(block * 4096, noise(4096, block));
    const bounds: [number, number, Piece['kind']][] = [];
    for await (const piece of image.pieces(null, 5000, 7 * 2 ** 20 + 3))
      bounds.push([piece.start, piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end, piece.kind]);
    bounds.forEach(([start, end, kind], index) => {
      expect(start).toBe(index === 0 ? 5000 : bounds[index - 1]?.[1]);
      const next = bounds[index + 1];
      if (kind === 'data' && next?.[2] === 'data') expect(end % 2 ** 20).toBe(0);
    });
    expect(bounds.at(-1)?.[1]).toBe(7 * 2 ** 20 + 3);
    await image.publish();
  });

  it('are none for an empty range, and an error beyond the end', async () => {
    const { image } = newImage({ sizeBytes: 1000 });
    for await (const _ of image.pieces(null, 1000, 1000)) expect.fail('a piece');
    await expect(image.pieces(null, 0, 1001).next()).rejects.toMatchObject({ code: 'refused' });
    await expect(image.pieces(null, 5, 4).next()).rejects.toMatchObject({ code: 'usage' });
  });
});
