import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { VsimgError } from '../../src/errors.ts';
import type { VersionInfo } from '../../src/image/api.ts';
import { createImageFile, openImageFile } from '../../src/image/file.ts';
import type { Image } from '../../src/image/image.ts';
import { contentOf, findings, sha256, someContent } from './killed-image.ts';
import { SeededRandom } from './random.ts';

const KIB = 1024;
export const SOAK_BYTES = 1024 * KIB;
const MAX_VERSIONS = 12;
/** A writer that waits so long for the others has been forgotten. */
export const WAIT_SECONDS = 30;
const HASH_BYTES = 32;

export interface SoakOptions {
  readonly path: string;
  readonly seed: number;
  readonly milliseconds: number;
}

export interface SoakReport {
  readonly operations: number;
  readonly wrong: readonly string[];
}

/** Every state of the disk begins with the SHA-256 of the rest; a version's message is the SHA-256 of all. */
export function seal(bytes: Buffer): Buffer {
  bytes.set(createHash('sha256').update(bytes.subarray(HASH_BYTES)).digest());
  return bytes;
}

export function isSealed(bytes: Uint8Array): boolean {
  const hash = createHash('sha256').update(bytes.subarray(HASH_BYTES)).digest();
  return Buffer.compare(hash, bytes.subarray(0, HASH_BYTES)) === 0;
}

export async function makeSoakImage(path: string): Promise<void> {
  await createImageFile(path, { sizeBytes: SOAK_BYTES });
  const image = await openImageFile(path, { mode: 'write' });
  for (let seed = 1; seed <= 4; seed++) await commitChange(image, new SeededRandom(seed));
  image.close();
}

async function change(image: Image, random: SeededRandom): Promise<Buffer> {
  const bytes = await contentOf(image, null);
  const part = someContent(random, 1 + random.below(SOAK_BYTES >>> 2));
  bytes.set(part, HASH_BYTES + random.below(SOAK_BYTES - HASH_BYTES - part.length));
  await image.write(0, seal(bytes));
  return bytes;
}

async function commitChange(image: Image, random: SeededRandom): Promise<void> {
  const bytes = await change(image, random);
  const { number } = await image.commit({ message: sha256(bytes), timeSeconds: 1_700_000_000, allowEmpty: true });
  await image.setTag(`t${number % 5}`, String(number), { force: true });
}

async function deleteOld(image: Image, random: SeededRandom): Promise<void> {
  const held = new Set([
    image.info().head.version,
    ...image.refs().flatMap((ref) => (ref.kind === 'branch' ? [ref.version] : [])),
  ]);
  const numbers = [...image.versions()].map(({ number }) => number).filter((number) => !held.has(number));
  const count = Math.max(numbers.length - MAX_VERSIONS, random.below(3));
  if (numbers.length > 0 && count > 0) await image.deleteVersions(numbers.slice(-count).map(String));
}

type Action = (image: Image, random: SeededRandom) => Promise<void>;

const WRITER_ACTIONS: readonly Action[] = [
  commitChange,
  commitChange,
  deleteOld,
  async (image, random) => {
    await change(image, random);
    await image.publish();
  },
  async (image, random) => {
    const versions = [...image.versions()];
    const { number } = versions[random.below(versions.length)] as VersionInfo;
    await image.setTag('moving', String(number), { force: true });
  },
  async (image, random) => {
    const versions = [...image.versions()];
    const { number } = versions[random.below(versions.length)] as VersionInfo;
    await image.checkout(random.below(2) === 0 ? 'main' : String(number), { force: true });
  },
];

/** Someone who opens the image again and again, by the library. */
async function loop(
  { path, seed, milliseconds }: SoakOptions,
  mode: 'read' | 'read-long' | 'write',
  action: (image: Image, random: SeededRandom) => Promise<void>,
): Promise<SoakReport> {
  const random = new SeededRandom(seed);
  const wrong: string[] = [];
  const end = Date.now() + milliseconds;
  let operations = 0;
  while (Date.now() < end) {
    try {
      const image = await openImageFile(path, { mode, waitSeconds: WAIT_SECONDS });
      try {
        await action(image, random);
      } finally {
        image.close();
      }
      operations++;
    } catch (error) {
      wrong.push(`${mode}, seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
    }
    await setTimeout(0);
  }
  return { operations, wrong };
}

/** A version that was listed may have been deleted since. */
async function unlessDeleted(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof VsimgError) || error.code !== 'not-found') throw error;
  }
}

function anyOf(versions: readonly VersionInfo[], random: SeededRandom): VersionInfo {
  return versions[random.below(versions.length)] as VersionInfo;
}

function newest(image: Image, count: number): VersionInfo[] {
  const found: VersionInfo[] = [];
  for (const version of image.versions()) {
    found.push(version);
    if (found.length === count) break;
  }
  return found;
}

/** What can only be so in one state. */
export function requireOneState(
  state: { readonly versionCount: number; readonly head: number | null },
  versions: readonly { readonly number: number; readonly next: number | null; readonly parent: number | null }[],
): void {
  const numbers = versions.map(({ number }) => number);
  const fail = (what: string): never => {
    throw new Error(`two states in one: ${what}: ${JSON.stringify({ state, versions })}`);
  };
  if (versions.length < Math.min(10, state.versionCount)) fail('versions are missing');
  versions.forEach(({ next }, index) => {
    if (next !== (numbers[index - 1] ?? null)) fail('next');
  });
  if (versions.length !== state.versionCount) return;
  if (state.head !== null && !numbers.includes(state.head)) fail('head');
  for (const { parent } of versions) if (parent !== null && !numbers.includes(parent)) fail('parent');
}

async function readerAction(image: Image, random: SeededRandom): Promise<void> {
  switch (random.below(6)) {
    case 0: {
      const { info, versions } = image.inOneState(() => ({ info: image.info(), versions: newest(image, 10) }));
      requireOneState({ versionCount: info.versionCount, head: info.head.version }, versions);
      return;
    }
    case 1:
      await image.whileHeld(async () => {
        const { versionCount, head } = image.info();
        const versions = [];
        for (const version of image.versions()) {
          versions.push(version);
          if (random.below(4) === 0) await setTimeout(random.below(4));
        }
        requireOneState({ versionCount, head: head.version }, versions);
      });
      return;
    case 2:
      if (!isSealed(await contentOf(image, null))) throw new Error('the working state is torn');
      return;
    case 3:
      image.inOneState(() => image.refs().map(({ version }) => image.version(version)));
      return;
    default: {
      const { number, message } = anyOf(newest(image, 1 + random.below(20)), random);
      await unlessDeleted(async () => {
        const actual = sha256(await contentOf(image, String(number)));
        if (actual !== message) throw new Error(`version ${number} reads as ${actual} and should as ${message}`);
      });
    }
  }
}

/** Reads slowly: all it found at first must be there to the end. */
async function longReaderAction(image: Image, random: SeededRandom): Promise<void> {
  const versions = [...image.versions()];
  const { versionCount, head } = image.info();
  requireOneState({ versionCount, head: head.version }, versions);
  await setTimeout(random.below(100));
  for (let count = 0; count < 3; count++) {
    const { number, message } = anyOf(versions, random);
    const actual = sha256(await contentOf(image, String(number)));
    if (actual !== message) throw new Error(`version ${number} reads as ${actual} and should as ${message}`);
    await setTimeout(random.below(30));
    for (const { start, length } of image.diff(String(number), String(anyOf(versions, random).number)))
      if (start + length > SOAK_BYTES || length <= 0) throw new Error(`diff tells of ${length} bytes at ${start}`);
  }
  if (!isSealed(await contentOf(image, null))) throw new Error('the working state is torn');
  if (random.below(3) > 0) return;
  const [finding] = findings(await image.check({ data: true }));
  if (finding !== undefined) throw new Error(finding);
}

/** Who works on the image by the library, each best in a process of its own. */
export const LIBRARY_ACTORS = {
  writer: (options) =>
    loop(options, 'write', async (image, random) => {
      if (image.info().versionCount > 2 * MAX_VERSIONS) await deleteOld(image, random);
      await (WRITER_ACTIONS[random.below(WRITER_ACTIONS.length)] as Action)(image, random);
    }),
  collector: (options) =>
    loop(options, 'write', async (image, random) => {
      await image.gc({ compact: random.below(2) === 0 });
      await setTimeout(random.below(2));
    }),
  reader: (options) => loop(options, 'read', readerAction),
  longReader: (options) => loop(options, 'read-long', longReaderAction),
} satisfies { readonly [name: string]: (options: SoakOptions) => Promise<SoakReport> };

export type LibraryActor = keyof typeof LIBRARY_ACTORS;
