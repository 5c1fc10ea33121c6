import { Container } from '../../../src/image/container.ts';
import { Image } from '../../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../../src/storage/memory.ts';
import { noise, TIME, text } from '../../support/content.ts';

export interface Seed {
  readonly name: string;
  readonly bytes: Uint8Array;
}

interface Shape {
  readonly block: number;
  readonly codec: 'none' | 'zstd';
  readonly versions: number;
  /** Blocks that each version writes, scattered. */
  readonly scatter: number;
  readonly blocks: number;
  readonly collect?: boolean;
}

const SHAPES: Readonly<Record<string, Shape>> = {
  empty: { block: 4096, codec: 'none', versions: 0, scatter: 0, blocks: 10 },
  one: { block: 4096, codec: 'zstd', versions: 1, scatter: 2, blocks: 40 },
  'raw 512': { block: 512, codec: 'none', versions: 4, scatter: 8, blocks: 300 },
  'zstd 512': { block: 512, codec: 'zstd', versions: 5, scatter: 30, blocks: 900 },
  'zstd 65536': { block: 65_536, codec: 'zstd', versions: 3, scatter: 2, blocks: 5 },
  history: { block: 512, codec: 'zstd', versions: 14, scatter: 2, blocks: 60 },
  'levels of maps': { block: 512, codec: 'zstd', versions: 2, scatter: 280, blocks: 2000 },
  collected: { block: 512, codec: 'zstd', versions: 8, scatter: 24, blocks: 800, collect: true },
};

/** Small containers of every kind, made with the checksums of this program, whatever they are. */
export async function seeds(): Promise<Seed[]> {
  const list: Seed[] = [];
  for (const [name, shape] of Object.entries(SHAPES)) list.push({ name, bytes: await build(shape) });
  return list;
}

async function build({ block, codec, versions, scatter, blocks, collect }: Shape): Promise<Uint8Array> {
  const disk = new MemoryDisk();
  const image = new Image(
    Container.create(new MemoryStorage(disk), {
      sizeBytes: blocks * block - 5,
      blockSizeBytes: block,
      compression: codec === 'none' ? { codec } : { codec, level: 1 },
      imageId: new Uint8Array(16).fill(blocks & 0xff),
    }),
  );
  for (let number = 1; number <= versions; number++) {
    // Backwards and apart, so that every block is an extent of its own.
    for (let index = scatter; index > 0; index--) {
      const at = ((index * 7 + number * 3) % blocks) * block;
      await image.write(at, (number + index) % 9 === 0 ? noise(200, index) : text(300, number + index));
    }
    await image.commit({
      message: `version ${number}`,
      timeSeconds: TIME + number,
      allowEmpty: true,
      ...(number % 3 === 1 ? { tag: `t${number}` } : {}),
    });
    if (number === 2) await image.checkout('1', { branch: 'side' });
  }
  if (collect === true) {
    await image.deleteVersions(['4', '6']);
    await image.gc();
    await image.deleteVersions(['5']);
  }
  if (versions > 1) await image.write(0, noise(100, 7));
  await image.publish();
  return disk.bytes();
}
