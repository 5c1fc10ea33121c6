import fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { createImageFile, openImageFile } from '../../src/image/file.ts';
import type { Image } from '../../src/image/image.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { openFileSource } from '../../src/storage/source.ts';
import { openFileTarget } from '../../src/storage/target.ts';
import type { SourceFile } from '../../src/storage/transfer.ts';
import { victims } from '../support/closing.ts';
import { noise, openStorage, TIME } from '../support/image.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { WrappedStorage } from '../support/storages.ts';

const MIB = 1024 * 1024;
const one = noise(MIB, 1);
const IMPORT = { message: 'x', timeSeconds: TIME };

/** No block twice. */
function manyBytes(mebibytes: number): Uint8Array {
  const bytes = Buffer.concat(Array.from({ length: mebibytes }, () => one));
  for (let at = 0; at < bytes.length; at += 512) bytes.writeUInt32LE(at, at);
  return bytes;
}

/** An empty image, and a disk of 24 MiB to import. */
async function prepare(): Promise<{ directory: string; image: string; disk: string }> {
  const directory = scratchDirectory();
  const [image, disk] = [join(directory, 'a.vsi'), join(directory, 'disk.raw')];
  fs.writeFileSync(disk, manyBytes(24));
  await createImageFile(image, { sizeBytes: 0, compression: { codec: 'none' } });
  return { directory, image, disk };
}

async function importDisk(image: Image, path: string): Promise<void> {
  const source = openFileSource(path);
  try {
    await image.importFrom(source, IMPORT);
  } finally {
    source.close();
  }
}

/** Long enough for whatever is still under way. */
const settled = () => setTimeout(500);

it('an import that fails ends after the jobs that it has begun', async () => {
  const { directory, image: path, disk } = await prepare();
  const image = await openImageFile(path, { mode: 'write' });
  const source = openFileSource(disk);
  const { file } = source;
  if (file === undefined) throw new Error('no file');
  const failing: SourceFile = {
    descriptor: file.descriptor,
    pieces: file.pieces,
    *runs() {
      yield { start: 0, end: 12 * MIB };
      throw new Error('enough');
    },
  };
  const disturbed = { ...source, sizeBytes: 24 * MIB, file: failing, close: () => {} };
  await expect(image.importFrom(disturbed, IMPORT)).rejects.toThrow('enough');
  image.close();
  const lengthBytes = fs.statSync(path).size;
  const check = victims(directory);
  await settled();
  check();
  source.close();
  expect(fs.statSync(path).size).toBe(lengthBytes);
});

it('an image that is closed during an import leaves other files alone, and the image as it was', async () => {
  const { directory, image: path, disk } = await prepare();
  const image = await openImageFile(path, { mode: 'write' });
  const source = openFileSource(disk);
  const done = image.importFrom(source, IMPORT);
  await setTimeout(1);
  image.close();
  const check = victims(directory);
  await expect(done).rejects.toMatchObject({ code: 'internal' });
  await settled();
  check();
  source.close();
  const again = await openImageFile(path, { mode: 'write' });
  expect(again.info().versionCount).toBe(0);
  expect(await again.check({ data: true })).toMatchObject({ errors: [], leakedBytes: 0 });
  again.close();
});

it('an export whose target fails ends after the jobs that it has begun, and leaves nothing', async () => {
  const { directory, image: path, disk } = await prepare();
  const image = await openImageFile(path, { mode: 'write' });
  await importDisk(image, disk);
  const target = openFileTarget(join(directory, 'out.raw'));
  const stop = () => {
    throw new Error('enough');
  };
  await expect(image.exportTo('HEAD', target, { onProgress: stop })).rejects.toThrow('enough');
  const check = victims(directory);
  await settled();
  check();
  image.close();
  expect(fs.readdirSync(directory).filter((name) => name.includes('out.raw'))).toEqual([]);
});

it('an image that is closed while it is read or exported is not read any more', async () => {
  const { directory, image: path, disk } = await prepare();
  const image = await openImageFile(path, { mode: 'write' });
  await importDisk(image, disk);
  const pieces = image.pieces('HEAD', 0, 24 * MIB)[Symbol.asyncIterator]();
  await pieces.next();
  const exported = image.exportTo('HEAD', openFileTarget(join(directory, 'out.raw')));
  image.close();
  const check = victims(directory);
  const readAll = async (): Promise<void> => {
    while ((await pieces.next()).done !== true);
  };
  for (const result of await Promise.allSettled([readAll(), exported]))
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'internal' } });
  await settled();
  check();
});

it('two images of one process import and export at the same time', async () => {
  const { directory, image: path, disk } = await prepare();
  const other = join(directory, 'b.vsi');
  const disks = [disk, join(directory, 'other.raw')];
  fs.writeFileSync(disks[1] as string, manyBytes(21).subarray(700));
  await createImageFile(other, { sizeBytes: 0, blockSizeBytes: 512 });
  const images = [await openImageFile(path, { mode: 'write' }), await openImageFile(other, { mode: 'write' })];
  await Promise.all(images.map((image, index) => importDisk(image, disks[index] as string)));
  const outs = [0, 1].map((index) => join(directory, `out-${index}`));
  await Promise.all(images.map((image, index) => image.exportTo('HEAD', openFileTarget(outs[index] as string))));
  for (const [index, image] of images.entries()) {
    expect(fs.readFileSync(outs[index] as string).equals(fs.readFileSync(disks[index] as string))).toBe(true);
    expect(await image.check({ data: true })).toMatchObject({ errors: [], leakedBytes: 0 });
    image.close();
  }
});

it('progress goes forward only, holes between data or not', async () => {
  const { image: path, directory } = await prepare();
  const disk = join(directory, 'holes.raw');
  const fd = fs.openSync(disk, 'w');
  for (let at = 0; at < 40; at += 5) fs.writeSync(fd, noise(MIB, at), 0, MIB, at * MIB);
  fs.ftruncateSync(fd, 44 * MIB);
  fs.closeSync(fd);
  const image = await openImageFile(path, { mode: 'write' });
  const source = openFileSource(disk);
  const told: number[] = [];
  await image.importFrom(source, { ...IMPORT, onProgress: (end) => told.push(end) });
  source.close();
  image.close();
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect(told.at(-1)).toBe(44 * MIB);
});

it('names the same blocks as unreadable as whoever reads without threads', async () => {
  const { image: path, directory } = await prepare();
  const disk = join(directory, 'holes.raw');
  const fd = fs.openSync(disk, 'w');
  // The first MiB of data ends at 1_441_792.
  for (const [start, length] of [
    [40_960, 300_000],
    [700_000, 9_000_000],
  ] as const)
    fs.writeSync(fd, noise(length, start), 0, length, start);
  fs.ftruncateSync(fd, 12 * MIB);
  fs.closeSync(fd);
  let image = await openImageFile(path, { mode: 'write' });
  await importDisk(image, disk);
  image.close();
  const bytes = fs.readFileSync(path);
  const original = fs.readFileSync(disk);
  for (const guest of [3 * MIB - 8192, 4 * MIB - 4096, 1_441_792 - 8192, 1_441_792 - 4096 + 3 * MIB]) {
    // Several blocks in a row, around the end of a MiB of the disk, or of the data.
    const start = Math.floor(guest / 4096) * 4096;
    const place = bytes.indexOf(original.subarray(start, start + 4096));
    const damaged = Buffer.from(bytes);
    for (let at = 0; at < 4; at++) damaged[place + at * 4096 + 100] = (damaged[place + at * 4096 + 100] as number) ^ 1;
    fs.writeFileSync(path, damaged);
    const plain = openStorage(new WrappedStorage(FileStorage.open(path, { mode: 'read' })));
    const expected = await failureOf(plain);
    plain.close();
    expect(expected).toMatchObject({ code: 'corrupt', guestOffset: start });
    image = await openImageFile(path, { mode: 'read-long' });
    expect(await failureOf(image)).toEqual(expected);
    const out = openFileTarget(join(directory, 'out.raw'));
    expect(detailsOf(await image.exportTo('HEAD', out).catch((error: unknown) => error))).toEqual(expected);
    image.close();
  }
  expect(fs.existsSync(join(directory, 'out.raw'))).toBe(false);
});

async function failureOf(image: Image): Promise<unknown> {
  try {
    for await (const _ of image.pieces('HEAD', 0, image.sizeOf('HEAD')));
  } catch (error) {
    return detailsOf(error);
  }
  return undefined;
}

function detailsOf(error: unknown): unknown {
  if (!(error instanceof VsimgError)) return error;
  const { code, message, guestOffset, hostOffset, hint } = error;
  return { code, message, guestOffset, hostOffset, hint };
}

it('space set aside for zeros, or for what a source lacks, is not taken', async () => {
  const { image: path, directory } = await prepare();
  const zeros = join(directory, 'zeros.raw');
  fs.writeFileSync(zeros, new Uint8Array(12 * MIB));
  const image = await openImageFile(path, { mode: 'write' });
  await importDisk(image, zeros);
  expect(fs.statSync(path).size).toBeLessThan(65_536);
  const mixed = manyBytes(24);
  for (let at = 0; at < mixed.length; at += 3 * MIB) mixed.fill(0, at, at + 2 * MIB + 4096);
  fs.writeFileSync(zeros, mixed);
  await importDisk(image, zeros);
  // What lies between is free, and was never written.
  expect(fs.statSync(path).blocks * 512).toBeLessThan(9 * MIB);
  const report = await image.check({ data: true });
  expect(report).toMatchObject({ errors: [], leakedBytes: 0 });

  fs.writeFileSync(zeros, manyBytes(24).fill(1, 0, 65_536));
  const source = openFileSource(zeros);
  fs.truncateSync(zeros, 5 * MIB);
  await expect(image.importFrom(source, IMPORT)).rejects.toMatchObject({ code: 'io', path: zeros });
  source.close();
  image.close();
  const again = await openImageFile(path, { mode: 'write' });
  expect(await again.check({ data: true })).toMatchObject({ errors: [], leakedBytes: 0 });
  expect(again.info().versionCount).toBe(2);
  again.close();
});
