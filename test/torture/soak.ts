import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mib, soakServer } from '../support/nbd-soak.ts';
import { SeededRandom } from '../support/random.ts';
import type { RunPart } from './part.ts';

const MIB = 1024 * 1024;
const SECONDS = 3600;
const ROUNDS = 60;
/** Of a disk of 1 GiB; a shorter run has a smaller one, so that as large a share of it is written. */
const DISK_BYTES = 1024 * MIB;
const MIN_DISK_BYTES = 32 * MIB;
// The bundle of this part lies two folders below node_modules.
const BINARY = fileURLToPath(new URL('../../../bin/vsimg.js', import.meta.url));

/** A disk that is written to at random for an hour, committed every minute, and kept from growing by `forget --gc` while it is served. */
export const run: RunPart = async ({ scale, seed, log }) => {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-soak-'));
  try {
    const report = await soakServer({
      directory,
      binary: BINARY,
      rounds: ROUNDS,
      roundMs: (SECONDS * scale * 1000) / ROUNDS,
      diskBytes: Math.ceil(Math.max(MIN_DISK_BYTES, DISK_BYTES * scale) / MIB) * MIB,
      random: new SeededRandom(seed),
      log,
    });
    log(
      `${report.writes} writes, ${ROUNDS} commits, the file at most ${report.worstShare.toFixed(3)} of what is allowed, ${mib(report.peakBytes)} of memory`,
    );
    return [{ what: 'writes to a disk that is served', count: report.writes, losses: report.losses.length }];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};
