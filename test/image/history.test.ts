import { describe, expect, it } from 'vitest';
import type { Image } from '../../src/image/image.ts';
import { commit, expectBytes, newImage, noise, openDisk, readAll, TIME } from '../support/image.ts';

async function change(image: Image, seed: number): Promise<Uint8Array> {
  await image.write(seed * 4096, noise(4096, seed));
  return readAll(image, null);
}

/** Versions 1, 2 and 3 one after the other on branch main. */
async function threeVersions(): Promise<{ image: Image; contents: Uint8Array[] } & ReturnType<typeof newImage>> {
  const made = newImage({ sizeBytes: 100_000 });
  const contents: Uint8Array[] = [];
  for (let seed = 1; seed <= 3; seed++) {
    contents.push(await change(made.image, seed));
    await commit(made.image, `number ${seed}`);
  }
  return { ...made, contents };
}

describe('commit', () => {
  it('makes versions that count up, with parents, ids, and what was written', async () => {
    const { disk, contents } = await threeVersions();
    const image = openDisk(disk);
    const list = [...image.versions()];
    expect(
      list.map(({ number, parent, next, message, isHead, branches }) => [
        number,
        parent,
        next,
        message,
        isHead,
        branches,
      ]),
    ).toEqual([
      [3, 2, null, 'number 3', true, ['main']],
      [2, 1, 3, 'number 2', false, []],
      [1, null, 2, 'number 1', false, []],
    ]);
    expect(new Set(list.map(({ id }) => id)).size).toBe(3);
    expect(list.map(({ parentId }) => parentId)).toEqual([list[1]?.id, list[2]?.id, null]);
    expect(list.map(({ timeSeconds }) => timeSeconds)).toEqual([TIME + 2, TIME + 1, TIME]);
    for (const [index, bytes] of contents.entries()) expectBytes(await readAll(image, String(index + 1)), bytes);
  });

  it('gives the same id for the same history and content, and another for anything else', async () => {
    const make = async (options: {
      seed?: number;
      message?: string;
      imageId?: number;
      blockSizeBytes?: number;
    }): Promise<string> => {
      const { image } = newImage({
        imageId: new Uint8Array(16).fill(options.imageId ?? 1),
        blockSizeBytes: options.blockSizeBytes ?? 4096,
      });
      await change(image, options.seed ?? 1);
      return (await commit(image, options.message ?? 'm')).id;
    };
    const id = await make({});
    expect(await make({})).toBe(id);
    for (const other of [{ seed: 2 }, { message: 'n' }, { imageId: 2 }, { blockSizeBytes: 512 }])
      expect(await make(other)).not.toBe(id);
  });

  it('is refused when nothing changed, unless an empty version is asked for', async () => {
    const { image } = await threeVersions();
    await expect(image.commit({ message: 'x', timeSeconds: TIME })).rejects.toMatchObject({ code: 'refused' });
    expect((await image.commit({ message: 'x', timeSeconds: TIME, allowEmpty: true })).number).toBe(4);
    await image.write(4096, noise(4096, 1));
    await expect(image.commit({ message: 'x', timeSeconds: TIME })).rejects.toMatchObject({ code: 'refused' });
  });

  it.each([
    ['a taken tag', { tag: 'main' }, 'exists'],
    ['a bad tag', { tag: 'a b' }, 'usage'],
    ['a number as tag', { tag: '12' }, 'usage'],
    ['a message that is too long', { message: 'x'.repeat(32 * 1024 + 1) }, 'usage'],
    ['half a character', { message: 'a\ud800' }, 'usage'],
    ['a time before 1970', { timeSeconds: -1 }, 'usage'],
    ['half a second', { timeSeconds: 0.5 }, 'usage'],
  ])('with %s fails and changes nothing', async (_name, options, code) => {
    const { image, disk } = await threeVersions();
    await change(image, 7);
    await expect(image.commit({ message: 'm', timeSeconds: TIME, ...options })).rejects.toMatchObject({ code });
    expect(openDisk(disk).info().versionCount).toBe(3);
    expect(image.info().head.dirty).toBe(true);
    await commit(image);
  });

  it('keeps messages of any text and length', async () => {
    const { image, disk } = newImage();
    const messages = ['', 'ünï → 😀\n\nsecond\tline', 'x'.repeat(32 * 1024), '\u0000\u001b[31m'];
    for (const message of messages) await commit(image, message);
    expect([...openDisk(disk).versions()].map(({ message }) => message).reverse()).toEqual(messages);
  });

  it('needs as many writes for the thousandth version as for the tenth', async () => {
    const { image } = newImage({ sizeBytes: 2 ** 24 });
    const grown: number[] = [];
    let size = image.info().space.metadataBytes;
    for (let number = 1; number <= 600; number++) {
      await image.write((number % 4000) * 4096, noise(1, number));
      await commit(image);
      const { metadataBytes } = image.info().space;
      grown.push(metadataBytes - size);
      size = metadataBytes;
    }
    const average = (list: number[]): number => list.reduce((total, bytes) => total + bytes, 0) / list.length;
    // Pages of the map that changed, and a record in the version table; not the map, not the table.
    expect(average(grown.slice(500))).toBeLessThan(2500);
  });
});

describe('checkout', () => {
  it('brings back any version, and detaches HEAD unless a branch is named', async () => {
    const { image, contents } = await threeVersions();
    expect(await image.checkout('1', {})).toEqual({
      branch: null,
      version: 1,
      dirty: false,
      workingSizeBytes: 100_000,
    });
    expectBytes(await readAll(image, null), contents[0] as Uint8Array);
    expect((await image.checkout('main', {})).branch).toBe('main');
    expectBytes(await readAll(image, null), contents[2] as Uint8Array);
  });

  it('is refused while changes would be lost, and forgets them when forced', async () => {
    const { image, contents, disk } = await threeVersions();
    await change(image, 9);
    await expect(image.checkout('1', {})).rejects.toMatchObject({ code: 'refused' });
    expect(image.info().head).toMatchObject({ version: 3, dirty: true });
    await image.checkout('3', { force: true });
    expectBytes(await readAll(openDisk(disk), null), contents[2] as Uint8Array);
    expect(openDisk(disk).info().head.dirty).toBe(false);
  });

  it('does not mind changes that were undone', async () => {
    const { image, contents } = await threeVersions();
    await image.write(0, noise(100, 5));
    await image.write(0, (contents[2] as Uint8Array).subarray(0, 100));
    await image.checkout('1', {});
  });

  it('of a detached version lets commits fork history without moving a branch', async () => {
    const { image } = await threeVersions();
    await image.checkout('1', {});
    await change(image, 8);
    expect(await commit(image)).toMatchObject({ number: 4, parent: 1, branches: [], isHead: true });
    expect(image.resolve('main')).toBe(3);
  });

  it('can make a branch, which later commits move', async () => {
    const { image } = await threeVersions();
    expect(await image.checkout('2', { branch: 'side' })).toMatchObject({ branch: 'side', version: 2 });
    await change(image, 8);
    expect(await commit(image)).toMatchObject({ parent: 2, branches: ['side'] });
    await expect(image.checkout('1', { branch: 'side' })).rejects.toMatchObject({ code: 'exists' });
    await expect(image.checkout('1', { branch: 'bad name' })).rejects.toMatchObject({ code: 'usage' });
    await expect(image.checkout('nowhere', {})).rejects.toMatchObject({ code: 'not-found' });
    expect(image.info().head.branch).toBe('side');
  });

  it('brings back the size too', async () => {
    const { image } = newImage({ sizeBytes: 0 });
    await commit(image);
    expect(await image.checkout('1', {})).toMatchObject({ workingSizeBytes: 0 });
  });
});

describe('tags and branches', () => {
  it('are made, listed by name, moved by force and deleted', async () => {
    const { image, disk } = await threeVersions();
    await image.setTag('v1', '1');
    await image.setBranch('zeta', 'v1');
    await image.setTag('alpha', 'HEAD~1');
    expect(openDisk(disk).refs()).toEqual([
      { name: 'alpha', kind: 'tag', version: 2 },
      { name: 'main', kind: 'branch', version: 3 },
      { name: 'v1', kind: 'tag', version: 1 },
      { name: 'zeta', kind: 'branch', version: 1 },
    ]);
    expect(image.version(1)).toMatchObject({ tags: ['v1'], branches: ['zeta'] });
    await expect(image.setTag('v1', '2')).rejects.toMatchObject({ code: 'exists' });
    await image.setTag('v1', '2', { force: true });
    expect(image.version(1).tags).toEqual([]);
    expect(image.version(2).tags).toEqual(['alpha', 'v1']);
    await image.deleteRef('v1', 'tag');
    await expect(image.deleteRef('v1', 'tag')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('share one space of names', async () => {
    const { image } = await threeVersions();
    await image.setTag('name', '1');
    await expect(image.setBranch('name', '1', { force: true })).rejects.toMatchObject({ code: 'exists' });
    await expect(image.setTag('main', '1', { force: true })).rejects.toMatchObject({ code: 'exists' });
    await expect(image.deleteRef('name', 'branch')).rejects.toMatchObject({ code: 'not-found' });
    await expect(image.setTag('HEAD', '1')).rejects.toMatchObject({ code: 'usage' });
  });

  it('leave the branch that is checked out where it is', async () => {
    const { image } = await threeVersions();
    await expect(image.setBranch('main', '1', { force: true })).rejects.toMatchObject({ code: 'refused' });
    await expect(image.deleteRef('main', 'branch')).rejects.toMatchObject({ code: 'refused' });
    await image.checkout('1', {});
    await image.setBranch('main', '1', { force: true });
    await image.deleteRef('main', 'branch');
  });
});

describe('delete', () => {
  it('gives the children to the parent, takes the tags away, and never uses a number again', async () => {
    const { image, disk, contents } = await threeVersions();
    await image.setTag('two', '2');
    expect((await image.deleteVersions(['two'])).map(({ number }) => number)).toEqual([2]);
    const again = openDisk(disk);
    expect([...again.versions()].map(({ number, parent, next }) => [number, parent, next])).toEqual([
      [3, 1, null],
      [1, null, 3],
    ]);
    expect(again.refs().map(({ name }) => name)).toEqual(['main']);
    expect(() => again.resolve('2')).toThrow(expect.objectContaining({ code: 'not-found' }));
    expectBytes(await readAll(again, '3'), contents[2] as Uint8Array);
    expect((await commit(again)).number).toBe(4);
  });

  it('takes several at once, in any order and named twice, all or none', async () => {
    const { image, disk } = await threeVersions();
    await expect(image.deleteVersions(['1', 'HEAD'])).rejects.toMatchObject({ code: 'refused' });
    await expect(image.deleteVersions(['1', '9'])).rejects.toMatchObject({ code: 'not-found' });
    expect(openDisk(disk).info().versionCount).toBe(3);
    await image.deleteVersions(['2', '1', 'HEAD~1']);
    expect([...openDisk(disk).versions()].map(({ number, parent }) => [number, parent])).toEqual([[3, null]]);
  });

  it('is refused for the version checked out and for the newest of a branch', async () => {
    const { image } = await threeVersions();
    await image.setBranch('side', '1');
    await expect(image.deleteVersions(['1'])).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/branch 'side'/),
    });
    await expect(image.deleteVersions(['3'])).rejects.toMatchObject({ code: 'refused' });
    await image.deleteRef('side', 'branch');
    await image.deleteVersions(['1']);
  });
});
