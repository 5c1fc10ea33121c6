import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import type { Header } from '../../src/format/header.ts';
import { SLOT_A_OFFSET, SLOT_B_OFFSET, SLOT_BYTES } from '../../src/format/layout.ts';
import { encodeSlot, readSlots } from '../../src/format/slot.ts';
import type { CheckFinding } from '../../src/image/api.ts';
import type { MemoryDisk } from '../../src/storage/memory.ts';
import { commit, newDoomedImage, newImage, noise, openDisk, readAll, text } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';

const BLOCK = 4096;

/** Three versions; data of each at its own place, and a map of more than one page. */
async function damageable(): Promise<MemoryDisk> {
  const { image, disk } = newDoomedImage({ compression: { codec: 'zstd', level: 1 } });
  for (let seed = 1; seed <= 3; seed++) {
    await image.write(seed * 16 * BLOCK, seed === 2 ? text(10 * BLOCK, seed) : noise(10 * BLOCK, seed));
    for (let block = 100; block < 200; block += 2) await image.write(block * BLOCK, noise(BLOCK, 1000 * seed + block));
    await commit(image, `version ${seed}`, { tag: `t${seed}` });
  }
  return disk;
}

async function findings(
  disk: MemoryDisk,
  options: { readonly data?: boolean } = { data: true },
): Promise<readonly CheckFinding[]> {
  return (await openDisk(disk, { readOnly: true }).check(options)).errors;
}

function changeHeader(disk: MemoryDisk, change: (header: Header) => Header): void {
  const bytes = disk.bytes();
  const { generation, header } = readSlots(
    bytes.subarray(0, SLOT_BYTES),
    bytes.subarray(SLOT_BYTES, 2 * SLOT_BYTES),
    'x',
  );
  for (const offset of [SLOT_A_OFFSET, SLOT_B_OFFSET]) disk.write(encodeSlot(generation, change(header)), offset);
}

/** Where these bytes are stored. */
function placeOf(disk: MemoryDisk, bytes: Uint8Array): number {
  const place = Buffer.from(disk.bytes()).indexOf(bytes);
  expect(place).toBeGreaterThan(0);
  return place;
}

function flip(disk: MemoryDisk, place: number): void {
  const byte = new Uint8Array(1);
  disk.read(byte, place);
  disk.write(Uint8Array.of((byte[0] as number) ^ 0x10), place);
}

describe('check', () => {
  it('of a whole container finds nothing, and counts what it looked at', async () => {
    const { image } = newImage();
    await image.write(0, noise(100_000, 1));
    await commit(image);
    const report = await image.check({ data: true });
    expect(report).toMatchObject({
      errors: [],
      leakedBytes: 0,
      reclaimableBytes: 0,
      versionsChecked: 1,
      segmentsChecked: 1,
    });
    expect(report.dataBytesChecked).toBe(image.info().space.dataBytes);
    expect((await image.check()).dataBytesChecked).toBe(0);
  });

  it('takes what deleted versions held for reclaimable, not for leaked', async () => {
    const { image } = newImage({ sizeBytes: 2 ** 24 });
    for (let seed = 0; seed < 2; seed++) {
      for (let block = 0; block < 400; block += 2) await image.write(block * BLOCK, noise(BLOCK, seed * 1000 + block));
      await commit(image);
    }
    await image.deleteVersions(['1']);
    const report = await image.check();
    expect(report).toMatchObject({ errors: [], leakedBytes: 0 });
    expect(report.reclaimableBytes).toBeGreaterThan(0);
    await image.gc();
    expect(await image.check()).toMatchObject({ errors: [], leakedBytes: 0, reclaimableBytes: 0 });
  });

  it('says which bytes of which versions a rotten block takes away', async () => {
    const disk = await damageable();
    const place = placeOf(disk, noise(10 * BLOCK, 1).subarray(3 * BLOCK, 4 * BLOCK));
    flip(disk, place + 17);
    const errors = await findings(disk);
    expect(errors.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(`data at ${place} has a wrong checksum`),
    );
    // Exactly that block, in all three versions and in the working state.
    const { lost } = await openDisk(disk, { readOnly: true }).check({ data: true });
    expect(lost).toEqual([{ guestOffset: 19 * BLOCK, lengthBytes: BLOCK, versions: [[1, 3]], working: true }]);
    expect(await findings(disk, {})).toEqual([]);
    await expect(readAll(openDisk(disk), '2')).rejects.toMatchObject({
      code: 'corrupt',
      guestOffset: expect.any(Number),
    });
  });

  it('finds a file that was cut', async () => {
    const disk = await damageable();
    disk.truncate(disk.sizeBytes - 2000);
    expect((await findings(disk)).length).toBeGreaterThan(0);
    disk.truncate(20_000);
    const errors = await findings(disk, {});
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.every(({ message }) => message.length > 10)).toBe(true);
  });

  it('never misses a byte of what is in use, and never throws', async () => {
    const disk = await damageable();
    const clean = disk.clone();
    const random = new SeededRandom(1);
    const image = openDisk(clean);
    const { end } = readSlots(
      clean.bytes().subarray(0, SLOT_BYTES),
      clean.bytes().subarray(SLOT_BYTES, 2 * SLOT_BYTES),
      'x',
    ).header.space;
    const whole = image.info().space;
    let quiet = 0;
    const rounds = 300;
    for (let round = 0; round < rounds; round++) {
      const copy = clean.clone();
      flip(copy, 2 * SLOT_BYTES + random.below(end - 2 * SLOT_BYTES));
      if ((await findings(copy)).length === 0) quiet++;
    }
    // Only free space may be changed without notice.
    const freeShare = whole.freeBytes / (end - 2 * SLOT_BYTES);
    expect(quiet / rounds).toBeLessThan(freeShare + 0.1);
  });

  it('reads the right bytes or fails, whichever byte is changed', async () => {
    const disk = await damageable();
    const image = openDisk(disk);
    const expected = await Promise.all(['1', '2', '3'].map((rev) => readAll(image, rev)));
    const random = new SeededRandom(2);
    for (let round = 0; round < 200; round++) {
      const copy = disk.clone();
      flip(copy, random.below(disk.sizeBytes));
      for (const [index, bytes] of expected.entries()) {
        const read = async (): Promise<Uint8Array> => readAll(openDisk(copy, { readOnly: true }), String(index + 1));
        const result: unknown = await read().catch((error: unknown) => error);
        if (result instanceof Uint8Array) expect(Buffer.compare(result, bytes)).toBe(0);
        else expect(result).toMatchObject({ name: 'VsimgError', code: 'corrupt' });
      }
    }
  });

  it.each<[string, (header: Header) => Header, RegExp]>([
    [
      'versions are counted wrong',
      (header) => ({ ...header, versionCount: 2 }),
      /header counts 2 versions, the version table holds 3/,
    ],
    [
      'free bytes are counted wrong',
      (header) => ({ ...header, space: { ...header.space, freeBytes: header.space.freeBytes + 1 } }),
      /free bytes/,
    ],
    [
      'HEAD is gone',
      (header) => ({ ...header, head: { branch: null, version: 9 } }),
      /HEAD names version 9, which is not there/,
    ],
    ['the counter is too low', (header) => ({ ...header, nextVersion: 3 }), /version 3 is above the header's counter/],
    [
      'the names are gone from the versions',
      (header) => ({ ...header, trees: { ...header.trees, marks: null } }),
      /is not listed with version/,
    ],
    [
      'the children are gone',
      (header) => ({ ...header, trees: { ...header.trees, children: null } }),
      /is not listed as a child/,
    ],
    [
      'the log is gone',
      (header) => ({ ...header, trees: { ...header.trees, log: null } }),
      /log blocks \d+ to \d+ are referred to, but in no segment/,
    ],
    [
      "pages of versions count as the working state's own",
      (header) => ({ ...header, working: { ...header.working, sharedGeneration: 1 } }),
      /its top page is from the future/,
    ],
    [
      'the data is counted wrong',
      (header) => ({ ...header, log: { ...header.log, dataBytes: 7 } }),
      /header counts 7 bytes of data/,
    ],
    [
      'the reserve lies on records',
      (header) => ({ ...header, space: { ...header.space, reserve: [{ start: 8192, end: 8300 }] } }),
      /listed as free but in use/,
    ],
    [
      'two trees are one',
      (header) => ({ ...header, trees: { ...header.trees, children: header.trees.versions } }),
      /./,
    ],
  ])('says so when %s', async (_name, change, message) => {
    const disk = await damageable();
    changeHeader(disk, change);
    const errors = await findings(disk, {});
    expect(errors.map((finding) => finding.message).join('\n')).toMatch(message);
  });

  it('finds that the file is shorter than its header says, also where nothing is lost; writers refuse it', async () => {
    const disk = await damageable();
    changeHeader(disk, (header) => ({ ...header, space: { ...header.space, end: header.space.end + 1000 } }));
    expect((await findings(disk, {})).map(({ message }) => message).join()).toContain('1000 of its bytes are missing');
    expect(openDisk(disk, { readOnly: true }).info().space.missingBytes).toBe(1000);
    expect(() => openDisk(disk)).toThrow(/the file was cut: 1000 of its bytes are missing at the end/);
  });

  it('counts a leak', async () => {
    const disk = await damageable();
    const before = openDisk(disk).info().space;
    changeHeader(disk, (header) => ({ ...header, space: { ...header.space, end: header.space.end + 1000 } }));
    expect(before.fileBytes).toBe(disk.sizeBytes);
    disk.truncate(disk.sizeBytes + 1000);
    expect(await openDisk(disk).check()).toMatchObject({ errors: [], leakedBytes: 1000 });
  });

  it('ends in bounded time with the number of findings bounded, whatever is in the file', async () => {
    const disk = await damageable();
    const random = new SeededRandom(3);
    for (let round = 0; round < 40; round++) {
      const copy = disk.clone();
      for (let count = 0; count < 60; count++)
        copy.write(random.bytes(1 + random.below(40)), 2 * SLOT_BYTES + random.below(copy.sizeBytes - 2 * SLOT_BYTES));
      const errors: unknown = await findings(copy).catch((error: unknown) => error);
      if (errors instanceof VsimgError) expect(errors.code).toBe('corrupt');
      else expect((errors as CheckFinding[]).length).toBeLessThanOrEqual(200);
    }
  });
});
