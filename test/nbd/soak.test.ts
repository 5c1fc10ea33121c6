import { expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { soakServer } from '../support/nbd-soak.ts';
import { SeededRandom } from '../support/random.ts';
import { scratchDirectory } from '../support/scratch.ts';

const SEED = Number(process.env['VSIMG_SOAK_SEED'] ?? Date.now() % 100_000);

it(`a served disk that is written, committed and collected stays small, seed ${SEED}`, async () => {
  const report = await soakServer({
    directory: scratchDirectory(),
    binary: BINARY,
    rounds: 8,
    roundMs: 500,
    diskBytes: 24 * 1024 * 1024,
    random: new SeededRandom(SEED),
  });
  expect(report.losses).toEqual([]);
  expect(report.writes).toBeGreaterThan(0);
}, 120_000);
