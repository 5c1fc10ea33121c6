import { createHash } from 'node:crypto';
import type { Image } from '../../src/image/image.ts';
import { noise, readAll, sourceOf, TIME, text } from './image.ts';
import type { SeededRandom } from './random.ts';

/** Everything that users can see of a container, as one string to compare. */
export async function stateOf(image: Image): Promise<string> {
  const digest = async (rev: string | null): Promise<string> =>
    createHash('sha1')
      .update(await readAll(image, rev))
      .digest('hex');
  const versions: unknown[] = [];
  for (const { number, id, parent, next, message, sizeBytes, tags, branches, isHead } of image.versions()) {
    versions.push([number, id, parent, next, message, sizeBytes, tags, branches, isHead, await digest(String(number))]);
  }
  return JSON.stringify([versions, image.refs(), image.info().head, await digest(null)], undefined, 1);
}

/** Takes one step of a random history, which changes what others see once or not at all. */
export async function randomStep(image: Image, random: SeededRandom): Promise<string> {
  if (random.below(10) > 0) return simpleStep(image, random, 'alone');
  const taken = await image.transaction(async () => {
    const steps: string[] = [];
    for (let left = 1 + random.below(6); left > 0; left--) steps.push(await simpleStep(image, random, 'within'));
    return steps;
  });
  return `transaction of ${taken.join(', ')}`;
}

async function simpleStep(image: Image, random: SeededRandom, where: 'alone' | 'within'): Promise<string> {
  const { sizeBytes, head, versionCount } = image.info();
  const bytes = (length: number): Uint8Array =>
    random.below(2) === 0 ? noise(length, random.below(1e6)) : text(length, random.below(9));
  const anyVersion = (): string => {
    const numbers = [...image.versions()].map(({ number }) => number);
    return String(numbers[random.below(numbers.length)]);
  };
  const commit = async (): Promise<string> => {
    const tag = random.below(4) === 0 ? { tag: `t${random.below(1e9)}` } : {};
    await image.commit({
      message: 'x'.repeat(random.below(300)),
      timeSeconds: TIME + versionCount,
      allowEmpty: true,
      ...tag,
    });
    return 'commit';
  };
  const lot = random.below(23);
  if (lot < 6 && sizeBytes > 0) {
    const start = random.below(sizeBytes);
    await image.write(start, bytes(1 + random.below(Math.min(sizeBytes - start, 9000))));
    if (random.below(3) > 0) await image.publish();
    return 'write';
  }
  if (lot < 8 && sizeBytes > 0) {
    const start = random.below(sizeBytes);
    await image.zero(start, random.below(sizeBytes - start));
    await image.publish();
    return 'zero';
  }
  if (lot < 13 || versionCount === 0) return commit();
  if (lot < 15) {
    const branch = random.below(3) === 0 ? { branch: `b${random.below(1e9)}` } : {};
    await image.checkout(anyVersion(), { force: true, ...branch });
    return 'checkout';
  }
  if (lot < 17) {
    const victim = anyVersion();
    const { branches, isHead } = image.version(victim);
    const [branch] = branches;
    if (isHead || branch === head.branch) return 'nothing';
    if (branch === undefined) await image.deleteVersions([victim]);
    else await image.deleteRef(branch, 'branch');
    return 'delete';
  }
  if (lot < 19) {
    if (where === 'within') return 'nothing';
    await image.gc({ compact: random.below(2) === 0 });
    return 'gc';
  }
  if (lot === 22) {
    await image.resize(random.below(80_000), { shrink: true });
    await image.publish();
    return 'resize';
  }
  if (lot < 21) return nameSomething(image, random, anyVersion());
  if (head.dirty) return commit();
  await image.importFrom(
    sourceOf(bytes(random.below(60_000)), { length: random.below(2) === 0 ? 'known' : 'unknown' }),
    { message: 'import', timeSeconds: TIME },
  );
  return 'import';
}

async function nameSomething(image: Image, random: SeededRandom, version: string): Promise<string> {
  const free = image.refs().filter(({ kind, name }) => kind === 'tag' || name !== image.info().head.branch);
  const ref = free[random.below(free.length + 1)];
  if (ref === undefined) {
    await image.setTag(`tag${random.below(1e9)}`, version);
    return 'tag';
  }
  if (random.below(2) === 0) {
    await image.deleteRef(ref.name, ref.kind);
    return 'delete a name';
  }
  if (ref.kind === 'tag') await image.setTag(ref.name, version, { force: true });
  else await image.setBranch(ref.name, version, { force: true });
  return 'move a name';
}
