import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type KillReport, killCommands } from '../support/kills.ts';
import type { RunPart } from './part.ts';

const MIB = 1024 * 1024;
const KILLS = 1100;
const BIG_KILLS = 16;
// The bundle of this part lies two folders below node_modules.
const BINARY = fileURLToPath(new URL('../../../bin/vsimg.js', import.meta.url));

/** SIGKILL at random moments for commands of the real program, on two images at a time. */
export const run: RunPart = async ({ scale, seed, log }) => {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-kills-'));
  try {
    const each = Math.max(4, Math.ceil((KILLS * scale) / 2));
    const lane = (number: number): Promise<KillReport> =>
      killCommands({
        directory: join(directory, String(number)),
        binary: BINARY,
        kills: each,
        seed: seed * 1000 + number,
        diskBytes: number * 2 * MIB - 1000 * number,
        log: (line) => log(`image ${number}: ${line}`),
      });
    const reports = await Promise.all([lane(1), lane(2)]);
    const big = await killCommands({
      directory: join(directory, 'big'),
      binary: BINARY,
      kills: Math.max(1, Math.ceil(BIG_KILLS * scale)),
      seed,
      diskBytes: 96 * MIB,
      only: ['import', 'import-stdin', 'import-new', 'write', 'gc'],
      log: (line) => log(`big image: ${line}`),
    });
    for (const name of new Set(reports.flatMap(({ kills }) => [...kills.keys()])))
      log(`${name}: ${reports.reduce((sum, { kills }) => sum + (kills.get(name) ?? 0), 0)} kills`);
    const all = [...reports, big];
    log(
      `${all.reduce((sum, { done }) => sum + done, 0)} had done their work, ${all.reduce((sum, { temporaryFiles }) => sum + temporaryFiles, 0)} left a temporary file`,
    );
    const row = (what: string, some: readonly KillReport[]) => ({
      what,
      count: some.reduce((sum, { kills }) => sum + [...kills.values()].reduce((a, b) => a + b, 0), 0),
      losses: some.reduce((sum, { losses }) => sum + losses.length, 0),
    });
    return [row('kills of commands', reports), row('kills of commands on an image of 96 MiB', [big])];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};
