import { env } from 'node:process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ModelRun, settings, steps } from './model.ts';

/** The full run sets more: see `npm run test:model`. */
const RUNS = Number(env.VSIMG_MODEL_RUNS ?? 60);
const SEED = env.VSIMG_MODEL_SEED === undefined ? Date.now() % 2 ** 31 : Number(env.VSIMG_MODEL_SEED);

it(`random histories agree with plain byte arrays (VSIMG_MODEL_SEED=${SEED} VSIMG_MODEL_RUNS=${RUNS})`, async () => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(steps, { minLength: 1, maxLength: 120, size: 'max' }),
      async (setting, list) => {
        const run = new ModelRun(setting);
        for (const step of list) await run.take(step);
        await run.finish();
        taken += run.taken;
      },
    ),
    // Shrinking a failure may take long: better a large counterexample than none.
    {
      seed: SEED,
      numRuns: RUNS,
      interruptAfterTimeLimit: 1_800_000,
      endOnFailure: env.VSIMG_MODEL_SHRINK === undefined,
    },
  );
  console.info(`${taken} operations, seed ${SEED}`);
  expect(taken).toBeGreaterThan(RUNS);
}, 3_600_000);
