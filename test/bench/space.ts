// What maps and versions cost in the container: bytes counted, nothing timed.
import { randomBytes } from 'node:crypto';
import type { Extents } from '../../src/format/extent-page.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { type Child, isLeaf, isStored, type TreeNode } from '../../src/map/node.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { openFileSource } from '../../src/storage/source.ts';
import { SeededRandom } from '../support/random.ts';
import { realDisks } from './real-disk.ts';
import type { Figure, Report } from './report.ts';
import type { BenchOptions } from './workbench.ts';

const BLOCK = 4096;
const MIB = 2 ** 20;
const random = new SeededRandom(7);

function fresh(count: number): Uint8Array {
  return Uint8Array.from(randomBytes(count));
}

/** Bytes of all pages of the working map, or of its inline root. */
function mapBytes({ map }: Container): number {
  const root = map.tree.savedRoot;
  if (root === null) return 0;
  if (root instanceof Uint8Array) return root.length;
  let total = root.lengthBytes;
  const visit = (node: TreeNode<number, Extents>): void => {
    if (isLeaf(node)) return;
    node.children.forEach((child: Child<number, Extents>, index) => {
      if (isStored(child)) total += child.lengthBytes;
      visit(map.tree.childNode(node, index, undefined));
    });
  };
  const top = map.tree.topNode();
  if (top !== null) visit(top);
  return total;
}

function open(disk: MemoryDisk): Image {
  return new Image(Container.open(new MemoryStorage(disk)));
}

async function rewrites(): Promise<Figure[]> {
  const disk = new MemoryDisk();
  const image = new Image(Container.create(new MemoryStorage(disk), { sizeBytes: 512 * MIB }));
  for (let piece = 0; piece < 512; piece++) await image.write(piece * MIB, fresh(MIB));
  await image.commit({ message: 'random data', timeSeconds: 1 });
  const apart = disk.clone();
  const before = disk.sizeBytes;
  for (let index = 0; index < 100; index++) await image.write(random.below(131_072) * BLOCK, fresh(BLOCK));
  await image.commit({ message: 'together', timeSeconds: 2 });
  for (let index = 0; index < 100; index++) {
    const one = open(apart);
    await one.write(random.below(131_072) * BLOCK, fresh(BLOCK));
    await one.publish();
  }
  const last = open(apart);
  await last.commit({ message: 'one by one', timeSeconds: 2 });
  await last.gc();
  return [
    {
      what: '100 random 4 KiB rewrites of 512 MiB, together',
      value: (disk.sizeBytes - before) / MIB,
      atMost: 0.45,
      unit: 'MiB',
    },
    {
      what: 'the same as 100 `write` commands, after `gc`',
      value: (apart.sizeBytes - before) / MIB,
      atMost: 0.45,
      unit: 'MiB',
    },
  ];
}

async function imported(path: string): Promise<Figure[]> {
  const disk = new MemoryDisk();
  const container = Container.create(new MemoryStorage(disk), { sizeBytes: 0 });
  const image = new Image(container);
  await image.importFrom(openFileSource(path), { message: 'imported', timeSeconds: 1 });
  const gib = container.workingSizeBytes / 2 ** 30;
  const map = mapBytes(container);
  const before = disk.sizeBytes;
  const versions = 10_000;
  for (let version = 0; version < versions; version++) {
    await image.write(random.below(container.workingSizeBytes / BLOCK) * BLOCK, fresh(BLOCK));
    await image.commit({ message: 'one block', timeSeconds: version });
  }
  await image.gc();
  return [
    { what: `interval map of an imported ${gib} GiB ext4 disk`, value: map / gib, atMost: 2048, unit: 'B per GiB' },
    {
      what: 'a version that changes one block of it, besides the block (10,000 versions, after `gc`)',
      value: (disk.sizeBytes - before) / versions - BLOCK,
      atMost: 1024,
      unit: 'B',
    },
  ];
}

async function scattered(): Promise<Figure[]> {
  const small = 512;
  const extents = 1_000_000;
  const blocks = 4 * extents;
  const disk = new MemoryDisk();
  const container = Container.create(new MemoryStorage(disk), {
    sizeBytes: 8 * 2 ** 40,
    blockSizeBytes: small,
    compression: { codec: 'none' },
  });
  const image = new Image(container);
  const order = random.shuffled(Array.from({ length: blocks }, (_, block) => block)).slice(0, extents);
  const block = new Uint8Array(small).fill(1);
  for (const [index, at] of order.entries()) {
    new DataView(block.buffer).setUint32(0, index);
    await image.write(at * small, block);
  }
  await image.publish();
  const count = [...container.map.extents(0, blocks)].length;
  const bytes = mapBytes(container);
  const memory = memoryOfMap(container);
  await image.commit({ message: 'scattered', timeSeconds: 1 });
  const before = disk.sizeBytes;
  const versions = 10_000;
  for (let version = 0; version < versions; version++) {
    new DataView(block.buffer).setUint32(0, extents + version);
    await image.write(random.below(blocks) * small, block);
    await image.commit({ message: 'one block', timeSeconds: version });
  }
  await image.gc();
  return [
    {
      what: `map of ${extents.toLocaleString('en')} blocks written in random order (${count.toLocaleString('en')} extents)`,
      value: bytes / count,
      atMost: 6.5,
      unit: 'B per extent',
    },
    { what: 'the same in memory, all leaves held', value: memory / count, atMost: 24, unit: 'B per extent' },
    {
      what: 'a version that changes one block of it, besides the block (10,000 versions, after `gc`)',
      value: (disk.sizeBytes - before) / versions - small,
      atMost: 2048,
      unit: 'B',
    },
  ];
}

/** Heap and buffers that all leaves of a map take, decoded. */
function memoryOfMap(container: Container): number {
  const used = (): number => {
    (globalThis as { gc?: () => void }).gc?.();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  const held: Extents[] = [];
  for (const { leaf } of container.map.tree.leaves()) held.push(leaf.slice());
  const after = used();
  return held.length === 0 ? 0 : after - before;
}

export async function run({ size }: BenchOptions): Promise<Report> {
  const [disk] = realDisks(size) as [string];
  return { title: 'Bytes', figures: [...(await rewrites()), ...(await imported(disk)), ...(await scattered())] };
}
