import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Header } from '../../src/format/header.ts';
import { SLOT_A_OFFSET, SLOT_B_OFFSET, SLOT_BYTES } from '../../src/format/layout.ts';
import { type Document, decodeDocument } from '../../src/format/msgpack.ts';
import { numberInKey } from '../../src/format/record-page.ts';
import { encodeSlot, readSlot, readSlots } from '../../src/format/slot.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { records } from '../../src/map/records.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { FOREIGN_HEADER, FOREIGN_RECORD } from '../support/fixtures.ts';
import { commit, expectBytes, expectClean, noise, openDisk, sourceOf } from '../support/image.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/v1/golden/foreign-fields.vsi', import.meta.url));

const newDisk = (): MemoryDisk => MemoryDisk.from(readFileSync(FIXTURE));

function slotsOf(disk: MemoryDisk): [Uint8Array, Uint8Array] {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  disk.read(bytes, 0);
  return [bytes.subarray(0, SLOT_BYTES), bytes.subarray(SLOT_BYTES)];
}

/** Every version number with what its record says, as it is stored. */
function recordsOf(disk: MemoryDisk): Map<number, Document> {
  const { trees } = Container.open(new MemoryStorage(disk, { readOnly: true }));
  return new Map(
    [...records(trees.versions)].map(({ key, value }) => [numberInKey(key), decodeDocument(value, 'test')]),
  );
}

function expectForeign(disk: MemoryDisk, without: readonly number[] = []): void {
  for (const slot of slotsOf(disk))
    expect(decodeDocument(readSlot(slot)?.headerBytes as Uint8Array, 'test')).toMatchObject({
      compatible: ['hints'],
      ...FOREIGN_HEADER,
    });
  const stored = recordsOf(disk);
  for (const number of [1, 2, 3, 4, 5].filter((version) => !without.includes(version)))
    expect(stored.get(number)).toMatchObject(FOREIGN_RECORD);
  // What is made now has none.
  for (const [number, record] of stored) if (number > 5) expect(Object.keys(record).sort()).toEqual([...'imprst']);
}

it('are in the fixture', () => expectForeign(newDisk()));

it.each<[string, (image: Image) => Promise<unknown>]>([
  ['a write', (image) => image.write(100, noise(3000, 1)).then(() => image.publish())],
  ['a commit', (image) => commit(image)],
  ['a checkout', (image) => image.checkout('v1.0', { force: true })],
  ['a new branch', (image) => image.checkout('1', { force: true, branch: 'new' })],
  ['another message', (image) => image.edits.amend('3', { message: 'better' })],
  ['a lock', (image) => image.edits.lock(['3'])],
  ['a tag', (image) => image.setTag('new', '1')],
  ['an import', (image) => image.importFrom(sourceOf(noise(70_000, 2)), { message: 'more', timeSeconds: 1 })],
])('%s keeps fields and features that this program does not know', async (_name, change) => {
  const disk = newDisk();
  await change(openDisk(disk));
  expectForeign(disk);
  await expectClean(disk);
});

it('deleting a version and collecting keep those of the others, also where records are written again', async () => {
  const disk = newDisk();
  const image = openDisk(disk);
  // Version 5 was made from version 2, and has its parent in its record.
  await image.deleteVersions(['2', '3']);
  expectForeign(disk, [2, 3]);
  expect(recordsOf(disk).get(5)).toMatchObject({ p: 1 });
  await image.write(0, noise(90_000, 5));
  await commit(image);
  await image.gc();
  expectForeign(disk, [2, 3]);
  await expectClean(disk);
});

it('a collection that moves the maps of versions keeps them', async () => {
  const disk = newDisk();
  const image = openDisk(disk);
  const roots = (): string =>
    JSON.stringify([...recordsOf(disk).values()].map(({ r }) => (Array.isArray(r) ? r : null)));
  // What is written and dropped again lies before what is written next.
  await image.write(0, noise(90_000, 1));
  await commit(image);
  for (let block = 190; block > 0; block -= 2) await image.write(block * 512, noise(512, block));
  await commit(image);
  const before = roots();
  await image.checkout('1', { force: true, branch: 'elsewhere' });
  await image.deleteVersions(['6']);
  await image.gc();
  expect(roots()).not.toBe(before);
  expectForeign(disk);
  await expectClean(disk);
});

function changeHeader(disk: MemoryDisk, change: (header: Header) => Header): void {
  const { generation, header } = readSlots(...slotsOf(disk), 'test');
  for (const offset of [SLOT_A_OFFSET, SLOT_B_OFFSET]) disk.write(encodeSlot(generation, change(header)), offset);
}

it.each<[string, (disk: MemoryDisk) => void]>([
  ['a header', (disk) => disk.write(noise(100, 1), SLOT_A_OFFSET + 60)],
  ['the number of versions', (disk) => changeHeader(disk, (header) => ({ ...header, versionCount: 77 }))],
  [
    'lists of names and children',
    (disk) => changeHeader(disk, (header) => ({ ...header, trees: { ...header.trees, marks: null, children: null } })),
  ],
  [
    'the map of a version',
    (disk) => {
      const root = recordsOf(disk).get(4)?.['r'] as readonly [number, number, number];
      disk.write(noise(20, 1), root[0] + 10);
    },
  ],
])('a repair of %s keeps them', async (_name, damage) => {
  const disk = newDisk();
  damage(disk);
  const image = new Image(Container.open(new MemoryStorage(disk), { damage: 'accept' }));
  expect((await image.repair()).actions.length).toBeGreaterThan(0);
  expectForeign(disk);
  await expectClean(disk);
});

it('too many of them forbid writing before anything is written, and not reading', async () => {
  const disk = newDisk();
  changeHeader(disk, (header) => ({ ...header, unknown: { ...header.unknown, more: noise(1000, 1) } }));
  const before = disk.bytes();
  expect(() => openDisk(disk)).toThrow(
    expect.objectContaining({
      code: 'unsupported',
      message: expect.stringMatching(/fields and features .* does not know/),
    }),
  );
  expectBytes(disk.bytes(), before);
  expect([...openDisk(disk, { readOnly: true }).versions()].length).toBe(5);
});
