import { createHash } from 'node:crypto';
import { VsimgError } from '../../../src/errors.ts';
import { RECORDS_OFFSET, SLOT_BYTES } from '../../../src/format/layout.ts';
import { readSlot } from '../../../src/format/slot.ts';
import { Container } from '../../../src/image/container.ts';
import { Image } from '../../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../../src/storage/memory.ts';
import type { LockableStorage } from '../../../src/storage/storage.ts';
import { turnGiver } from '../../../src/storage/turns.ts';
import { WrappedStorage } from '../../support/storages.ts';

/** A way to look at a container, from opening to the last byte, and what it must come to. */
export interface Reader {
  readonly name: string;
  readonly expected: string;
  /** 1 for each byte behind the slots that it reads. */
  readonly touched: Uint8Array;
  look(image: Image): Promise<string>;
}

type Look = Pick<Reader, 'name' | 'look'>;

class RecordingStorage extends WrappedStorage {
  readonly touched: Uint8Array;

  constructor(inner: LockableStorage) {
    super(inner);
    this.touched = new Uint8Array(inner.size());
  }

  override read(buffer: Uint8Array, position: number): number {
    if (position >= RECORDS_OFFSET) this.touched.fill(1, position, position + buffer.length);
    return super.read(buffer, position);
  }
}

const READ_BYTES = 2 ** 22;

/** Up to 4 MiB from the beginning of a state and as many from its end. */
async function digestState(image: Image, rev: string | null): Promise<string> {
  const sizeBytes = image.sizeOf(rev);
  const hash = createHash('sha1').update(`${sizeBytes}`);
  const middle = Math.min(sizeBytes, READ_BYTES);
  for (const [start, end] of [
    [0, middle],
    [Math.max(middle, sizeBytes - READ_BYTES), sizeBytes],
  ] as const) {
    for await (const piece of image.pieces(rev, start, end)) {
      if (piece.kind === 'data') hash.update(piece.bytes);
      else hash.update(`hole ${piece.start} ${piece.end}`);
    }
  }
  return hash.digest('hex');
}

function looksAt(image: Image): Look[] {
  const revs = [null, ...[...image.versions()].map(({ number }) => String(number))];
  const looks: Look[] = [
    {
      name: 'info',
      look: async (image) => {
        // The length of the file is no part of what the container says.
        const { space: _, ...info } = image.info();
        if (info.head.dirty === null) throw new VsimgError('corrupt', 'info says that the working state is damaged');
        return JSON.stringify(info);
      },
    },
    { name: 'log', look: async (image) => JSON.stringify([...image.versions()]) },
    { name: 'refs', look: async (image) => JSON.stringify(image.refs()) },
  ];
  for (const [index, rev] of revs.entries()) {
    looks.push({ name: `read ${rev ?? 'working state'}`, look: (image) => digestState(image, rev) });
    const other = revs[index + 1];
    if (other !== undefined && other !== null)
      looks.push({
        name: `diff ${other} ${rev}`,
        look: async (image) => JSON.stringify([...image.diff(other, rev)]),
      });
  }
  return looks;
}

export function openBytes(storage: LockableStorage): Image {
  return new Image(Container.open(storage));
}

/** All readers of a container without damage. */
export async function readersOf(bytes: Uint8Array): Promise<Reader[]> {
  const disk = MemoryDisk.from(bytes);
  const readers: Reader[] = [];
  for (const look of looksAt(openBytes(new MemoryStorage(disk, { readOnly: true })))) {
    const storage = new RecordingStorage(new MemoryStorage(disk, { readOnly: true }));
    const expected = await look.look(openBytes(storage));
    readers.push({ ...look, expected, touched: storage.touched });
  }
  return readers;
}

/** Memory of native code is only given back between turns. */
const giveTurn = turnGiver();

/** What a reader comes to: what it must, a 'corrupt' error, or a loss. */
export async function outcome(reader: Reader, disk: MemoryDisk): Promise<'same' | 'corrupt' | string> {
  await giveTurn();
  try {
    const image = openBytes(new MemoryStorage(disk, { readOnly: true }));
    return (await reader.look(image)) === reader.expected ? 'same' : 'wrong result';
  } catch (error) {
    return describeError(error);
  }
}

/** 'found', 'corrupt' if it can not be opened, 'clean', or a loss. */
export async function checkOutcome(disk: MemoryDisk, options: { readonly data: boolean }): Promise<string> {
  await giveTurn();
  try {
    const image = openBytes(new MemoryStorage(disk, { readOnly: true }));
    return (await image.check(options)).errors.length > 0 ? 'found' : 'clean';
  } catch (error) {
    return describeError(error);
  }
}

export function describeError(error: unknown): string {
  if (!(error instanceof VsimgError)) return `escaped: ${error instanceof Error ? error.stack : String(error)}`;
  return error.code === 'corrupt' ? 'corrupt' : `wrong code '${error.code}': ${error.message}`;
}

/** Generation of each slot, undefined for one that is not whole. */
export function slotGenerations(disk: MemoryDisk): [number | undefined, number | undefined] {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  const whole = bytes.subarray(0, disk.read(bytes, 0));
  return [readSlot(whole.subarray(0, SLOT_BYTES))?.generation, readSlot(whole.subarray(SLOT_BYTES))?.generation];
}
