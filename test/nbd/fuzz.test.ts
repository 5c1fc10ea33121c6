import { expect, it } from 'vitest';
import { commit, newImage, noise } from '../support/image.ts';
import { fuzzServer } from '../support/nbd-fuzz.ts';
import { SeededRandom } from '../support/random.ts';

const SESSIONS = 2000;
const SEED = Number(process.env['VSIMG_FUZZ_SEED'] ?? '1');

it(`sessions of enemies hurt nobody, seed ${SEED}`, async () => {
  const sizeBytes = 256 * 1024 - 100;
  const { image } = newImage({ sizeBytes });
  const content = Buffer.alloc(sizeBytes);
  content.set(noise(100_000, 1), 5000);
  await image.write(0, content);
  await commit(image, 'one', { tag: 'v1' });
  await image.write(0, noise(9000, 2));
  await commit(image, 'two');
  const report = await fuzzServer({ image, content }, { sessions: SESSIONS, random: new SeededRandom(SEED) });
  expect(report.wrong).toEqual([]);
  await image.publish();
});
