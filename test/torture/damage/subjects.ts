import { Container } from '../../../src/image/container.ts';
import { Image } from '../../../src/image/image.ts';
import { surveyContainer } from '../../../src/image/survey.ts';
import { MemoryDisk, MemoryStorage } from '../../../src/storage/memory.ts';
import { noise, TIME, text } from '../../support/content.ts';
import { goldenFixtures } from '../../support/fixtures.ts';

/** A whole container to damage. */
export interface Subject {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** 1 for each byte of a page or a chunk table. */
  readonly isMetadata: Uint8Array;
  /** 1 for each byte of a chunk. */
  readonly isData: Uint8Array;
}

interface Recipe {
  readonly name: string;
  readonly blockSizeBytes: number;
  readonly codec: 'none' | 'zstd';
  readonly versions: number;
  /** Scattered blocks that the first version writes: many of them make a map of several levels. */
  readonly blocks: number;
  readonly collect?: boolean;
}

const RECIPES: readonly Recipe[] = [
  { name: 'few versions, 4096, raw', blockSizeBytes: 4096, codec: 'none', versions: 3, blocks: 6 },
  { name: 'many versions, 512, zstd', blockSizeBytes: 512, codec: 'zstd', versions: 16, blocks: 40 },
  { name: 'map of levels, 512, raw', blockSizeBytes: 512, codec: 'none', versions: 4, blocks: 250 },
  { name: 'chunks of one block, 65536, zstd', blockSizeBytes: 65_536, codec: 'zstd', versions: 5, blocks: 8 },
  { name: 'collected, 4096, zstd', blockSizeBytes: 4096, codec: 'zstd', versions: 12, blocks: 150, collect: true },
];

export function commitTo(image: Image, message: string, tag?: string): Promise<unknown> {
  return image.commit({
    message,
    timeSeconds: TIME + image.info().versionCount,
    allowEmpty: true,
    ...(tag === undefined ? {} : { tag }),
  });
}

async function build(recipe: Recipe): Promise<Uint8Array> {
  const { blockSizeBytes, codec, versions, blocks } = recipe;
  const disk = new MemoryDisk();
  const diskBlocks = 3 * blocks + 20;
  const image = new Image(
    Container.create(new MemoryStorage(disk), {
      sizeBytes: diskBlocks * blockSizeBytes - 7,
      blockSizeBytes,
      compression: codec === 'none' ? { codec } : { codec, level: 1 },
      imageId: new Uint8Array(16).fill(blocks),
    }),
  );
  // Backwards, so that no extent goes on where the one before it ends.
  for (let block = blocks - 1; block >= 0; block--) {
    const bytes = block % 5 === 0 ? noise(blockSizeBytes / 2, block) : text(blockSizeBytes / 2, block);
    await image.write(block * 3 * blockSizeBytes, bytes);
  }
  for (let number = 1; number <= versions; number++) {
    await image.write(((number * 7) % diskBlocks) * (blockSizeBytes - 1), text(700, number));
    if (number === 2) await image.zero(blockSizeBytes, 3 * blockSizeBytes);
    await commitTo(image, `version ${number} ${'.'.repeat(number * 3)}`, number % 4 === 1 ? `t${number}` : undefined);
    if (number === 3) await image.checkout('2', { branch: 'side' });
  }
  if (recipe.collect === true) {
    for (let number = 4; number < versions; number += 2) await image.deleteVersions([String(number)]);
    await image.gc();
    await image.deleteVersions(['7']);
  }
  // An uncommitted change, so that some log blocks are young.
  await image.write(blockSizeBytes * 2, noise(300, 77));
  await image.publish();
  return disk.bytes();
}

async function describeSubject(name: string, bytes: Uint8Array): Promise<Subject> {
  const container = Container.open(new MemoryStorage(MemoryDisk.from(bytes), { readOnly: true }));
  const isData = new Uint8Array(bytes.length);
  const { used } = await surveyContainer(container, {
    segment: (_segment, table) => {
      for (const chunk of table.chunks)
        if (chunk !== undefined) isData.fill(1, chunk.place, chunk.place + chunk.storedBytes);
    },
  });
  const isMetadata = new Uint8Array(bytes.length);
  for (const { start, end } of used.ranges()) isMetadata.fill(1, start, end);
  for (let at = 0; at < bytes.length; at++) if (isData[at] === 1) isMetadata[at] = 0;
  return { name, bytes, isMetadata, isData };
}

/** The golden containers and richer ones; `few`: the two smallest, without the golden ones. */
export async function damageSubjects(options: { readonly few: boolean }): Promise<Subject[]> {
  const recipes = options.few ? RECIPES.slice(0, 2) : RECIPES;
  const subjects: Subject[] = [];
  for (const recipe of recipes) subjects.push(await describeSubject(recipe.name, await build(recipe)));
  if (options.few) return subjects;
  for (const { name, bytes } of await goldenFixtures()) subjects.push(await describeSubject(name, bytes));
  return subjects;
}
