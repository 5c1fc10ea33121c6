// Counted reads and writes of small commands over images of very different sizes.
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { SeededRandom } from '../support/random.ts';
import { CountingStorage } from '../support/storages.ts';

const BLOCK = 4096;

interface Scale {
  readonly sizeBytes: number;
  readonly versions: number;
  readonly extents: number;
}

/** An image of that scale: every extent is one block, apart from its neighbours. */
async function build({ sizeBytes, versions, extents }: Scale): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const container = Container.create(new MemoryStorage(disk), { sizeBytes, compression: { codec: 'zstd', level: 1 } });
  const image = new Image(container);
  const random = new SeededRandom(extents + versions);
  const block = new Uint8Array(BLOCK).fill(1);
  const step = Math.floor(sizeBytes / BLOCK / extents);
  for (let index = 0; index < extents; index++) {
    new DataView(block.buffer).setUint32(0, index);
    await image.write(index * step * BLOCK, block);
  }
  await image.commit({ message: 'base', timeSeconds: 1 });
  for (let version = 1; version < versions; version++) {
    new DataView(block.buffer).setUint32(0, extents + version);
    await image.write(random.below(extents) * step * BLOCK, block);
    await image.commit({ message: `version ${version}`, timeSeconds: version });
  }
  return disk;
}

async function drain(pieces: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of pieces);
}

const scales: Scale[] = process.env.ONLY
  ? [{ sizeBytes: 2 ** 30, versions: 10_000, extents: 100 }]
  : [
      { sizeBytes: 2 ** 30, versions: 10, extents: 100 },
      { sizeBytes: 8 * 2 ** 40, versions: 10, extents: 100 },
      { sizeBytes: 2 ** 30, versions: 10_000, extents: 100 },
      { sizeBytes: 8 * 2 ** 40, versions: 10, extents: 1_000_000 },
      { sizeBytes: 8 * 2 ** 40, versions: 10_000, extents: 1_000_000 },
    ];

console.log(
  '\n## Reads and bytes of small commands\n\n| image | info | read 4 KiB of version 1 | log -n 10 | write 4 KiB, commit |\n|---|---|---|---|---|',
);
for (const scale of scales) {
  const disk = await build(scale);
  const cells: string[] = [];
  const measure = async (action: (image: Image) => Promise<unknown>): Promise<void> => {
    const storage = new CountingStorage(new MemoryStorage(disk.clone()));
    await action(new Image(Container.open(storage)));
    const { reads, readBytes: bytesRead, writes, writtenBytes: bytesWritten } = storage.counts;
    cells.push(`${reads} reads, ${bytesRead} B${writes === 0 ? '' : `; ${writes} writes, ${bytesWritten} B`}`);
  };
  const middle = Math.floor(scale.extents / 2) * Math.floor(scale.sizeBytes / BLOCK / scale.extents) * BLOCK;
  await measure(async (image) => image.info());
  await measure((image) => drain(image.pieces('1', middle, middle + BLOCK)));
  await measure(async (image) => {
    const log = image.versions();
    for (let index = 0; index < 10; index++) log.next();
  });
  await measure(async (image) => {
    await image.write(middle, new Uint8Array(BLOCK).fill(9));
    await image.commit({ message: 'one more', timeSeconds: 2 });
  });
  const size = scale.sizeBytes >= 2 ** 40 ? `${scale.sizeBytes / 2 ** 40} TiB` : `${scale.sizeBytes / 2 ** 30} GiB`;
  console.log(`| ${size}, ${scale.versions} versions, ${scale.extents} extents | ${cells.join(' | ')} |`);
}
