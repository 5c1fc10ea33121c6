import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { CHANGES, someHistory, tryEveryFailure } from '../support/failures.ts';
import { commit, newDoomedImage, newImage, noise, openDisk, openStorage, sourceOf, TIME } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { stateOf } from '../support/script.ts';
import { FailingStorage } from '../support/storages.ts';

const SEEDS = [1, 2];

describe('a change that fails', () => {
  it.each(CHANGES)('$name: leaves the state before or after, and publishes nothing later', async (change) => {
    for (const seed of SEEDS) {
      const { tried, losses } = await tryEveryFailure(await someHistory(new SeededRandom(seed), 12), change);
      expect(losses, `seed ${seed}`).toEqual([]);
      expect(tried, `seed ${seed}`).toBeGreaterThan(2);
    }
  });

  /** Everything that changes an image. */
  function changesOf(image: Image): (() => Promise<unknown>)[] {
    const version = { message: 'x', timeSeconds: TIME, allowEmpty: true };
    return [
      () => image.publish(),
      () => image.write(0, noise(10, 1)),
      () => image.zero(0, 10),
      () => image.resize(0, { shrink: true }),
      () => image.transaction(() => image.write(0, noise(10, 1))),
      () => image.commit(version),
      () => image.checkout('1', { force: true }),
      () => image.setTag('later', '1'),
      () => image.setBranch('later', '1'),
      () => image.deleteRef('old', 'tag'),
      () => image.deleteVersions(['1']),
      () => image.gc(),
    ];
  }

  it('half-way is not published by any later one', async () => {
    let halfWay = 0;
    for (let call = 1; ; call++) {
      const { image, disk } = newDoomedImage();
      await image.write(0, noise(300_000, 1));
      await commit(image, 'first', { tag: 'old' });
      await commit(image, 'second');
      const before = await stateOf(openDisk(disk));
      const storage = new FailingStorage(new MemoryStorage(disk), { kind: 'read', call, code: 'io' });
      let half: Image;
      try {
        half = openStorage(storage);
      } catch {
        continue;
      }
      const failure: unknown = await half.write(100, noise(290_000, 2)).catch((reason: unknown) => reason);
      if (!storage.fired) break;
      expect(failure).toMatchObject({ code: 'io' });
      halfWay++;
      const bytes = disk.bytes();
      for (const later of changesOf(half)) {
        await expect(later()).rejects.toMatchObject({
          code: 'refused',
          message: expect.stringContaining('failed half-way'),
          hint: expect.stringMatching(/^open it again/),
          cause: failure,
        });
      }
      expect(Buffer.compare(disk.bytes(), bytes)).toBe(0);
      expect(half.info().versionCount).toBe(2);
      half.close();
      expect(await stateOf(openDisk(disk))).toBe(before);
    }
    expect(halfWay).toBeGreaterThan(2);
  });

  it('because its source fails is not published either', async () => {
    const { image, disk } = newImage();
    await image.write(0, noise(9000, 1));
    await commit(image);
    const before = await stateOf(openDisk(disk));
    const source = sourceOf(noise(3_000_000, 2));
    const broken = {
      ...source,
      async *pieces(length: number) {
        for await (const piece of source.pieces(length)) {
          yield piece;
          throw new VsimgError('not-found', 'the source is gone');
        }
      },
    };
    await expect(image.importFrom(broken, { message: 'x', timeSeconds: TIME })).rejects.toMatchObject({
      code: 'not-found',
    });
    await expect(image.publish()).rejects.toMatchObject({ code: 'refused' });
    image.close();
    expect(await stateOf(openDisk(disk))).toBe(before);
  });
});

describe('a change that is refused', () => {
  it('changes nothing and lets others go on', async () => {
    const { image, disk } = newImage();
    await image.write(0, noise(9000, 1));
    await commit(image, 'first', { tag: 'one' });
    await commit(image, 'second');
    await image.write(5000, noise(100, 2));
    const size = image.sizeOf(null);
    const version = { message: 'x', timeSeconds: TIME };
    const refusals: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['refused', () => image.write(size - 1, noise(2, 1))],
      ['refused', () => image.zero(size, 1)],
      ['usage', () => image.write(-1, noise(2, 1))],
      ['exists', () => image.commit({ ...version, tag: 'one' })],
      ['usage', () => image.commit({ ...version, tag: 'not a name' })],
      ['refused', () => image.importFrom(sourceOf(noise(10, 1)), version)],
      ['refused', () => image.checkout('1', {})],
      ['not-found', () => image.checkout('none', { force: true })],
      ['exists', () => image.checkout('1', { force: true, branch: 'one' })],
      ['exists', () => image.setTag('one', '2')],
      ['refused', () => image.setBranch('main', '1', { force: true })],
      ['not-found', () => image.deleteRef('none', 'tag')],
      ['refused', () => image.deleteRef('main', 'branch')],
      ['refused', () => image.deleteVersions(['1', '2'])],
      ['not-found', () => image.deleteVersions(['1', '7'])],
    ];
    for (const [code, refused] of refusals) await expect(refused()).rejects.toMatchObject({ code });
    const third = await image.commit(version);
    expect(third.number).toBe(3);
    await expect(image.commit(version)).rejects.toMatchObject({ code: 'refused' });
    await image.deleteVersions(['1']);
    expect([...openDisk(disk).versions()].map(({ number }) => number)).toEqual([3, 2]);
  });
});
