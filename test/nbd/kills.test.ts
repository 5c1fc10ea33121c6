import { expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { killServers } from '../support/nbd-kills.ts';
import { SeededRandom } from '../support/random.ts';
import { scratchDirectory } from '../support/scratch.ts';

const SEED = Number(process.env['VSIMG_KILL_SEED'] ?? Date.now() % 100_000);

it(`a server that is killed keeps what was flushed, seed ${SEED}`, async () => {
  const random = new SeededRandom(SEED);
  const report = await killServers({ directory: scratchDirectory(), binary: BINARY, kills: 8, random });
  expect(report.losses).toEqual([]);
  expect(report.flushes).toBeGreaterThan(0);
}, 60_000);
