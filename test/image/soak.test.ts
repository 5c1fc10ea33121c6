import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openImageFile } from '../../src/image/file.ts';
import { describeImage } from '../support/killed-image.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { LIBRARY_ACTORS, makeSoakImage } from '../support/soak.ts';

const seed = Number(process.env.VSIMG_TEST_SEED ?? Date.now() % 1e9);

it(`readers beside a writer and a collector see whole states (seed ${seed})`, async () => {
  const path = join(scratchDirectory(), 'disk.vsi');
  await makeSoakImage(path);
  const { writer, collector, reader, longReader } = LIBRARY_ACTORS;
  const reports = await Promise.all(
    [writer, collector, reader, longReader].map((actor, index) =>
      actor({ path, seed: seed + index, milliseconds: 2500 }),
    ),
  );
  for (const { operations, wrong } of reports) {
    expect(wrong).toEqual([]);
    expect(operations).toBeGreaterThan(0);
  }
  const image = await openImageFile(path, { mode: 'read-long' });
  const wrong: string[] = [];
  await describeImage(image, (what) => wrong.push(what));
  image.close();
  expect(wrong).toEqual([]);
}, 60_000);
