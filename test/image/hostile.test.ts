import { describe, expect, it } from 'vitest';
import { checksum } from '../../src/format/checksum.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { fixpointChecksum } from '../support/crc-fixpoint.ts';
import { commit, newDoomedImage, noise, openDisk, readAll, text } from '../support/image.ts';
import { CountingStorage } from '../support/storages.ts';
import { compile, encodePage } from '../torture/fuzz/compile.ts';
import { decompile } from '../torture/fuzz/decompile.ts';
import { hugeFrame, repeatFrame } from '../torture/fuzz/frames.ts';
import type { Loose } from '../torture/fuzz/loose-writer.ts';
import type { Field, Fields, InnerEntry, Model, Page, Root, Segment, Table } from '../torture/fuzz/model.ts';

const GIB_4 = 2 ** 32;
const BLOCK = 512;

/** Twenty versions of a disk with a map of several pages, taken apart: trees of versions, log and maps have levels. */
async function model(): Promise<Model> {
  const { image, disk } = newDoomedImage({ blockSizeBytes: BLOCK, compression: { codec: 'zstd', level: 1 } });
  for (let block = 300; block > 0; block--) await image.write(block * 3 * BLOCK, text(BLOCK, block));
  for (let number = 1; number <= 20; number++) {
    await image.write(number * 9 * BLOCK, noise(BLOCK, number));
    await commit(image, `version ${number}`, { tag: `t${number}` });
  }
  return decompile('hostile', disk.bytes());
}

function fieldOf(fields: readonly Field[], ...path: readonly string[]): Field {
  const [first, ...rest] = path;
  const field = fields.find(({ key }) => key === first);
  if (field === undefined) throw new Error(`there is no field ${first}`);
  return rest.length === 0 ? field : fieldOf((field.value as Fields).fields, ...rest);
}

function rootOf(it: Model, ...path: readonly string[]): Root {
  return fieldOf(it.header, ...path).value as Root;
}

/** The pages of a tree, top first. */
function pagesBelow(page: Page): Page[] {
  return [page, ...page.entries.flatMap((entry) => (entry.type === 'inner' ? pagesBelow(entry.ref.target) : []))];
}

/** The record of the first version of the table. */
function firstVersion(it: Model): Field[] {
  const [entry] = (pagesBelow(rootOf(it, 'trees', 'versions').target).find(({ level }) => level === 0) as Page).entries;
  return ((entry as { value: Fields }).value as Fields).fields;
}

function firstSegment(it: Model): Segment {
  const [entry] = (pagesBelow(rootOf(it, 'trees', 'log').target).find(({ level }) => level === 0) as Page).entries;
  return (entry as { value: Segment }).value;
}

interface Looks {
  readonly open: string;
  readonly versions: string;
  readonly read: string;
  readonly check: string;
}

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'ok';
  } catch (error) {
    expect(error).toMatchObject({ name: 'VsimgError' });
    return (error as { code: string }).code;
  }
}

/** What opening, listing, reading version 1 and checking come to, with reads counted. */
async function look(bytes: Uint8Array): Promise<Looks> {
  const storage = new CountingStorage(new MemoryStorage(MemoryDisk.from(bytes), { readOnly: true }));
  let image: Image | undefined;
  const open = await codeOf(() => {
    image = new Image(Container.open(storage));
  });
  if (image === undefined) return { open, versions: open, read: open, check: open };
  const opened = image;
  const versions = await codeOf(() => [...opened.versions()]);
  const read = await codeOf(() => readAll(opened, '1'));
  let found = 0;
  const check = await codeOf(async () => {
    found = (await opened.check({ data: true })).errors.length;
  });
  // Every record that there is may be read a few times, and nothing again and again.
  expect(storage.counts.reads).toBeLessThan(2000);
  expect(storage.counts.readBytes).toBeLessThan(bytes.length * 20);
  return { open, versions, read, check: check === 'ok' && found > 0 ? 'found' : check };
}

const BROKEN: Looks = { open: 'corrupt', versions: 'corrupt', read: 'corrupt', check: 'corrupt' };

type Change = (it: Model) => void;

async function lookAfter(change: Change): Promise<Looks> {
  const it = await model();
  change(it);
  return look(compile(it));
}

describe('a container made by hand', () => {
  it('without a change is read', async () => {
    expect(await lookAfter(() => {})).toEqual({ open: 'ok', versions: 'ok', read: 'ok', check: 'ok' });
  });

  it.each<[string, Change, Partial<Looks>]>([
    [
      'a header',
      (it) => {
        it.slot.length = GIB_4 - 1;
      },
      BROKEN,
    ],
    [
      'the top page of a tree of the header',
      (it) => {
        rootOf(it, 'trees', 'versions').length = GIB_4;
      },
      BROKEN,
    ],
    [
      'the map of a version',
      (it) => {
        (fieldOf(firstVersion(it), 'r').value as Root).length = GIB_4;
      },
      { open: 'ok', versions: 'corrupt', read: 'corrupt' },
    ],
    [
      'an inner page',
      (it) => {
        const [entry] = rootOf(it, 'trees', 'versions').target.entries;
        (entry as InnerEntry).ref.length = GIB_4;
      },
      { open: 'ok', versions: 'corrupt', read: 'corrupt', check: 'found' },
    ],
    [
      'a chunk table',
      (it) => {
        firstSegment(it).table.length = GIB_4;
      },
      { open: 'ok', versions: 'ok', read: 'corrupt', check: 'found' },
    ],
    [
      'a chunk',
      (it) => {
        const chunk = (firstSegment(it).table.target as Table).chunks[0];
        if (chunk !== undefined) chunk.stored = GIB_4;
      },
      { open: 'ok', versions: 'ok', read: 'corrupt', check: 'found' },
    ],
    [
      'a list of entries',
      (it) => {
        rootOf(it, 'working', 'map').target.count = GIB_4;
      },
      { open: 'ok', versions: 'ok' },
    ],
    [
      'a list of guest runs',
      (it) => {
        firstSegment(it).table.target.runCount = GIB_4;
      },
      { open: 'ok', versions: 'ok', read: 'corrupt', check: 'found' },
    ],
    [
      'a text in the header',
      (it) => {
        fieldOf(it.header, 'branch').value = { verbatim: Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff) };
      },
      BROKEN,
    ],
  ])('that says 4 GiB is the length of %s', async (_what, change, expected) => {
    expect(await lookAfter(change)).toMatchObject(expected);
  });

  it.each<[string, Loose]>([
    ['2^53', 2n ** 53n],
    ['2^63', 2n ** 63n],
    ['2^64 - 1', 2n ** 64n - 1n],
  ])('with a size of %s is refused', async (_name, size) => {
    const header = await lookAfter((it) => {
      fieldOf(it.header, 'working', 'size').value = size;
    });
    expect(header).toEqual(BROKEN);
    const version = await lookAfter((it) => {
      fieldOf(firstVersion(it), 's').value = size;
    });
    expect(version).toMatchObject({ open: 'ok', versions: 'corrupt', read: 'corrupt', check: 'found' });
  });

  it('with the greatest size is read at its end', async () => {
    const it = await model();
    const size = Number.MAX_SAFE_INTEGER;
    fieldOf(firstVersion(it), 's').value = size;
    const image = openDisk(MemoryDisk.from(compile(it)), { readOnly: true });
    const pieces = [];
    for await (const piece of image.pieces('1', size - 5000, size)) pieces.push(piece);
    expect(pieces).toEqual([{ kind: 'hole', start: size - 5000, end: size }]);
  });

  it('with __proto__ among the keys is refused, and pollutes nothing', async () => {
    const evil: Field = { key: '__proto__', value: { pairs: [['polluted', 1]] } };
    expect(await lookAfter(({ header }) => header.push(evil))).toEqual(BROKEN);
    const inside = await lookAfter((it) => (fieldOf(it.header, 'working').value as Fields).fields.push(evil));
    expect(inside).toEqual(BROKEN);
    const version = await lookAfter((it) => firstVersion(it).push(evil));
    expect(version).toMatchObject({ open: 'ok', versions: 'corrupt', read: 'corrupt', check: 'found' });
    expect(({} as Record<string, unknown>)['polluted']).toBe(undefined);
  });

  it('may have a tag called __proto__ or constructor', async () => {
    const { image } = newDoomedImage();
    await commit(image);
    for (const name of ['__proto__', 'constructor']) {
      await image.setTag(name, '1');
      expect(image.resolve(name)).toBe(1);
    }
    expect(image.version('1').tags).toEqual(['__proto__', 'constructor']);
  });

  it('with a record nested a hundred deep is refused', async () => {
    let value: Loose = 1;
    for (let depth = 0; depth < 100; depth++) value = depth % 2 === 0 ? [value] : { pairs: [['a', value]] };
    const extra: Field = { key: 'extra', value };
    expect(await lookAfter((it) => firstVersion(it).push(extra))).toMatchObject({
      open: 'ok',
      versions: 'corrupt',
      check: 'found',
    });
  });

  it.each<[string, number, Partial<Looks>]>([
    ['of 53 levels is read', 53, { open: 'ok', versions: 'ok', read: 'ok' }],
    ['of more levels than there may be is refused', 54, { open: 'ok', read: 'corrupt', check: 'found' }],
  ])('with a map %s', async (_what, levels, expected) => {
    const result = await lookAfter((it) => {
      const root = fieldOf(firstVersion(it), 'r').value as Root;
      while (Number(root.target.level) < levels) {
        const child = root.target;
        const [first] = child.entries;
        const key = first?.type === 'extent' ? first.gap : (first?.key ?? 0);
        const ref = { target: child, place: undefined, length: undefined, sum: undefined };
        const home = { at: -1, size: 0 };
        const entries = [{ type: 'inner' as const, key, ref, sum: undefined }];
        root.target = { ...child, ...home, home, level: Number(child.level) + 1, entries };
      }
    });
    expect(result).toMatchObject(expected);
  });

  it.each<[string, readonly string[]]>([
    ['version table', ['trees', 'versions']],
    ['map', ['working', 'map']],
  ])('whose %s has a page that is its own child is refused', async (_what, path) => {
    const it = await model();
    const root = rootOf(it, ...path);
    const entry = root.target.entries[0] as InnerEntry;
    const { target } = root;
    target.entries = [entry];
    entry.ref.target = target;
    compile(it);
    // Its place and length are known now; what is left is a checksum that is its own.
    entry.ref.sum = fixpointChecksum((sum) => {
      entry.ref.sum = sum;
      return encodePage(it, target);
    });
    expect(checksum(encodePage(it, target))).toBe(entry.ref.sum);
    const disk = MemoryDisk.from(compile(it));
    const result = await look(disk.bytes());
    expect(result).toMatchObject({ open: 'ok', check: 'found' });
    if (path.includes('versions')) expect(result).toMatchObject({ versions: 'corrupt', read: 'corrupt' });
    else expect(await codeOf(() => readAll(openDisk(disk, { readOnly: true }), null))).toBe('corrupt');
  });

  it.each<[string, readonly [string, string], string]>([
    ['versions are those of the names', ['versions', 'refs'], 'not-found'],
    ['log is the version table', ['log', 'versions'], 'corrupt'],
  ])('whose tree of %s gives no data', async (_what, [here, there], code) => {
    const result = await lookAfter((it) => {
      rootOf(it, 'trees', here).target = rootOf(it, 'trees', there).target;
    });
    expect(result).toMatchObject({ read: code, check: 'found' });
  });

  it('with extents that overlap is refused by whoever meets them', async () => {
    const result = await lookAfter((it) => {
      const top = (fieldOf(firstVersion(it), 'r').value as Root).target;
      const leaf = (top.entries[0] as InnerEntry).ref.target;
      const last = leaf.entries.at(-1);
      if (last?.type !== 'extent') throw new Error('no extent');
      last.length = 4;
    });
    expect(result).toMatchObject({ open: 'ok', versions: 'ok', read: 'corrupt', check: 'found' });
  });

  it.each([
    ['of a thousand blocks of two mebibytes', repeatFrame(1000, 0x1fffff)],
    ['of four blocks of 128 KiB', repeatFrame(4, 128 * 1024)],
    ['that announces 4 GiB', hugeFrame()],
  ])('with a chunk that unpacks to far more than it holds is refused: a frame %s', async (_what, bytes) => {
    const result = await lookAfter((it) => {
      const chunk = (firstSegment(it).table.target as Table).chunks[0];
      if (chunk === undefined) throw new Error('no chunk');
      chunk.stored = bytes.length;
      chunk.ref.target.bytes = bytes;
    });
    expect(result).toMatchObject({ open: 'ok', versions: 'ok', read: 'corrupt', check: 'found' });
  });

  it('of the last generation there may be is read, and can not be written any more', async () => {
    const it = await model();
    it.slot.generation = 2 ** 48;
    const bytes = compile(it);
    expect((await look(bytes)).read).toBe('ok');
    const image = openDisk(MemoryDisk.from(bytes));
    expect(await codeOf(() => image.setTag('more', '1'))).toBe('unsupported');
    it.slot.generation = 2 ** 48 + 1;
    expect(await look(compile(it))).toEqual(BROKEN);
  });
});
