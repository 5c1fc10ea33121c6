import { VsimgError } from '../../../src/errors.ts';
import { decodeChunkTable, decodeSegmentEntry } from '../../../src/format/chunk-table.ts';
import { decodeHeader } from '../../../src/format/header.ts';
import { SLOT_BYTES } from '../../../src/format/layout.ts';
import { decodeDocument } from '../../../src/format/msgpack.ts';
import { readSlots } from '../../../src/format/slot.ts';
import { decodeVersion } from '../../../src/format/version-record.ts';
import { Container } from '../../../src/image/container.ts';
import { Image } from '../../../src/image/image.ts';
import { decompress } from '../../../src/log/codec.ts';
import { extentLayout, recordLayout, spaceLayout } from '../../../src/map/layouts.ts';
import { decodeNode } from '../../../src/map/node.ts';
import { MemoryDisk, MemoryStorage } from '../../../src/storage/memory.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import type { SeededRandom } from '../../support/random.ts';

/** What opening and looking may end with. A writer may also be told that it asks for something impossible. */
const READ_CODES = new Set(['corrupt', 'unsupported', 'not-found', 'usage', 'refused']);
const WRITE_CODES = new Set([...READ_CODES, 'no-space', 'exists']);

/** Runs `action`; anything but success and an error with one of these codes is thrown on. */
async function survive(codes: ReadonlySet<string>, action: () => unknown): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    if (error instanceof VsimgError && codes.has(error.code)) return false;
    throw error;
  }
}

/** Bytes to be read, with nothing in between. */
class BytesStorage implements Storage {
  readonly name = 'fuzz';
  readonly readOnly = true;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  size(): number {
    return this.bytes.length;
  }

  read(buffer: Uint8Array, position: number): number {
    const part = this.bytes.subarray(position, position + buffer.length);
    buffer.set(part);
    return part.length;
  }

  write(): void {
    throw new Error('a reader writes');
  }

  truncate(): void {
    throw new Error('a reader truncates');
  }

  punch(): void {
    throw new Error('a reader punches');
  }

  sync(): void {}
  close(): void {}
}

const REVISIONS = [
  'HEAD',
  'HEAD~1',
  'HEAD~999999999999',
  'main^^',
  '1',
  '999999999999999',
  't1~2',
  '0000',
  'abcdef',
  '__proto__',
  'nothing',
];
const READ_BYTES = 300_000;
const MAX_LISTED = 400;

function take(items: Iterable<unknown>): void {
  let count = 0;
  for (const _ of items) if (++count === MAX_LISTED) break;
}

async function readSome(image: Image, rev: string | null, random: SeededRandom): Promise<void> {
  const sizeBytes = image.sizeOf(rev);
  const start = random.below(3) === 0 ? Math.floor(random.next() * sizeBytes) : 0;
  for await (const piece of image.pieces(rev, start, Math.min(sizeBytes, start + READ_BYTES)))
    if (piece.kind === 'data' && piece.bytes.length === 0) throw new Error('an empty piece');
}

/** Opens a container and looks at everything. */
export async function lookAt(bytes: Uint8Array, random: SeededRandom): Promise<void> {
  const storage = new BytesStorage(bytes);
  let image: Image | undefined;
  await survive(READ_CODES, () => {
    const source = { open: () => Container.open(storage), pin: () => true, unpin: () => undefined };
    image = random.below(2) === 0 ? new Image(Container.open(storage), source) : new Image(Container.open(storage));
  });
  if (image === undefined) return;
  const opened = image;
  const revs: (string | null)[] = [null];
  await survive(READ_CODES, () => opened.info());
  await survive(READ_CODES, () => take(opened.refs()));
  await survive(READ_CODES, () => {
    for (const { number } of opened.versions()) if (revs.push(String(number)) > MAX_LISTED) break;
  });
  for (let count = 0; count < 3; count++) {
    const rev = REVISIONS[random.below(REVISIONS.length)] as string;
    if (await survive(READ_CODES, () => opened.resolve(rev))) revs.push(rev);
  }
  const anyRev = (): string | null => revs[random.below(revs.length)] as string | null;
  await survive(READ_CODES, () => opened.version(anyRev() ?? 1));
  for (let count = 0; count < 2; count++) {
    const rev = anyRev();
    await survive(READ_CODES, () => readSome(opened, rev, random));
    await survive(READ_CODES, () => take(opened.diff(rev, anyRev())));
  }
  await survive(READ_CODES, async () => {
    const rev = anyRev();
    const end = Math.min(opened.sizeOf(rev), READ_BYTES);
    for await (const piece of opened.readablePieces(rev, 0, end, () => undefined)) take([piece]);
  });
  await survive(READ_CODES, async () => {
    const { errors } = await opened.check({ data: random.below(3) > 0 });
    for (const { message } of errors) if (message === '') throw new Error('check finds something without a name');
  });
}

/** Repairs a container; what comes out can be opened, unless nothing could be done. */
async function repair(bytes: Uint8Array): Promise<void> {
  const disk = MemoryDisk.from(bytes);
  const isRepaired = await survive(WRITE_CODES, async () => {
    const image = new Image(Container.open(new MemoryStorage(disk), { damage: 'accept' }));
    await image.repair();
    image.close();
  });
  if (isRepaired) new Image(Container.open(new MemoryStorage(disk)));
}

/** Opens a container for writing and does a little of everything. */
export async function writeTo(bytes: Uint8Array, random: SeededRandom): Promise<void> {
  if (random.below(3) === 0) {
    await repair(bytes);
    return;
  }
  const disk = MemoryDisk.from(bytes);
  let image: Image | undefined;
  await survive(WRITE_CODES, () => {
    image = new Image(Container.open(new MemoryStorage(disk)));
  });
  if (image === undefined) return;
  const opened = image;
  await survive(WRITE_CODES, async () => {
    const { sizeBytes } = opened.info();
    const length = Math.min(sizeBytes, 1 + random.below(5000));
    await opened.write(Math.floor(random.next() * (sizeBytes - length)), random.bytes(length));
    await opened.commit({ message: 'fuzz', timeSeconds: 1, allowEmpty: true });
  });
  if (random.below(2) === 0) {
    await survive(WRITE_CODES, () =>
      opened.checkout(REVISIONS[random.below(REVISIONS.length)] as string, { force: true }),
    );
    await survive(WRITE_CODES, () => opened.deleteVersions(['1']));
  }
  await survive(WRITE_CODES, () => opened.gc());
  await survive(WRITE_CODES, () => opened.setTag('fuzz', 'HEAD'));
  opened.close();
  // What a writer made of it must be as bearable as what it found.
  await survive(READ_CODES, () => new Image(Container.open(new MemoryStorage(disk, { readOnly: true }))).check());
}

/** The decoders of headers and slots alone. */
export async function decodeSlots(bytes: Uint8Array): Promise<void> {
  await survive(READ_CODES, () => decodeDocument(bytes, 'fuzz'));
  await survive(READ_CODES, () => decodeHeader(bytes, 'fuzz'));
  await survive(READ_CODES, () => readSlots(bytes.subarray(0, SLOT_BYTES), bytes.subarray(SLOT_BYTES), 'fuzz'));
}

const LAYOUTS = [extentLayout, recordLayout('fuzz'), spaceLayout] as const;

/** The decoders of pages, tables and records alone. */
export async function decodeRecords(bytes: Uint8Array, random: SeededRandom): Promise<void> {
  const layout = LAYOUTS[random.below(LAYOUTS.length)];
  await survive(READ_CODES, () => decodeNode(layout as typeof extentLayout, bytes, 8192));
  const blockBytes = 512 << random.below(8);
  await survive(READ_CODES, () => decodeChunkTable(bytes, blockBytes, 'fuzz'));
  await survive(READ_CODES, () => decodeSegmentEntry(bytes));
  await survive(READ_CODES, () => decodeVersion(bytes, 7));
  await survive(READ_CODES, () => decompress(bytes, new Uint8Array(blockBytes), 8192, 'many'));
}
