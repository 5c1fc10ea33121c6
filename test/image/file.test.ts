import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { encodeSlot, readSlots } from '../../src/format/slot.ts';
import { Container } from '../../src/image/container.ts';
import { createImageFile, openImageFile } from '../../src/image/file.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { scratchDirectory } from '../support/scratch.ts';

const MIB = 2 ** 20;

function freshDisk(): MemoryDisk {
  const disk = new MemoryDisk();
  Container.create(new MemoryStorage(disk), { sizeBytes: 64 * MIB, compression: { codec: 'none' } });
  return disk;
}

const open = (disk: MemoryDisk): Image => new Image(Container.open(new MemoryStorage(disk)));

async function firstByte(image: Image): Promise<number | undefined> {
  for await (const piece of image.pieces(null, 0, 1)) return piece.kind === 'data' ? piece.bytes[0] : 0;
  return undefined;
}

it('a writer that waited for a file which was replaced meanwhile writes to the new one', async () => {
  const directory = scratchDirectory();
  const path = join(directory, 'disk.vsi');
  const other = join(directory, 'other.vsi');
  await createImageFile(path, { sizeBytes: MIB });
  await createImageFile(other, { sizeBytes: MIB });
  const holder = await openImageFile(path, { mode: 'write' });
  const waiting = openImageFile(path, { mode: 'write', waitSeconds: 10 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  renameSync(other, path);
  holder.close();
  const writer = await waiting;
  await writer.write(0, Uint8Array.of(7));
  await writer.publish();
  writer.close();
  const reader = await openImageFile(path, { mode: 'read' });
  expect(await firstByte(reader)).toBe(7);
  reader.close();
});

it('totals of a damaged header stop a write before they make a header that nobody can read', async () => {
  const disk = freshDisk();
  const bytes = disk.bytes();
  const { header, generation } = readSlots(bytes.subarray(0, 4096), bytes.subarray(4096, 8192), 'disk');
  const slot = encodeSlot(generation, { ...header, log: { ...header.log, dataBytes: Number.MAX_SAFE_INTEGER } });
  disk.write(slot, 0);
  disk.write(slot, 4096);
  const image = open(disk);
  await image.write(0, Uint8Array.of(7));
  await expect(image.publish()).rejects.toBeInstanceOf(VsimgError);
  expect(open(disk).info().generation).toBe(generation);
});

it('closing without publishing gives the file its length back', async () => {
  const disk = freshDisk();
  const before = disk.sizeBytes;
  const image = open(disk);
  // So much that not all of it can wait for threads to seal it.
  for (let piece = 0; piece < 48; piece++) await image.write(piece * MIB, new Uint8Array(MIB).fill(piece + 1));
  expect(disk.sizeBytes).toBeGreaterThan(before);
  image.close();
  expect(disk.sizeBytes).toBe(before);
});

it('writing what is there already, and collecting nothing, publish nothing', async () => {
  const disk = freshDisk();
  const image = open(disk);
  await image.write(0, new Uint8Array(MIB).fill(1));
  await image.commit({ message: 'one', timeSeconds: 1 });
  const { generation } = image.info();
  await image.write(0, new Uint8Array(MIB).fill(1));
  await image.write(MIB, new Uint8Array(MIB));
  await image.zero(MIB, MIB);
  await image.publish();
  expect(await image.gc()).toMatchObject({ reclaimedBytes: 0 });
  expect(image.info().generation).toBe(generation);
});
