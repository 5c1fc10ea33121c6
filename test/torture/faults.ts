import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHANGES, largeHistory, someHistory, tryEveryFailure } from '../support/failures.ts';
import { commandsFor, FaultTrials } from '../support/fault-trials.ts';
import { SeededRandom } from '../support/random.ts';
import type { Row, RunPart } from './part.ts';

const HISTORIES = 8;
const STEPS = 30;

/** System calls of commands, and calls of the library's storage, that fail or do a part: every one, in several histories. */
export const run: RunPart = async ({ scale, seed, log }) => {
  const totals = { commands: { count: 0, losses: 0 }, library: { count: 0, losses: 0 } };
  const note = (total: { count: number; losses: number }, at: number, tried: number, losses: readonly string[]) => {
    total.count += tried;
    total.losses += losses.length;
    for (const loss of losses) log(`seed ${at}: ${loss}`);
  };
  const histories = Math.max(1, Math.round(HISTORIES * scale));
  // What is less than one history tries some of its calls.
  const every = Math.max(1, Math.round(1 / (HISTORIES * scale)));
  const { disk: largeDisk, changes } = await largeHistory();
  for (const change of changes) {
    const { tried, losses } = await tryEveryFailure(largeDisk, change, { every });
    note(totals.library, seed, tried, losses);
  }
  log(`large changes: ${totals.library.count} library calls`);
  for (let at = seed; at < seed + histories; at++) {
    const directory = mkdtempSync(join(tmpdir(), 'vsimg-faults-'));
    try {
      const disk = await someHistory(new SeededRandom(at), STEPS);
      for (const change of CHANGES) {
        const { tried, losses } = await tryEveryFailure(disk, change, { every });
        note(totals.library, at, tried, losses);
      }
      const commands = await commandsFor(disk);
      const trials = new FaultTrials(directory, disk);
      for (const [index, command] of commands.entries()) {
        const { tried, losses } = await trials.run(command, { every, offset: index });
        note(totals.commands, at, tried, losses);
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    log(`history ${at}: ${totals.library.count} library calls and ${totals.commands.count} system calls so far`);
  }
  const rows: Row[] = [
    { what: 'system calls of commands that fail or do half', ...totals.commands },
    { what: 'calls of the storage that fail under a change', ...totals.library },
  ];
  return rows;
};
