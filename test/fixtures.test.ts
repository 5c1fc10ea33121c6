import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { VsimgError } from '../src/errors.ts';
import { MemoryDisk } from '../src/storage/memory.ts';
import { type DamageDescription, describeGolden, type GoldenDescription } from './support/fixtures.ts';
import { commit, expectBytes, expectClean, openDisk, readAll } from './support/image.ts';

const root = fileURLToPath(new URL('../fixtures/', import.meta.url));
const formats = readdirSync(root).filter((name) => /^v\d+$/.test(name));

interface Stored<T> {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly description: T;
}

function stored<T>(format: string, folder: string): Stored<T>[] {
  const directory = join(root, format, folder);
  return readdirSync(directory)
    .filter((name) => name.endsWith('.vsi'))
    .map((file) => ({
      name: file.slice(0, -4),
      bytes: readFileSync(join(directory, file)),
      description: JSON.parse(readFileSync(join(directory, `${file.slice(0, -4)}.json`), 'utf8')) as T,
    }));
}

/** 'ok', or the code of the error that comes out. */
async function outcome(action: () => unknown): Promise<string> {
  try {
    await action();
    return 'ok';
  } catch (error) {
    expect(error).toBeInstanceOf(VsimgError);
    return (error as VsimgError).code;
  }
}

it('there are fixtures', () => expect(formats).toContain('v1'));

describe.each(formats)('fixtures of format %s', (format) => {
  it.each(stored<GoldenDescription>(format, 'golden'))('$name reads as it must', async ({ bytes, description }) => {
    const disk = MemoryDisk.from(bytes);
    const image = openDisk(disk, { readOnly: true });
    expect(JSON.parse(JSON.stringify(await describeGolden(image)))).toEqual(description);
    await expectClean(disk);
    expectBytes(disk.bytes(), bytes);
  });

  it.each(stored<GoldenDescription>(format, 'golden'))(
    '$name can be written, and collected, and keeps its versions',
    async ({ bytes, description }) => {
      const disk = MemoryDisk.from(bytes);
      const image = openDisk(disk);
      await image.write(0, new Uint8Array(Math.min(3000, image.info().sizeBytes)).fill(1));
      await commit(image);
      await image.gc();
      const after = JSON.parse(JSON.stringify(await describeGolden(openDisk(disk)))) as GoldenDescription;
      expect(after.versions.slice(1)).toEqual(description.versions);
      await expectClean(disk);
    },
  );

  it.each(stored<DamageDescription>(format, 'damaged'))('$name', async ({ bytes, description }) => {
    const disk = MemoryDisk.from(bytes);
    expect(await outcome(() => openDisk(disk, { readOnly: true }))).toBe(description.open);
    expect(await outcome(() => openDisk(disk))).toBe(description.openForWriting);
    if (description.open !== 'ok') return;
    const image = openDisk(disk, { readOnly: true });
    const read: Record<string, string> = {};
    for (const rev of Object.keys(description.read)) read[rev] = await outcome(() => readAll(image, rev));
    expect(read).toEqual(description.read);
    const { errors, leakedBytes } = await image.check({ data: true });
    if (description.check === 'leak' || description.check === 'clean') {
      expect(errors).toEqual([]);
      expect(leakedBytes > 0).toBe(description.check === 'leak');
    } else {
      expect(errors.map(({ message }) => message).join('\n')).toContain(description.check);
    }
    expectBytes(disk.bytes(), bytes);
  });
});
