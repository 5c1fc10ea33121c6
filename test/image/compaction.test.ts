import { describe, expect, it } from 'vitest';
import type { Chunk } from '../../src/format/chunk-table.ts';
import { EXTENT_KIND, MAX_BLOCKS } from '../../src/format/extent-page.ts';
import { Container } from '../../src/image/container.ts';
import type { ContainerOptions } from '../../src/image/container-options.ts';
import { Image } from '../../src/image/image.ts';
import { ExtentMap } from '../../src/map/extent-map.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
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
  sourceOf,
  TIME,
  text,
} from '../support/image.ts';
import { PowerCutStorage } from '../support/power-cut.ts';
import { SeededRandom } from '../support/random.ts';
import { randomStep, stateOf } from '../support/script.ts';
import { CountingStorage } from '../support/storages.ts';

const MIB = 2 ** 20;
const BLOCK = 4096;
/** Header trees, the reserve, and what the last publications gave up. */
const SLACK = 100_000;

function containerOf(disk: MemoryDisk): Container {
  return Container.open(new MemoryStorage(disk, { readOnly: true }));
}

/** The chunks of a version in the order of the disk, each once where it is met. */
function chunksOf(container: Container, version: number): Chunk[] {
  const map = new ExtentMap(container.pages, container.versions.need(version).map);
  const chunks: Chunk[] = [];
  for (const { kind, log, length } of map.extents(0, MAX_BLOCKS)) {
    if (kind !== EXTENT_KIND.data) continue;
    for (const { chunk } of container.reader.parts(log, length))
      if (chunks.at(-1)?.place !== chunk.place) chunks.push(chunk);
  }
  return chunks;
}

function expectInOrder(disk: MemoryDisk, version: number): void {
  const places = chunksOf(containerOf(disk), version).map(({ place }) => place);
  expect(places).toEqual([...places].sort((a, b) => a - b));
}

/** The same versions in a new image, the newest first. */
async function rebuilt(image: Image): Promise<MemoryDisk> {
  const { blockSizeBytes, compression, head, sizeBytes } = image.info();
  const disk = new MemoryDisk();
  const fresh = new Image(Container.create(new MemoryStorage(disk), { sizeBytes: 0, blockSizeBytes, compression }));
  for (const { number, message } of image.versions())
    await fresh.importFrom(sourceOf(await readAll(image, String(number))), { message, timeSeconds: TIME });
  if (head.dirty !== false)
    await fresh.importFrom(sourceOf(await readAll(image, null)), { message: '', timeSeconds: TIME });
  expect(sizeBytes).toBeGreaterThanOrEqual(0);
  return disk;
}

async function writesOf(disk: MemoryDisk, action: (image: Image) => Promise<unknown>): Promise<number> {
  const storage = new CountingStorage(new MemoryStorage(disk));
  const image = openStorage(storage);
  storage.reset();
  await action(image);
  return storage.reset().writes;
}

/** A disk of `mib` MiB half of it a hole, of which blocks are written at random, a hundred for each of 10 versions after the first. */
async function scattered(mib: number, compression: 'none' | 'zstd', seed = 1) {
  const random = new SeededRandom(seed);
  const made = newImage({
    sizeBytes: 2 * mib * MIB,
    compression: compression === 'none' ? { codec: 'none' } : { codec: 'zstd', level: 1 },
  });
  const { image } = made;
  const fill = compression === 'none' ? noise : text;
  for (let piece = 0; piece < mib; piece++) await image.write(2 * piece * MIB, fill(MIB, piece));
  await commit(image);
  for (let version = 0; version < 10; version++) {
    for (let count = 0; count < 100; count++)
      await image.write(random.below(2 * mib * 256) * BLOCK, fill(BLOCK, random.below(1e6)));
    await commit(image);
  }
  return made;
}

describe('compaction', () => {
  it.each([1, 2, 3, 4, 5, 6])('of a random history keeps all that can be seen, and no more (seed %d)', async (seed) => {
    const random = new SeededRandom(seed);
    const { image, disk } = newImage({
      sizeBytes: 60_000,
      blockSizeBytes: seed % 2 === 0 ? 512 : 4096,
      compression: seed % 3 === 0 ? { codec: 'zstd', level: 1 } : { codec: 'none' },
    });
    for (let step = 0; step < 120; step++) await randomStep(image, random);
    await image.publish();
    const state = await stateOf(image);
    await image.gc({ compact: true });
    await expectClean(disk);
    expect(await stateOf(openDisk(disk))).toBe(state);
    expect(disk.sizeBytes).toBeLessThan((await rebuilt(image)).sizeBytes * 1.03 + SLACK);
    const bytes = disk.bytes();
    expect(await writesOf(disk, (again) => again.gc({ compact: true }))).toBe(0);
    expectBytes(disk.bytes(), bytes);
  });

  it.each(['none', 'zstd'] as const)('lays the newest version out as a fresh import does (%s)', async (compression) => {
    const { image, disk } = await scattered(4, compression);
    const state = await stateOf(image);
    await image.deleteVersions(['1', '2', '3', '4', '5']);
    await image.gc({ compact: true });
    expectInOrder(disk, 11);
    expect(disk.sizeBytes).toBeLessThan((await rebuilt(image)).sizeBytes * 1.03 + SLACK / 2);
    expect(await writesOf(disk, (again) => again.gc({ compact: true }))).toBe(0);
    const fresh = new MemoryDisk();
    const imported = new Image(
      Container.create(new MemoryStorage(fresh), { sizeBytes: 0, compression: image.info().compression }),
    );
    await imported.importFrom(sourceOf(await readAll(image, '11')), { message: 'x', timeSeconds: TIME });
    const [chunks, freshChunks] = [chunksOf(containerOf(disk), 11), chunksOf(containerOf(fresh), 1)];
    expect(chunks.length).toBeLessThan(freshChunks.length * 1.05);
    // Of all versions but the last one the same follows from the state.
    await image.deleteVersions([...image.versions()].slice(1).map(({ number }) => String(number)));
    await image.gc({ compact: true });
    expect(disk.sizeBytes).toBeLessThan(fresh.sizeBytes * 1.03 + SLACK / 2);
    expect(JSON.parse(await stateOf(image))[0][0][9]).toBe(JSON.parse(state)[0][0][9]);
  });

  it('of a fresh import writes nothing', async () => {
    const { image, disk } = newImage({ sizeBytes: 0, compression: { codec: 'zstd', level: 1 } });
    const bytes = new Uint8Array(12 * MIB);
    for (let piece = 0; piece < 12; piece += 2) bytes.set(text(MIB - 5 * BLOCK, piece), piece * MIB);
    await image.importFrom(sourceOf(bytes), { message: 'x', timeSeconds: TIME });
    expect(await writesOf(disk, (again) => again.gc({ compact: true }))).toBe(0);
  });

  it('takes whole chunks over as they are stored', async () => {
    const { image, disk } = newImage({ sizeBytes: 4 * MIB, compression: { codec: 'zstd', level: 1 } });
    await image.write(0, text(4 * MIB, 1));
    await commit(image);
    for (let block = 0; block < 256; block += 3) await image.write(block * BLOCK, noise(BLOCK, block));
    await commit(image);
    await image.deleteVersions(['1']);
    // The image says another level from here on: what is sealed anew comes out different.
    const container = Container.open(new MemoryStorage(disk));
    const before = chunksOf(container, 2).slice(-48);
    container.begin();
    container.header = { ...container.header, compression: { codec: 'zstd', level: 19 } };
    await container.publish();
    container.close();
    await openDisk(disk).gc({ compact: true });
    const after = chunksOf(containerOf(disk), 2).slice(-48);
    expect(after.map(({ checksums }) => checksums)).toEqual(before.map(({ checksums }) => checksums));
    expect(containerOf(disk).header.log.youngMark).toBeGreaterThan(1024 + 86);
  });

  it('shares the pages of maps between versions', async () => {
    const { image, disk } = newImage({ sizeBytes: 64 * MIB });
    const random = new SeededRandom(3);
    for (let count = 0; count < 4000; count++) await image.write(2 * count * BLOCK, noise(BLOCK, count));
    await commit(image);
    for (let version = 0; version < 60; version++) {
      await image.write(2 * random.below(4000) * BLOCK, noise(BLOCK, 1e6 + version));
      await commit(image);
    }
    const { metadataBytes } = image.info().space;
    await image.gc({ compact: true });
    expect(openDisk(disk).info().space.metadataBytes).toBeLessThan(metadataBytes);
  });

  it('keeps count of the working state, which is still what grows the file least', async () => {
    const { image, disk } = newImage({ sizeBytes: 16 * MIB });
    await image.write(0, noise(4 * MIB, 1));
    await commit(image);
    for (let block = 0; block < 256; block += 3) await image.write(block * BLOCK, noise(BLOCK, block));
    await commit(image);
    await image.deleteVersions(['1']);
    for (let round = 0; round < 5; round++)
      for (let block = 256; block < 512; block += 2)
        await image.write(block * BLOCK, noise(BLOCK, 1000 * round + block));
    await image.publish();
    await image.write(5 * MIB, noise(50 * BLOCK, 77));
    await image.gc({ compact: true });
    const { log, working } = containerOf(disk).header;
    expect(log.deadBlocks).toBe(0);
    // Young are the blocks of the working state.
    expect(log.next - log.youngMark).toBe(128 + 50);
    expect(working.map).not.toBeNull();
    await image.write(MIB, noise(MIB, 99));
    await image.write(5 * MIB, noise(50 * BLOCK, 78));
    await image.publish();
    expect(containerOf(disk).header.log.deadBlocks).toBe(0);
    await image.checkout('2', { force: true });
    await expectClean(disk);
    await image.gc();
    expect(disk.sizeBytes).toBeLessThan(4 * MIB + SLACK);
  });

  it('leaves what a reader holds where it is, and finishes when the reader is gone', async () => {
    const { image, disk } = await scattered(3, 'none');
    image.close();
    const reader = openDisk(disk, { readOnly: true });
    const { generation } = reader.info();
    const expected = await stateOf(reader);
    const pinned: ContainerOptions = { heldGenerations: () => [{ first: generation, last: generation }] };
    await new Image(Container.open(new MemoryStorage(disk), pinned)).gc({ compact: true });
    expect(await stateOf(reader)).toBe(expected);
    expect(await stateOf(openDisk(disk))).toBe(expected);
    const { log } = containerOf(disk).header;
    const large = disk.sizeBytes;
    await openDisk(disk).gc({ compact: true });
    // Only moved: the log was in order.
    expect(containerOf(disk).header.log).toEqual(log);
    expect(disk.sizeBytes).toBeLessThan(large * 0.6);
    expectInOrder(disk, 11);
    expect(await stateOf(openDisk(disk))).toBe(expected);
  });

  it('of damaged data is refused and changes nothing; after a repair what is lost stays lost', async () => {
    const { image, disk } = newDoomedImage({ sizeBytes: MIB });
    const bytes = noise(MIB, 1);
    await image.write(0, bytes);
    await commit(image);
    await image.write(100 * BLOCK, noise(BLOCK, 2));
    await commit(image);
    await image.write(200 * BLOCK, noise(9 * BLOCK, 3));
    await image.publish();
    await image.deleteVersions(['1']);
    image.close();
    const place = Buffer.from(disk.bytes()).indexOf(bytes.subarray(3 * BLOCK, 4 * BLOCK));
    disk.write(new Uint8Array(9), place + 100);
    const before = disk.bytes();
    const damaged = openDisk(disk);
    await expect(damaged.gc({ compact: true })).rejects.toMatchObject({
      code: 'corrupt',
      hostOffset: place,
      hint: expect.stringContaining('check --repair'),
    });
    damaged.close();
    expectBytes(disk.bytes(), before);
    await new Image(Container.open(new MemoryStorage(disk), { damage: 'accept' })).repair();
    const repaired = openDisk(disk);
    await repaired.gc({ compact: true });
    const { errors, lost, leakedBytes } = await repaired.check({ data: true });
    expect({ errors, leakedBytes }).toEqual({ errors: [], leakedBytes: 0 });
    expect(lost).toEqual([{ guestOffset: 3 * BLOCK, lengthBytes: BLOCK, versions: [[2, 2]], working: true }]);
    await expect(readRange(repaired, '2', 3 * BLOCK, 4 * BLOCK)).rejects.toMatchObject({ code: 'corrupt' });
    expectBytes(await readRange(repaired, '2', 4 * BLOCK, 100 * BLOCK), bytes.subarray(4 * BLOCK, 100 * BLOCK));
    expect(await writesOf(disk, (again) => again.gc({ compact: true }))).toBe(0);
  });

  it('can be cut at any moment', async () => {
    const { image, disk } = newImage({ sizeBytes: MIB, blockSizeBytes: 512, compression: { codec: 'zstd', level: 1 } });
    const random = new SeededRandom(5);
    for (let version = 0; version < 12; version++) {
      for (let count = 0; count < 8; count++)
        await image.write(random.below(MIB - 9000), noise(1 + random.below(9000), 100 * version + count));
      await commit(image, 'x', { tag: `t${version}` });
    }
    await image.checkout('4', { branch: 'side' });
    await image.write(100_000, noise(20_000, 4));
    await image.deleteVersions(['2', '3']);
    image.close();
    const state = await stateOf(openDisk(disk));
    const storage = new PowerCutStorage(disk);
    await openStorage(storage).gc({ compact: true });
    expect(containerOf(storage.disk).header.log.youngMark).toBeGreaterThan(containerOf(disk).header.log.next);
    for (let eventCount = 0; eventCount <= storage.events.length; eventCount++) {
      for (const fate of ['all-lost', { seed: eventCount, tearing: 'byte' }] as const) {
        const cut = storage.afterCut(eventCount, fate);
        await expectClean(cut);
        expect(await stateOf(openDisk(cut, { readOnly: true })), `cut after ${eventCount}`).toBe(state);
        if (eventCount % 30 !== 0) continue;
        await openDisk(cut).gc({ compact: true });
        await expectClean(cut);
        expect(await stateOf(openDisk(cut)), `compacted after a cut after ${eventCount}`).toBe(state);
      }
    }
  }, 120_000);

  it('says with a dry run about what it does, and changes nothing by that', async () => {
    const { image, disk } = await scattered(4, 'none');
    await image.deleteVersions(['1', '2', '3', '4', '5', '6']);
    const bytes = disk.bytes();
    const promise = await image.gc({ dryRun: true, compact: true });
    expectBytes(disk.bytes(), bytes);
    const report = await image.gc({ compact: true });
    expect(Math.abs(promise.fileBytesAfter - report.fileBytesAfter)).toBeLessThan(2 * SLACK);
  });

  it('says how far it is', async () => {
    const { image } = await scattered(2, 'none');
    const calls: [number, number | undefined][] = [];
    await image.gc({ compact: true, onProgress: (done, total) => calls.push([done, total]) });
    expect(calls.length).toBeGreaterThan(10);
    expect(calls.at(-1)?.[0]).toBe(calls.at(-1)?.[1]);
  });
});
