import { closeSync, openSync, readSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { changedRuns, type Run } from './real-disk.ts';
import { program, type Workbench } from './workbench.ts';

/** A sparse file that holds these parts of `from`, and nothing else. */
function writeParts(from: string, runs: readonly Run[], to: string): void {
  writeFileSync(to, '');
  truncateSync(to, statSync(from).size);
  const source = openSync(from, 'r');
  const target = openSync(to, 'r+');
  for (const { start, length } of runs) {
    const bytes = Buffer.allocUnsafe(length);
    readSync(source, bytes, 0, length, start);
    writeSync(target, bytes, 0, length, start);
  }
  closeSync(source);
  closeSync(target);
}

/**
 * A qcow2 with an internal snapshot `stateN` for each state. It is written as a guest would: what changed is
 * written, what became zero is discarded, all else stays, shared between the snapshots. `qemu-img convert` of whole
 * states would share nothing.
 */
export function makeSnapshots(bench: Workbench, states: readonly string[]): string {
  const qcow2 = bench.fresh('snapshots.qcow2');
  const parts = bench.at('parts.raw');
  bench.run(program('qemu-img', 'create', '-q', '-f', 'qcow2', qcow2, String(statSync(states[0] as string).size)));
  for (const [index, state] of states.entries()) {
    const runs = changedRuns(states[index - 1] ?? null, state);
    writeParts(
      state,
      runs.filter(({ kind }) => kind === 'data'),
      parts,
    );
    // Holes are left alone because the target is said to be empty.
    bench.run(program('qemu-img', 'convert', '-n', '--target-is-zero', '-f', 'raw', '-O', 'qcow2', parts, qcow2));
    const zeros = runs
      .filter(({ kind }) => kind === 'zero')
      .map(({ start, length }) => `write -z -u ${start} ${length}\n`);
    bench.run(program('qemu-io', '-f', 'qcow2', qcow2), zeros.join(''));
    bench.run(program('qemu-img', 'compare', '-q', '-f', 'raw', '-F', 'qcow2', state, qcow2));
    bench.run(program('qemu-img', 'snapshot', '-c', `state${index + 1}`, qcow2));
  }
  bench.fresh('parts.raw');
  return qcow2;
}
