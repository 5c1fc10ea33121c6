import { createHash } from 'node:crypto';
import { checksum } from '../../src/format/checksum.ts';
import type { Header } from '../../src/format/header.ts';
import { SLOT_BYTES } from '../../src/format/layout.ts';
import { type Document, decodeDocument, encodeDocument } from '../../src/format/msgpack.ts';
import { isPageRef } from '../../src/format/page.ts';
import { encodeSlot, readSlot, readSlots } from '../../src/format/slot.ts';
import type { CreateOptions } from '../../src/image/api.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { noise, TIME, text } from './content.ts';

export interface StateDescription {
  readonly sizeBytes: number;
  /** Of all bytes, for disks of up to a few MiB. */
  readonly sha256?: string;
  /** Of some ranges, for larger ones. */
  readonly ranges?: readonly { readonly start: number; readonly length: number; readonly sha256: string }[];
}

/** What a whole container must read as. */
export interface GoldenDescription {
  readonly blockSizeBytes: number;
  readonly compression: string;
  readonly imageId: string;
  readonly head: { readonly branch: string | null; readonly version: number | null; readonly dirty: boolean | null };
  readonly refs: readonly { readonly name: string; readonly kind: string; readonly version: number }[];
  readonly versions: readonly ({
    readonly number: number;
    readonly id: string;
    readonly parent: number | null;
    readonly timeSeconds: number;
    readonly message: string;
    readonly firstMessage?: string;
    readonly locked?: true;
  } & StateDescription)[];
  readonly working: StateDescription;
}

/** What must become of a damaged one: 'ok', or the code of the error. */
export interface DamageDescription {
  readonly open: string;
  readonly openForWriting: string;
  /** Revision -> what reading all of it gives. */
  readonly read: Readonly<Record<string, string>>;
  /** A part of what check says first, 'leak', or 'clean'; absent where the container can not be opened. */
  readonly check?: string;
}

export interface Fixture<T> {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly description: T;
}

/** Disks up to this size are hashed as a whole. */
const WHOLE_BYTES = 4 * 2 ** 20;

async function hash(image: Image, rev: string | null, start: number, end: number): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of image.pieces(rev, start, end))
    digest.update(piece.kind === 'data' ? piece.bytes : new Uint8Array(piece.end - piece.start));
  return digest.digest('hex');
}

async function describeState(image: Image, rev: string | null): Promise<StateDescription> {
  const sizeBytes = image.sizeOf(rev);
  if (sizeBytes <= WHOLE_BYTES) return { sizeBytes, sha256: await hash(image, rev, 0, sizeBytes) };
  const length = 65_536;
  const starts = [0, Math.floor(sizeBytes / 2), sizeBytes - length];
  return {
    sizeBytes,
    ranges: await Promise.all(
      starts.map(async (start) => ({ start, length, sha256: await hash(image, rev, start, start + length) })),
    ),
  };
}

export async function describeGolden(image: Image): Promise<GoldenDescription> {
  const { blockSizeBytes, compression, imageId, head } = image.info();
  const versions: GoldenDescription['versions'][number][] = [];
  for (const { number, id, parent, timeSeconds, message, firstMessage, isLocked } of image.versions()) {
    versions.push({
      number,
      id,
      parent,
      timeSeconds,
      message,
      ...(firstMessage === null ? {} : { firstMessage }),
      ...(isLocked ? { locked: isLocked } : {}),
      ...(await describeState(image, String(number))),
    });
  }
  return {
    blockSizeBytes,
    compression: compression.codec,
    imageId,
    head: { branch: head.branch, version: head.version, dirty: head.dirty },
    refs: image.refs(),
    versions,
    working: await describeState(image, null),
  };
}

type Build = (image: Image) => Promise<void>;

async function golden(
  name: string,
  options: Partial<CreateOptions>,
  build: Build,
): Promise<Fixture<GoldenDescription>> {
  const disk = new MemoryDisk();
  const imageId = Uint8Array.from({ length: 16 }, (_, index) => index);
  const image = new Image(
    Container.create(new MemoryStorage(disk), {
      sizeBytes: 100_000,
      compression: { codec: 'none' },
      imageId,
      ...options,
    }),
  );
  await build(image);
  await image.publish();
  return { name, bytes: disk.bytes(), description: await describeGolden(image) };
}

async function commit(image: Image, message: string, tag?: string): Promise<void> {
  await image.commit({
    message,
    timeSeconds: TIME + image.info().versionCount,
    allowEmpty: true,
    ...(tag === undefined ? {} : { tag }),
  });
}

/** Two branches, tags, and a disk that was written in many places. */
async function branchesAndTags(image: Image): Promise<void> {
  for (let number = 1; number <= 4; number++) {
    for (let at = 0; at < 20; at++)
      await image.write(
        (number * 3 + at * 9) * 512,
        number % 2 === 0 ? noise(512, number + at) : text(512, number + at),
      );
    await commit(image, `Version ${number}\n\nWith a body, and ünïcode.`, number === 2 ? 'v1.0' : undefined);
  }
  await image.checkout('v1.0', { branch: 'feature/side' });
  await image.write(50_000, text(3000, 9));
  await commit(image, 'beside', 'side-1');
  await image.setBranch('old', '1');
}

export async function goldenFixtures(): Promise<Fixture<GoldenDescription>[]> {
  const zstd = { compression: { codec: 'zstd', level: 2 } } as const;
  return [
    await golden('empty', {}, async () => {}),
    await golden('size-zero', { sizeBytes: 0 }, (image) => commit(image, 'nothing')),
    await golden('one-version', {}, async (image) => {
      await image.write(0, noise(10_000, 1));
      await commit(image, 'first');
    }),
    await golden('raw-512', { blockSizeBytes: 512, sizeBytes: 33_333 }, async (image) => {
      await image.write(100, noise(20_000, 1));
      await commit(image, 'first');
      await image.zero(5000, 7000);
      await commit(image, 'second');
    }),
    await golden('raw-65536', { blockSizeBytes: 65_536, sizeBytes: 200_001 }, async (image) => {
      await image.write(199_990, noise(11, 1));
      await commit(image, 'first');
    }),
    await golden('zstd', { ...zstd, sizeBytes: 500_000 }, async (image) => {
      await image.write(0, text(400_000, 1));
      await commit(image, 'first');
      await image.write(123_456, text(5000, 2));
      await commit(image, 'second');
    }),
    await golden('branches-and-tags', { ...zstd, blockSizeBytes: 512 }, branchesAndTags),
    await golden('dirty', zstd, async (image) => {
      await image.write(0, text(9000, 1));
      await commit(image, 'first');
      await image.write(4000, text(9000, 2));
    }),
    await golden('deleted-and-collected', { blockSizeBytes: 512 }, async (image) => {
      for (let number = 1; number <= 6; number++) {
        await image.write(number * 2000, noise(6000, number));
        await commit(image, `version ${number}`);
      }
      await image.deleteVersions(['1', '3', '4']);
      await image.gc();
    }),
    await golden('deleted-not-collected', { blockSizeBytes: 512 }, async (image) => {
      await branchesAndTags(image);
      await image.deleteVersions(['3']);
    }),
    await golden('many-extents', { blockSizeBytes: 512, sizeBytes: 2 ** 20 }, async (image) => {
      for (let block = 2000; block > 0; block -= 13) await image.write(block * 512, text(512, block));
      await commit(image, 'first');
    }),
    await withForeignFields(),
    await golden('amended-and-locked', { blockSizeBytes: 512 }, async (image) => {
      await branchesAndTags(image);
      await image.edits.amend('1', { message: 'Version 1, as we see it now' });
      await image.edits.amend('2', { message: 'both' });
      await image.edits.lock(['2', '3']);
    }),
    await golden('eight-tebibytes', { sizeBytes: 2 ** 43 }, async (image) => {
      await image.write(2 ** 43 - 5000, noise(5000, 1));
      await image.write(2 ** 42 + 100, noise(5000, 2));
      await commit(image, 'first');
    }),
  ];
}

/** What a later program may have put into the header and into version records; `withForeignFields` does. */
export const FOREIGN_HEADER = {
  'made-by': { program: 'later', 'since-version': 2 ** 40, flags: [true, false, null] },
  constructor: 'a name that means something in JavaScript',
  working: { 'last-use': 1_700_000_000 },
  log: { seals: Uint8Array.of(1, 2, 3) },
  trees: { toJSON: {} },
  space: { spare: [1, 2, 2 ** 53 - 1] },
} as const;
export const FOREIGN_RECORD = { g: Uint8Array.of(9, 8, 7), 'x-author': { name: 'Ünï', age: 2 ** 33 } } as const;

/** A container that a later program wrote, with a feature that this one does not know and its fields. */
async function withForeignFields(): Promise<Fixture<GoldenDescription>> {
  const { bytes } = await golden('base', { blockSizeBytes: 512 }, branchesAndTags);
  const disk = MemoryDisk.from(bytes);
  const container = Container.open(new MemoryStorage(disk));
  container.begin();
  for (const { number, ...record } of [...container.versions.oldestFirst()])
    container.versions.put(number, { ...record, unknown: FOREIGN_RECORD });
  const features = { ...container.header.features, compatible: ['hints'] };
  container.header = { ...container.header, features, unknown: FOREIGN_HEADER };
  await container.publish();
  return { name: 'foreign-fields', bytes: disk.bytes(), description: await describeGolden(new Image(container)) };
}

const NONE = new Uint8Array(SLOT_BYTES);

function slotsOf(bytes: Uint8Array): readonly [Uint8Array, Uint8Array] {
  return [bytes.slice(0, SLOT_BYTES), bytes.slice(SLOT_BYTES, 2 * SLOT_BYTES)];
}

function withSlots(bytes: Uint8Array, a: Uint8Array, b: Uint8Array): Uint8Array {
  return Uint8Array.from([...a, ...b, ...bytes.subarray(2 * SLOT_BYTES)]);
}

function flipped(bytes: Uint8Array, place: number): Uint8Array {
  const copy = bytes.slice();
  copy[place] = (copy[place] as number) ^ 0x20;
  return copy;
}

function withHeader(bytes: Uint8Array, change: (header: Header) => Header): Uint8Array {
  const { generation, header } = readSlots(...slotsOf(bytes), 'fixture');
  const slot = encodeSlot(generation, change(header));
  return withSlots(bytes, slot, slot);
}

/** The header with other fields than any `Header` has, under a right checksum. */
function withDocument(bytes: Uint8Array, change: Document): Uint8Array {
  const old = readSlot(bytes.subarray(0, SLOT_BYTES));
  if (old === undefined) throw new Error('the fixture has no header');
  const document = encodeDocument({ ...decodeDocument(old.headerBytes, 'fixture'), ...change });
  const slot = Uint8Array.from([...bytes.subarray(0, 24), ...document, ...NONE.subarray(24 + document.length)]);
  const view = new DataView(slot.buffer);
  view.setUint32(16, document.length, true);
  view.setUint32(20, checksum(Uint8Array.from([...slot.subarray(0, 20), ...document])), true);
  return withSlots(bytes, slot, slot);
}

function mapPlace(bytes: Uint8Array): number {
  const { map } = readSlots(...slotsOf(bytes), 'fixture').header.working;
  if (map === null || !isPageRef(map)) throw new Error('the map of the fixture has no page');
  return map.place;
}

export async function damagedFixtures(): Promise<Fixture<DamageDescription>[]> {
  const base = await golden(
    'base',
    { blockSizeBytes: 512, sizeBytes: 2 ** 20, compression: { codec: 'zstd', level: 2 } },
    async (image) => {
      await image.write(0, noise(3000, 1));
      await commit(image, 'first');
      // Backwards, so that the map does not fit into the header.
      for (let block = 2000; block > 20; block -= 17) await image.write(block * 512, text(512, block));
      await commit(image, 'second');
    },
  );
  const { bytes } = base;
  const data = Buffer.from(bytes).indexOf(noise(3000, 1).subarray(0, 512));
  const [a] = slotsOf(bytes);
  const features = (change: Partial<Header['features']>) =>
    withHeader(bytes, (header) => ({ ...header, features: { ...header.features, ...change } }));
  const refused = (code: string): DamageDescription => ({ open: code, openForWriting: code, read: {} });
  const opens = (read: Record<string, string>, check: string): DamageDescription => ({
    open: 'ok',
    openForWriting: 'ok',
    read,
    check,
  });
  const whole = { 1: 'ok', 2: 'ok' };
  return [
    { name: 'corrupt-empty-file', bytes: new Uint8Array(0), description: refused('corrupt') },
    { name: 'corrupt-not-a-container', bytes: new Uint8Array(2 * SLOT_BYTES), description: refused('corrupt') },
    { name: 'corrupt-cut-inside-first-header', bytes: bytes.slice(0, 100), description: refused('corrupt') },
    {
      name: 'corrupt-both-headers',
      bytes: withSlots(bytes, flipped(a, 60), flipped(a, 90)),
      description: refused('corrupt'),
    },
    {
      name: 'corrupt-header-nested',
      bytes: withDocument(bytes, { extra: [[[[[[[[[[1]]]]]]]]]] }),
      description: refused('corrupt'),
    },
    {
      name: 'corrupt-header-block-size',
      bytes: withDocument(bytes, { 'block-size': 1000 }),
      description: refused('corrupt'),
    },
    {
      name: 'unsupported-format-version',
      bytes: withDocument(bytes, { format: 99 }),
      description: refused('unsupported'),
    },
    {
      name: 'unsupported-feature',
      bytes: features({ incompatible: ['encryption'] }),
      description: refused('unsupported'),
    },
    {
      name: 'unsupported-for-writing',
      bytes: features({ readOnlyCompatible: ['digests'] }),
      description: { ...opens(whole, 'clean'), openForWriting: 'unsupported' },
    },
    {
      name: 'ok-unknown-compatible-feature',
      bytes: features({ compatible: ['hints'] }),
      description: opens(whole, 'clean'),
    },
    { name: 'ok-first-header-damaged', bytes: withSlots(bytes, flipped(a, 60), a), description: opens(whole, 'clean') },
    { name: 'ok-second-header-damaged', bytes: withSlots(bytes, a, NONE), description: opens(whole, 'clean') },
    {
      name: 'corrupt-data',
      bytes: flipped(bytes, data + 5),
      description: opens({ 1: 'corrupt', 2: 'corrupt' }, `data at ${data} has a wrong checksum`),
    },
    {
      name: 'corrupt-map',
      bytes: flipped(bytes, mapPlace(bytes) + 9),
      description: opens({ 1: 'ok', 2: 'corrupt' }, 'has a wrong checksum'),
    },
    {
      name: 'corrupt-cut',
      bytes: bytes.slice(0, data + 1000),
      description: {
        ...opens({ 1: 'corrupt', 2: 'corrupt' }, 'beyond the end of the file'),
        openForWriting: 'corrupt',
      },
    },
    {
      name: 'corrupt-version-count',
      bytes: withHeader(bytes, (header) => ({ ...header, versionCount: 7 })),
      description: opens(whole, 'the header counts 7 versions'),
    },
    {
      name: 'leak',
      bytes: Uint8Array.from([
        ...withHeader(bytes, (header) => ({ ...header, space: { ...header.space, end: header.space.end + 4096 } })),
        ...new Uint8Array(4096),
      ]),
      description: opens(whole, 'leak'),
    },
  ];
}
