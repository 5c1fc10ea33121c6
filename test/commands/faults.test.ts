import { env } from 'node:process';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../support/cli.ts';
import { someHistory } from '../support/failures.ts';
import { commandsFor, FaultTrials } from '../support/fault-trials.ts';
import { SeededRandom } from '../support/random.ts';

/** Which reads and writes go wrong, all other calls do; `npm run torture -- faults` tries all of them. */
const EVERY = Number(env['VSIMG_FAULT_EVERY'] ?? 5);
const SEED = Number(env['VSIMG_FAULT_SEED'] ?? 1);

const disk = await someHistory(new SeededRandom(SEED), 12);
const commands = await commandsFor(disk);

describe(`when the system fails it (VSIMG_FAULT_SEED=${SEED})`, () => {
  const trials = new FaultTrials(temporaryDirectory(), disk);

  it.each(commands.map((command, index) => [command.argv.join(' '), command, index] as const))(
    '%s says so in one line and leaves the state before or after',
    async (_title, command, index) => {
      const { tried, losses } = await trials.run(command, { every: EVERY, offset: index });
      expect(losses).toEqual([]);
      expect(tried).toBeGreaterThan(5);
    },
  );
});
