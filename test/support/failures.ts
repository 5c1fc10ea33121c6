import { type ErrorCode, VsimgError } from '../../src/errors.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, noise, openDisk, openStorage, sourceOf, TIME, text } from './image.ts';
import type { SeededRandom } from './random.ts';
import { randomStep, stateOf } from './script.ts';
import { type CallKind, FailingStorage, type FailurePlan } from './storages.ts';

/** One change as a user of the library makes it: others see all of it or nothing. */
export interface Change {
  readonly name: string;
  readonly run: (image: Image) => Promise<unknown>;
}

const firstVersion = (image: Image): string => String([...image.versions()].at(-1)?.number);
const options = (image: Image) => ({
  message: 'more',
  timeSeconds: TIME + image.info().versionCount,
  allowEmpty: true,
});

/** A version that may go, if there is one. */
function spareVersion(image: Image): string | undefined {
  const spare = [...image.versions()].find(({ branches, isHead }) => branches.length === 0 && !isHead);
  return spare === undefined ? undefined : String(spare.number);
}

/** Every method of `Image` that changes something; each works on every history of `someHistory`. */
export const CHANGES: readonly Change[] = [
  {
    name: 'write',
    run: async (image) => {
      const size = image.sizeOf(null);
      await image.write(1, noise(size >>> 1, 5));
      await image.write(size >>> 2, text(size >>> 1, 6));
      await image.publish();
    },
  },
  {
    name: 'zero',
    run: async (image) => {
      await image.zero(700, image.sizeOf(null) - 1000);
      await image.publish();
    },
  },
  {
    name: 'resize',
    run: async (image) => {
      await image.resize(image.sizeOf(null) - 9001, { shrink: true });
      await image.publish();
    },
  },
  {
    name: 'transaction',
    run: (image) =>
      image.transaction(async () => {
        await image.write(1, noise(9000, 5));
        await image.commit({ ...options(image), tag: 'new-tag' });
        await image.write(300, noise(9000, 6));
        await image.setBranch('new-branch', firstVersion(image));
        await image.commit(options(image));
        await image.checkout(firstVersion(image), {});
        await image.write(9000, noise(1000, 7));
      }),
  },
  {
    name: 'commit',
    run: (image) => image.commit({ ...options(image), tag: 'new-tag' }),
  },
  { name: 'checkout', run: (image) => image.checkout(firstVersion(image), { force: true }) },
  {
    name: 'checkout of a new branch',
    run: (image) => image.checkout(firstVersion(image), { force: true, branch: 'new-branch' }),
  },
  { name: 'tag', run: (image) => image.setTag('new-tag', 'HEAD') },
  { name: 'branch', run: (image) => image.setBranch('new-branch', firstVersion(image)) },
  { name: 'moving a tag', run: (image) => image.setTag('moving', 'HEAD', { force: true }) },
  { name: 'deleting a tag', run: (image) => image.deleteRef('moving', 'tag') },
  {
    name: 'delete',
    run: async (image) => {
      const spare = spareVersion(image);
      if (spare !== undefined) await image.deleteVersions([spare]);
    },
  },
  { name: 'gc', run: (image) => image.gc() },
  { name: 'gc with compaction', run: (image) => image.gc({ compact: true }) },
  ...(['known', 'unknown'] as const).map((length) => ({
    name: `import of ${length} length`,
    run: async (image: Image) => {
      if (image.info().head.dirty) await image.commit(options(image));
      else await image.importFrom(sourceOf(noise(70_000, 8), { length }), options(image));
    },
  })),
];

/** A container after a random history of `steps` changes, with a tag 'moving' at its first version. */
export async function someHistory(random: SeededRandom, steps: number): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const image = new Image(
    Container.create(new MemoryStorage(disk), {
      sizeBytes: 20_000 + random.below(100_000),
      blockSizeBytes: [512, 4096][random.below(2)] as number,
      compression: random.below(2) === 0 ? { codec: 'none' } : { codec: 'zstd', level: 1 },
    }),
  );
  await image.write(100, noise(15_000, random.below(1e6)));
  await commit(image, 'first', { tag: 'moving' });
  for (let step = 0; step < steps; step++) await randomStep(image, random);
  if (!image.refs().some(({ name }) => name === 'moving')) await image.setTag('moving', firstVersion(image));
  await image.publish();
  if (image.sizeOf(null) < 20_000) await image.checkout(String(await widest(image)), { force: true });
  return disk;
}

/** A container whose changes fill several segments of the log, which are sealed while more is written. */
export async function largeHistory(): Promise<{ readonly disk: MemoryDisk; readonly changes: readonly Change[] }> {
  const disk = new MemoryDisk();
  const sizeBytes = 18 * 2 ** 20;
  const image = new Image(
    Container.create(new MemoryStorage(disk), { sizeBytes, compression: { codec: 'zstd', level: 1 } }),
  );
  const bytes = noise(14 * 2 ** 20, 1);
  await image.write(0, bytes.subarray(0, 5 * 2 ** 20));
  await commit(image, 'first');
  await image.write(2 ** 20, bytes.subarray(2 ** 21, 2 ** 22));
  await commit(image, 'second');
  await image.checkout('1', { branch: 'side' });
  await image.deleteRef('main', 'branch');
  await image.deleteVersions(['2']);
  const changes: readonly Change[] = [
    {
      name: 'a write of many segments',
      run: async (target) => {
        await target.write(1000, bytes);
        await target.publish();
      },
    },
    { name: 'an import of many segments', run: (target) => target.importFrom(sourceOf(bytes), options(target)) },
    { name: 'gc of many segments', run: (target) => target.gc() },
    { name: 'compaction of many segments', run: (target) => target.gc({ compact: true }) },
  ];
  return { disk, changes };
}

/** A version of at least 20,000 bytes, made if there is none. */
async function widest(image: Image): Promise<number> {
  const found = [...image.versions()].find(({ sizeBytes }) => sizeBytes >= 20_000);
  if (found !== undefined) return found.number;
  await image.checkout('HEAD', { force: true });
  const { version } = await image.importFrom(sourceOf(noise(30_000, 3)), options(image));
  return version.number;
}

export interface Trial {
  /** Failures that really happened. */
  readonly tried: number;
  /** What must not be, each with the way to see it again. */
  readonly losses: readonly string[];
}

type Plan = Pick<FailurePlan, 'kind' | 'code' | 'effect' | 'lasting'>;

const PLANS: readonly Plan[] = [
  { kind: 'read', code: 'io' },
  { kind: 'write', code: 'io', effect: 'half' },
  { kind: 'write', code: 'no-space' },
  { kind: 'sync', code: 'io' },
  { kind: 'truncate', code: 'io' },
  { kind: 'change', code: 'no-space', effect: 'half', lasting: true },
] satisfies readonly (Plan & { readonly kind: CallKind | 'change' })[];

/**
 * Makes `change` on copies of `start` with the first, second, third ... call of each kind failing, until none fails.
 * `every` skips: 3 tries the first, fourth, seventh ... call.
 */
export async function tryEveryFailure(start: MemoryDisk, change: Change, { every = 1 } = {}): Promise<Trial> {
  const before = await stateOf(openDisk(start.clone(), { readOnly: true }));
  const done = start.clone();
  const undisturbed = openDisk(done);
  await change.run(undisturbed);
  undisturbed.close();
  const after = await stateOf(openDisk(done, { readOnly: true }));
  const losses: string[] = [];
  let tried = 0;
  for (const plan of PLANS) {
    for (let call = 1; ; call += every) {
      const disk = start.clone();
      const storage = new FailingStorage(new MemoryStorage(disk), { ...plan, call });
      const complain = (what: string) =>
        losses.push(`${change.name}, ${plan.kind} ${call} fails with '${plan.code}': ${what}`);
      const allowed = await fail(storage, change, plan.code, complain);
      if (!storage.fired) break;
      tried++;
      const state = await stateOf(openDisk(disk, { readOnly: true }));
      const expected = { before: [before], either: [before, after], after: [after] }[allowed];
      if (!expected.includes(state)) complain(`neither the state before nor after:\n${state}`);
      await complainUnlessClean(disk, complain);
    }
  }
  return { tried, losses };
}

/** What state may be found after `change` has met a failing storage. */
async function fail(
  storage: FailingStorage,
  change: Change,
  code: ErrorCode,
  complain: (what: string) => void,
): Promise<'before' | 'either' | 'after'> {
  let image: Image;
  try {
    image = openStorage(storage);
  } catch (error) {
    if (!isOf(error, [code])) complain(`opening gives ${String(error)}`);
    return 'before';
  }
  try {
    await change.run(image);
    // Closing may have to cut the file, which is nobody's loss if it fails.
    return 'after';
  } catch (error) {
    if (!isOf(error, [code])) complain(`the error is ${String(error)}`);
    const published: unknown = await image.publish().catch((reason: unknown) => reason);
    if (published !== undefined && !isOf(published, ['refused', 'io'])) complain(`publishing gives ${published}`);
    return 'either';
  } finally {
    image.close();
  }
}

function isOf(error: unknown, codes: readonly ErrorCode[]): boolean {
  return error instanceof VsimgError && codes.includes(error.code);
}

async function complainUnlessClean(disk: MemoryDisk, complain: (what: string) => void): Promise<void> {
  const image = openDisk(disk, { readOnly: true });
  const { errors, leakedBytes } = await image.check({ data: true });
  image.close();
  for (const { message } of errors) complain(`check: ${message}`);
  if (leakedBytes > 0) complain(`check: ${leakedBytes} bytes are leaked`);
}
