import { describe, expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { CHANGES, type Change, someHistory } from '../support/failures.ts';
import { commit, expectBytes, expectClean, newDoomedImage, noise, openDisk, readAll, TIME } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { stateOf } from '../support/script.ts';
import { type CallKind, FailingStorage } from '../support/storages.ts';

function failing(disk: MemoryDisk, kind: CallKind | 'change', call: number): { image: Image; storage: FailingStorage } {
  const memory = new MemoryStorage(disk, { name: 'test.vsi' });
  const storage = new FailingStorage(memory, { kind, call, code: 'no-space', effect: 'half' });
  return { image: new Image(Container.open(storage)), storage };
}

describe('an image whose disk was full for a moment', () => {
  /** One change that fails at one write, and what follows; undefined when there is no such write. */
  async function tryOnce(
    history: MemoryDisk,
    change: Change,
    call: number,
  ): Promise<'recovered' | 'other' | undefined> {
    const disk = history.clone();
    const { image, storage } = failing(disk, 'write', call);
    const before = await stateOf(image);
    const failure: unknown = await change.run(image).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (!storage.fired) return undefined;
    const what = `${change.name}, write ${call}`;
    // gc does what it can.
    if (failure !== undefined && (await image.recover())) {
      const after = await stateOf(openDisk(disk.clone()));
      expect(await stateOf(image), what).toBe(after);
      if (change.name !== 'gc') expect([before, await stateOf(image)], what).toContain(after);
      await image.write(0, noise(5000, call));
      await image.commit({ message: 'goes on', timeSeconds: TIME, allowEmpty: true });
      expectBytes((await readAll(image, null)).subarray(0, 5000), noise(5000, call), what);
      expectBytes(await readAll(openDisk(disk.clone()), 'HEAD'), await readAll(image, null), what);
      await expectClean(disk);
      image.close();
      await expectClean(disk);
      return 'recovered';
    }
    return 'other';
  }

  it.each(CHANGES)('$name: goes on with what was published', async (change) => {
    const history = await someHistory(new SeededRandom(3), 12);
    let recovered = 0;
    for (let call = 1; ; call++) {
      const end = await tryOnce(history, change, call);
      if (end === undefined) break;
      if (end === 'recovered') recovered++;
    }
    expect(recovered).toBeGreaterThan(0);
  });

  /** A disk with one version, whose storage then fails at a call. */
  async function withVersion(kind: CallKind): Promise<{ image: Image; disk: MemoryDisk }> {
    const { image: first, disk } = newDoomedImage();
    await first.write(0, noise(9000, 1));
    await commit(first);
    first.close();
    return { image: failing(disk, kind, 1).image, disk };
  }

  it('does not go on when a sync failed, for then nobody knows what is there', async () => {
    const { image } = await withVersion('sync');
    await image.write(0, noise(9000, 2));
    await expect(image.publish()).rejects.toMatchObject({ code: 'no-space' });
    expect(await image.recover()).toBe(false);
    await expect(image.publish()).rejects.toMatchObject({ code: 'refused' });
  });

  it('forgets what its disk has in memory, and reads versions on that were open', async () => {
    const { image, disk } = await withVersion('write');
    const disks = await image.disks();
    const working = disks.working();
    const version = disks.version('1');
    await working.write(0, noise(9000, 2));
    await expect(working.flush()).rejects.toMatchObject({ code: 'no-space' });
    expect(await image.recover()).toBe(true);
    for (const each of [working, version.disk]) {
      const bytes = new Uint8Array(9000);
      each.read(0, bytes);
      expectBytes(bytes, noise(9000, 1));
    }
    await expect(image.deleteVersions(['1'])).rejects.toThrow();
    await working.write(4000, noise(9000, 3));
    await working.flush();
    expectBytes((await readAll(openDisk(disk.clone()), null)).subarray(4000, 13_000), noise(9000, 3));
    await version.close();
    await expectClean(disk);
  });
});
