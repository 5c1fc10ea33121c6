import { describe, expect, it } from 'vitest';
import { commit, expectBytes, newImage, noise, openDisk, readAll, readRange, text } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';

const BLOCK = 4096;

describe('write', () => {
  it('reports what was stored, what was there already, and what were zeros', async () => {
    const { image } = newImage();
    const bytes = noise(4 * BLOCK, 1);
    bytes.fill(0, BLOCK, 2 * BLOCK);
    expect(await image.write(0, bytes)).toEqual({
      requestedBytes: 4 * BLOCK,
      storedBytes: 3 * BLOCK,
      unchangedBytes: 0,
      zeroBytes: BLOCK,
    });
    expect(await image.write(0, bytes)).toMatchObject({ storedBytes: 0 });
    bytes.fill(0, 0, BLOCK);
    bytes.fill(5, 3 * BLOCK);
    expect(await image.write(0, bytes)).toMatchObject({ storedBytes: BLOCK, unchangedBytes: BLOCK });
    expectBytes(await readRange(image, null, 0, 4 * BLOCK), bytes);
    await image.publish();
  });

  it.each(['none', 'zstd'] as const)('stores nothing for what a version holds already (%s)', async (codec) => {
    const { image, disk } = newImage({ compression: codec === 'none' ? { codec } : { codec, level: 1 } });
    const bytes = text(300_000, 1);
    await image.write(8192, bytes);
    await commit(image);
    const again = openDisk(disk);
    expect(await again.write(8192, bytes)).toEqual({
      requestedBytes: 300_000,
      storedBytes: 0,
      unchangedBytes: expect.any(Number),
      zeroBytes: 0,
    });
    expect(again.info().head.dirty).toBe(false);
    const before = again.info().space.dataBytes;
    await again.publish();
    expect(again.info().space.dataBytes).toBe(before);
  });

  it('of zeros makes holes, and takes no space', async () => {
    const { image } = newImage();
    await image.write(0, noise(64 * BLOCK, 2));
    await image.write(0, new Uint8Array(64 * BLOCK));
    await image.publish();
    expect(image.info().space.dataBytes).toBe(0);
    const kinds = [];
    for await (const piece of image.pieces(null, 0, 1024 * 1024)) kinds.push(piece.kind);
    expect(kinds).toEqual(['hole']);
  });

  it('of nothing changes nothing', async () => {
    const { image } = newImage();
    const { generation } = image.info();
    expect(await image.write(17, new Uint8Array(0))).toMatchObject({ requestedBytes: 0, storedBytes: 0 });
    expect(await image.zero(17, 0)).toMatchObject({ requestedBytes: 0 });
    await image.publish();
    expect(image.info().generation).toBe(generation);
  });

  it('beyond the end of the disk is refused, and nothing of it is written', async () => {
    const { image } = newImage({ sizeBytes: 10_000 });
    await expect(image.write(9_999, noise(2, 1))).rejects.toMatchObject({ code: 'refused' });
    await expect(image.write(10_001, new Uint8Array(0))).rejects.toMatchObject({ code: 'refused' });
    await expect(image.write(-1, noise(1, 1))).rejects.toMatchObject({ code: 'usage' });
    await expect(image.write(0.5, noise(1, 1))).rejects.toMatchObject({ code: 'usage' });
    await expect(image.zero(9_000, 2_000)).rejects.toMatchObject({ code: 'refused' });
    await expect(image.zero(2 ** 53 - 1, 1)).rejects.toMatchObject({ code: 'usage' });
    expectBytes(await readAll(image, null), new Uint8Array(10_000));
    expect(image.info().head.dirty).toBe(false);
  });

  it.each([512, 4096, 65_536])('may begin and end anywhere (blocks of %d bytes)', async (blockSizeBytes) => {
    const sizeBytes = 3 * blockSizeBytes + 777;
    const { image, disk } = newImage({ blockSizeBytes, sizeBytes });
    const expected = new Uint8Array(sizeBytes);
    const random = new SeededRandom(blockSizeBytes);
    const edges = [
      0,
      1,
      blockSizeBytes - 1,
      blockSizeBytes,
      blockSizeBytes + 1,
      2 * blockSizeBytes,
      3 * blockSizeBytes,
      sizeBytes - 1,
      sizeBytes,
    ];
    let seed = 0;
    for (const from of edges) {
      for (const to of edges) {
        if (from >= to) continue;
        const bytes = noise(to - from, ++seed);
        if (random.below(3) === 0) {
          expected.fill(0, from, to);
          await image.zero(from, to - from);
        } else {
          expected.set(bytes, from);
          await image.write(from, bytes);
        }
        expectBytes(await readAll(image, null), expected, `after ${from} to ${to}`);
        if (random.below(4) === 0) await image.publish();
      }
    }
    await image.publish();
    expectBytes(await readAll(openDisk(disk), null), expected);
  });

  it('of one byte stores one block, and none when the byte is the same', async () => {
    const { image } = newImage();
    await image.write(0, noise(2 * BLOCK, 4));
    const [byte] = await readRange(image, null, 5000, 5001);
    expect(await image.write(5000, Uint8Array.of(byte as number))).toMatchObject({ requestedBytes: 1, storedBytes: 0 });
    expect(await image.write(5000, Uint8Array.of((byte as number) ^ 1))).toMatchObject({
      requestedBytes: 1,
      storedBytes: BLOCK,
    });
    await image.publish();
  });

  it('in small pieces one behind the other is one run, over old data too', async () => {
    const { image, disk } = newImage();
    for (const seed of [1, 2]) {
      const bytes = noise(100 * BLOCK, seed);
      for (let block = 0; block < 100; block++)
        await image.write(block * BLOCK, bytes.subarray(block * BLOCK, (block + 1) * BLOCK));
      await commit(image);
    }
    expect([...image.diff('1', '2')]).toEqual([{ start: 0, length: 100 * BLOCK, kind: 'data' }]);
    // One extent: the map is a few bytes, so it lives in the header.
    expect(openDisk(disk).info().space.metadataBytes).toBeLessThan(20_000);
  });
});

describe('zero', () => {
  it('makes holes of whole blocks and zeros of the rest', async () => {
    const { image } = newImage();
    const bytes = noise(4 * BLOCK, 3);
    await image.write(0, bytes);
    expect(await image.zero(100, 3 * BLOCK)).toMatchObject({ requestedBytes: 3 * BLOCK, storedBytes: 0 });
    bytes.fill(0, 100, 100 + 3 * BLOCK);
    expectBytes(await readRange(image, null, 0, 4 * BLOCK), bytes);
    const holes = [];
    for await (const piece of image.pieces(null, 0, 4 * BLOCK))
      if (piece.kind === 'hole') holes.push([piece.start, piece.end]);
    expect(holes).toEqual([[BLOCK, 3 * BLOCK]]);
    await image.publish();
  });

  it('of a hole leaves the working state clean', async () => {
    const { image } = newImage();
    await commit(image);
    await image.zero(0, 1024 * 1024);
    await image.zero(77, 5);
    expect(image.info().head.dirty).toBe(false);
  });
});

describe('space of the working state', () => {
  it('does not grow when the same blocks are written over and over', async () => {
    const { image } = newImage();
    for (let round = 0; round < 5; round++) {
      await image.write(0, noise(256 * 1024, round));
      await image.publish();
    }
    const { fileBytes } = image.info().space;
    for (let round = 5; round < 60; round++) {
      await image.write(0, noise(256 * 1024, round));
      await image.publish();
    }
    expect(image.info().space.fileBytes).toBeLessThan(fileBytes + 300_000);
    expect(image.info().space.dataBytes).toBe(256 * 1024);
  });

  it('is only that of what is alive at a commit', async () => {
    const { image } = newImage();
    for (let round = 0; round < 20; round++) await image.write(0, noise(64 * BLOCK, round));
    await commit(image);
    expect(image.info().space.dataBytes).toBe(64 * BLOCK);
  });
});

describe('calls that are not waited for', () => {
  it('are done one after the other', async () => {
    const { image } = newImage({ sizeBytes: 32 * 2 ** 20 });
    const parts = Array.from({ length: 5 }, (_, index) => noise(5 * 2 ** 20, index));
    await image.write(0, parts[0] as Uint8Array);
    await Promise.all([
      image.publish(),
      ...parts.slice(1).map((bytes, index) => image.write((index % 2) * 3 * 2 ** 20 + 10 * 2 ** 20, bytes)),
      image.commit({ message: 'all of it', timeSeconds: 1 }),
      image.write(100, new Uint8Array(5000).fill(7)),
    ]);
    await image.publish();
    const read = await readRange(image, '1', 10 * 2 ** 20, 18 * 2 ** 20);
    expectBytes(read.subarray(0, 3 * 2 ** 20), (parts[3] as Uint8Array).subarray(0, 3 * 2 ** 20));
    expectBytes(read.subarray(3 * 2 ** 20), parts[4] as Uint8Array);
    expectBytes(await readRange(image, '1', 0, 5 * 2 ** 20), parts[0] as Uint8Array);
    expectBytes(await readRange(image, null, 100, 5100), new Uint8Array(5000).fill(7));
  });
});
