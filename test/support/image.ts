import { expect, onTestFinished } from 'vitest';
import type { CreateOptions, VersionInfo } from '../../src/image/api.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { TIME } from './content.ts';

export { noise, sourceOf, TIME, text } from './content.ts';

export function openDisk(disk: MemoryDisk, options: { readonly readOnly?: boolean } = {}): Image {
  return openStorage(new MemoryStorage(disk, { name: 'test.vsi', ...options }));
}

export function openStorage(storage: Storage): Image {
  return new Image(Container.open(storage));
}

/** A container without defects: no errors, no leak, every byte of data verified. */
export async function expectClean(disk: MemoryDisk): Promise<void> {
  const image = openDisk(disk, { readOnly: true });
  const report = await image.check({ data: true });
  expect(report.errors).toEqual([]);
  expect(report.leakedBytes).toBe(0);
  image.close();
}

export interface TestImage {
  readonly disk: MemoryDisk;
  readonly image: Image;
}

/** A new image in memory; what it has published is checked when the test ends. */
export function newImage(options: Partial<CreateOptions> = {}): TestImage {
  const disk = new MemoryDisk();
  const image = createOn(disk, options);
  onTestFinished(() => expectClean(disk));
  return { disk, image };
}

/** The same for tests that damage it. */
export function newDoomedImage(options: Partial<CreateOptions> = {}): TestImage {
  const disk = new MemoryDisk();
  return { disk, image: createOn(disk, options) };
}

function createOn(disk: MemoryDisk, options: Partial<CreateOptions>): Image {
  return new Image(
    Container.create(new MemoryStorage(disk, { name: 'test.vsi' }), {
      sizeBytes: 1024 * 1024,
      compression: { codec: 'none' },
      imageId: new Uint8Array(16).fill(7),
      ...options,
    }),
  );
}

export async function commit(
  image: Image,
  message = 'test',
  options: { readonly tag?: string } = {},
): Promise<VersionInfo> {
  return image.commit({ message, timeSeconds: TIME + image.info().versionCount, allowEmpty: true, ...options });
}

/** All bytes of a state; pieces must come in order and without gaps. */
export async function readAll(image: Image, rev: string | null): Promise<Uint8Array> {
  return readRange(image, rev, 0, image.sizeOf(rev));
}

export async function readRange(image: Image, rev: string | null, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  let at = start;
  for await (const piece of image.pieces(rev, start, end)) {
    expect(piece.start).toBe(at);
    if (piece.kind === 'data') bytes.set(piece.bytes, piece.start - start);
    at = piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end;
  }
  expect(at).toBe(end);
  return bytes;
}

/** Compares without printing megabytes. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array, what = 'bytes'): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((byte, index) => byte !== actual[index]);
  expect.fail(`${what}: ${actual.length} bytes for ${expected.length}, first difference at ${at}`);
}

/** What a disk that somebody has open holds there. */
export function diskBytes(
  disk: { read(offset: number, into: Uint8Array): void },
  offset: number,
  length: number,
): Buffer {
  const bytes = Buffer.alloc(length, 0x5a);
  disk.read(offset, bytes);
  return bytes;
}
