import { env } from 'node:process';
import { expect, it } from 'vitest';
import { checkRepair, DAMAGES, damageable } from '../support/repair.ts';

const RUNS = Number(env['VSIMG_REPAIR_RUNS'] ?? 2);
const FIRST_SEED = Number(env['VSIMG_REPAIR_SEED'] ?? 1);

it.each(DAMAGES)(
  'after %s a repair saves what can be read, says what is lost, and makes nothing worse',
  async (_name, damage) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
      const sample = await damageable(seed);
      expect(await checkRepair(sample, damage, seed)).toBeGreaterThan(0);
    }
  },
  120_000,
);
