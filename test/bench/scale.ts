import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import type { LockableStorage } from '../../src/storage/storage.ts';
import { SeededRandom } from '../support/random.ts';

export const SCALE_BLOCK_BYTES = 4096;

export interface Scale {
  readonly sizeBytes: number;
  readonly versions: number;
  readonly extents: number;
}

/** Two images of one kind, far apart in all three. */
export const SMALLEST: Scale = { sizeBytes: 2 ** 30, versions: 10, extents: 100 };
export const LARGEST: Scale = { sizeBytes: 8 * 2 ** 40, versions: 10_000, extents: 1_000_000 };

function stepBytes({ sizeBytes, extents }: Scale): number {
  return Math.floor(sizeBytes / SCALE_BLOCK_BYTES / extents) * SCALE_BLOCK_BYTES;
}

/** Where the extent in the middle of the disk begins. */
export function middleOf(scale: Scale): number {
  return Math.floor(scale.extents / 2) * stepBytes(scale);
}

export function describeScale({ sizeBytes, versions, extents }: Scale): string {
  const size = sizeBytes >= 2 ** 40 ? `${sizeBytes / 2 ** 40} TiB` : `${sizeBytes / 2 ** 30} GiB`;
  return `${size}, ${versions.toLocaleString('en')} versions, ${extents.toLocaleString('en')} extents`;
}

/** An image of that scale: every extent is one block, apart from its neighbours. */
export async function buildScale(storage: LockableStorage, scale: Scale): Promise<void> {
  const { sizeBytes, versions, extents } = scale;
  const container = Container.create(storage, { sizeBytes, compression: { codec: 'zstd', level: 1 } }, { sync: 'off' });
  const image = new Image(container);
  const random = new SeededRandom(extents + versions);
  const block = new Uint8Array(SCALE_BLOCK_BYTES).fill(1);
  const stamp = new DataView(block.buffer);
  const step = stepBytes(scale);
  for (let index = 0; index < extents; index++) {
    stamp.setUint32(0, index);
    await image.write(index * step, block);
  }
  await image.commit({ message: 'base', timeSeconds: 1 });
  for (let version = 1; version < versions; version++) {
    stamp.setUint32(0, extents + version);
    await image.write(random.below(extents) * step, block);
    await image.commit({ message: `version ${version}`, timeSeconds: version });
  }
}
