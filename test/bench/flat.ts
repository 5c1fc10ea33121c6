// Counted reads and writes of small commands over images of very different sizes.
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { CountingStorage } from '../support/storages.ts';
import type { Report } from './report.ts';
import { buildScale, describeScale, LARGEST, middleOf, SCALE_BLOCK_BYTES, type Scale, SMALLEST } from './scale.ts';
import type { BenchOptions } from './workbench.ts';

async function drain(pieces: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of pieces);
}

/** Between the smallest and the largest image, one thing grows at a time. */
const SCALES: readonly Scale[] = [
  SMALLEST,
  { ...SMALLEST, sizeBytes: LARGEST.sizeBytes },
  { ...SMALLEST, versions: LARGEST.versions },
  { ...LARGEST, versions: SMALLEST.versions },
  LARGEST,
];

export async function run({ size }: BenchOptions): Promise<Report> {
  const rows: string[] = [];
  for (const scale of size === 'full' ? SCALES : SCALES.slice(0, 2)) {
    const disk = new MemoryDisk();
    await buildScale(new MemoryStorage(disk), scale);
    const cells: string[] = [];
    const measure = async (action: (image: Image) => Promise<unknown>): Promise<void> => {
      const storage = new CountingStorage(new MemoryStorage(disk.clone()));
      await action(new Image(Container.open(storage)));
      const { reads, readBytes: bytesRead, writes, writtenBytes: bytesWritten } = storage.counts;
      cells.push(`${reads} reads, ${bytesRead} B${writes === 0 ? '' : `; ${writes} writes, ${bytesWritten} B`}`);
    };
    const middle = middleOf(scale);
    await measure(async (image) => image.info());
    await measure((image) => drain(image.pieces('1', middle, middle + SCALE_BLOCK_BYTES)));
    await measure(async (image) => {
      const log = image.versions();
      for (let index = 0; index < 10; index++) log.next();
    });
    await measure(async (image) => {
      await image.write(middle, new Uint8Array(SCALE_BLOCK_BYTES).fill(9));
      await image.commit({ message: 'one more', timeSeconds: 2 });
    });
    rows.push(`| ${describeScale(scale)} | ${cells.join(' | ')} |`);
  }
  return {
    title: 'Reads and bytes of small commands',
    figures: [],
    table: [
      '| image | info | read 4 KiB of version 1 | log -n 10 | write 4 KiB, commit |',
      '|---|---|---|---|---|',
      ...rows,
    ].join('\n'),
  };
}
