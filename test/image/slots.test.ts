import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { SLOT_A_OFFSET, SLOT_B_OFFSET, SLOT_BYTES } from '../../src/format/layout.ts';
import { encodeSlot, readSlots } from '../../src/format/slot.ts';
import { Container } from '../../src/image/container.ts';
import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import {
  commit,
  expectBytes,
  expectClean,
  newDoomedImage,
  newImage,
  noise,
  openDisk,
  openStorage,
  readAll,
} from '../support/image.ts';
import { stateOf } from '../support/script.ts';
import { FailingStorage, WrappedStorage } from '../support/storages.ts';

function slotsOf(disk: MemoryDisk): [Uint8Array, Uint8Array] {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  disk.read(bytes, 0);
  return [bytes.subarray(0, SLOT_BYTES), bytes.subarray(SLOT_BYTES)];
}

function damage(disk: MemoryDisk, offset: number): void {
  disk.write(noise(64, 1), offset + 40);
}

/** A container with three versions and uncommitted changes. */
async function threeVersions(): Promise<{ disk: MemoryDisk; state: string }> {
  const { image, disk } = newDoomedImage();
  for (let seed = 1; seed <= 3; seed++) {
    await image.write(seed * 5000, noise(9000, seed));
    await commit(image);
  }
  await image.write(0, noise(100, 9));
  await image.publish();
  return { disk, state: await stateOf(image) };
}

describe('slots', () => {
  it('both hold the newest header at rest', async () => {
    const { disk } = await threeVersions();
    const [a, b] = slotsOf(disk);
    expectBytes(a, b);
    expect(readSlots(a, b, 'x').staleSlot).toBe(undefined);
  });

  it.each([
    ['first', SLOT_A_OFFSET],
    ['second', SLOT_B_OFFSET],
  ])('with the %s damaged the newest state is read, and the next publication mends it', async (_name, offset) => {
    const { disk, state } = await threeVersions();
    damage(disk, offset);
    expect(await stateOf(openDisk(disk, { readOnly: true }))).toBe(state);
    await expectClean(disk);
    const image = openDisk(disk);
    await image.setTag('mended', '1');
    const [a, b] = slotsOf(disk);
    expectBytes(a, b);
    await expectClean(disk);
    damage(disk, SLOT_A_OFFSET + SLOT_B_OFFSET - offset);
    expect(openDisk(disk).resolve('mended')).toBe(1);
  });

  it.each([1, 2, 3, 4, 5])(
    'with the first damaged survive a failure at change %d of the next publication',
    async (call) => {
      const { disk, state } = await threeVersions();
      damage(disk, SLOT_A_OFFSET);
      const storage = new FailingStorage(new MemoryStorage(disk), { kind: 'change', call, code: 'io', effect: 'half' });
      await openStorage(storage)
        .setTag('new', '1')
        .catch(() => {});
      const image = openDisk(disk);
      const names = image.refs().map(({ name }) => name);
      if (!names.includes('new')) expect(await stateOf(image)).toBe(state);
      await expectClean(disk);
    },
  );

  it('both damaged are corrupt, and a file that is none is told apart', async () => {
    const { disk } = await threeVersions();
    damage(disk, SLOT_A_OFFSET);
    damage(disk, SLOT_B_OFFSET);
    expect(() => openDisk(disk)).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringMatching(/both headers are damaged/) }),
    );
    disk.write(new Uint8Array(2 * SLOT_BYTES), 0);
    expect(() => openDisk(disk)).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringMatching(/is not an image of vsimg/) }),
    );
    disk.truncate(0);
    expect(() => openDisk(disk)).toThrow(/is not an image of vsimg/);
  });

  it.each([-1, 0, 1])(
    'of two containers are refused, as neither is known to be right (generation %d)',
    async (more) => {
      const { disk } = await threeVersions();
      const { generation, header } = readSlots(...slotsOf(disk), 'x');
      const foreign = encodeSlot(generation + more, { ...header, imageId: new Uint8Array(16) });
      for (const offset of [SLOT_A_OFFSET, SLOT_B_OFFSET]) {
        const copy = disk.clone();
        copy.write(foreign, offset);
        for (const readOnly of [true, false]) {
          expect(() => openDisk(copy, { readOnly })).toThrow(
            expect.objectContaining({ code: 'corrupt', message: expect.stringMatching(/different images/) }),
          );
        }
      }
    },
  );

  it('of which the newer needs what this program lacks are not rolled back by a repair; one that makes no sense is', async () => {
    const { disk } = await threeVersions();
    const { generation, header } = readSlots(...slotsOf(disk), 'x');
    const features = { ...header.features, incompatible: ['later'] };
    disk.write(encodeSlot(generation + 1, { ...header, features }), SLOT_A_OFFSET);
    const open = (options: { readonly damage?: 'accept' }) => Container.open(new MemoryStorage(disk), options);
    expect(() => open({})).toThrow(expect.objectContaining({ code: 'unsupported' }));
    expect(() => open({ damage: 'accept' })).toThrow(expect.objectContaining({ code: 'unsupported' }));
    disk.write(encodeSlot(generation + 1, { ...header, log: { ...header.log, youngMark: 2 ** 50 } }), SLOT_A_OFFSET);
    expect(() => open({})).toThrow(expect.objectContaining({ code: 'corrupt' }));
    expect(open({ damage: 'accept' }).generation).toBe(generation);
  });

  it('cut off behind the first one is read from that one', async () => {
    const { image, disk } = newDoomedImage();
    await commit(image);
    disk.truncate(SLOT_BYTES);
    expect(openDisk(disk, { readOnly: true }).info().versionCount).toBe(1);
  });
});

describe('features', () => {
  async function withFeatures(
    features: Partial<Record<'compatible' | 'readOnlyCompatible' | 'incompatible', string[]>>,
  ): Promise<MemoryDisk> {
    const { image, disk } = newDoomedImage();
    await image.write(0, noise(5000, 1));
    await commit(image);
    const { generation, header } = readSlots(...slotsOf(disk), 'x');
    const slot = encodeSlot(generation, { ...header, features: { ...header.features, ...features } });
    disk.write(slot, SLOT_A_OFFSET);
    disk.write(slot, SLOT_B_OFFSET);
    return disk;
  }

  it('that forbid writing leave reading', async () => {
    const disk = await withFeatures({ readOnlyCompatible: ['digests'] });
    expect(() => openDisk(disk)).toThrow(
      expect.objectContaining({ code: 'unsupported', message: expect.stringMatching(/'digests'/) }),
    );
    const image = openDisk(disk, { readOnly: true });
    expectBytes((await readAll(image, '1')).subarray(0, 5000), noise(5000, 1));
    expect(image.info().features.readOnlyCompatible).toEqual(['digests']);
    expect((await image.check({ data: true })).errors).toEqual([]);
  });

  it('that forbid everything are unsupported', async () => {
    const disk = await withFeatures({ incompatible: ['encryption'] });
    for (const readOnly of [true, false]) {
      expect(() => openDisk(disk, { readOnly })).toThrow(
        expect.objectContaining({ code: 'unsupported', message: expect.stringMatching(/'encryption'/) }),
      );
    }
  });

  it('that do no harm stay when it is written', async () => {
    const disk = await withFeatures({ compatible: ['hints'] });
    await commit(openDisk(disk));
    expect(openDisk(disk).info().features.compatible).toEqual(['hints']);
    await expectClean(disk);
  });
});

describe('a failed write', () => {
  it('leaves an image that refuses to write and a container that is whole', async () => {
    for (const kind of ['write', 'sync', 'change'] as const) {
      for (let call = 1; ; call++) {
        const { image, disk } = newImage();
        await image.write(0, noise(50_000, 1));
        await commit(image);
        const before = await stateOf(openDisk(disk));
        const storage = new FailingStorage(new MemoryStorage(disk), { kind, call, code: 'no-space', effect: 'half' });
        const failing = openStorage(storage);
        const attempt = async (): Promise<void> => {
          await failing.write(20_000, noise(90_000, 2));
          await commit(failing);
        };
        const error: unknown = await attempt().catch((reason: unknown) => reason);
        if (error === undefined) break;
        expect(error).toMatchObject({ code: 'no-space' });
        // Nothing is written any more, whatever becomes of the storage.
        const bytes = disk.bytes();
        await expect(commit(failing)).rejects.toBeInstanceOf(VsimgError);
        await expect(failing.setTag('x', '1')).rejects.toBeInstanceOf(VsimgError);
        expectBytes(disk.bytes(), bytes);
        const again = openDisk(disk);
        const after = await stateOf(again);
        if (again.info().versionCount === 1) expect(after).toBe(before);
        await expectClean(disk);
      }
    }
  });
});

/** Reads of both slots meet a writer in the middle of either, `times` times. */
class TornSlots extends WrappedStorage {
  times: number;
  private readings = 0;

  constructor(inner: WrappedStorage['inner'], times: number) {
    super(inner);
    this.times = times;
  }

  override read(buffer: Uint8Array, position: number): number {
    const length = super.read(buffer, position);
    if (position !== SLOT_A_OFFSET || this.times === 0) return length;
    this.times--;
    for (const slot of [SLOT_A_OFFSET, SLOT_B_OFFSET]) buffer.set(noise(64, ++this.readings), slot + 100);
    return length;
  }
}

it('a reader that meets both slots half-written looks again', async () => {
  const { disk, state } = await threeVersions();
  const storage = new TornSlots(new MemoryStorage(disk, { readOnly: true }), 5);
  const image = openStorage(storage);
  expect(storage.times).toBe(0);
  expect(await stateOf(image)).toBe(state);
});

it('slots that are damaged in another way at each reading do not keep a reader for ever', async () => {
  const { disk } = await threeVersions();
  const storage = new TornSlots(new MemoryStorage(disk, { readOnly: true }), Number.POSITIVE_INFINITY);
  expect(() => openStorage(storage)).toThrow(expect.objectContaining({ code: 'corrupt' }));
});
