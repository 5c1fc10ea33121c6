import { env } from 'node:process';
import { expect, it } from 'vitest';
import { cutEverywhere } from '../support/cuts.ts';

const SCRIPTS = Number(env['VSIMG_CUT_SCRIPTS'] ?? 5);
const FIRST_SEED = Number(env['VSIMG_CUT_SEED'] ?? 1);

it.each(Array.from({ length: SCRIPTS }, (_, index) => FIRST_SEED + index))(
  'a power cut at any moment leaves the state before or after the step (VSIMG_CUT_SEED=%d)',
  async (seed) => {
    const { cuts, losses } = await cutEverywhere(seed);
    expect(losses).toEqual([]);
    expect(cuts).toBeGreaterThan(100);
  },
  120_000,
);
