import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { it, onTestFinished } from 'vitest';
import { scratchDirectory } from '../support/scratch.ts';

export interface LoopDevice {
  /** Attaches the backing file as it is now; returns the device's path. */
  attach(): string;
}

const canAttach =
  process.getuid?.() === 0 && fs.existsSync('/dev/loop-control') && spawnSync('losetup', ['--version']).status === 0;

/** A test with a block device of its own; skipped where the user may not make one. */
export function withLoopDevice(title: string, test: (device: LoopDevice, backingPath: string) => Promise<void>): void {
  it.skipIf(!canAttach)(title, async () => {
    const backingPath = join(scratchDirectory(), 'backing');
    await test(
      {
        attach: () => {
          const { stdout, stderr, status } = spawnSync('losetup', ['--find', '--show', backingPath], {
            encoding: 'utf8',
          });
          if (status !== 0) throw new Error(`losetup: ${stderr}`);
          const path = stdout.trim();
          onTestFinished(() => {
            spawnSync('losetup', ['--detach', path]);
          });
          return path;
        },
      },
      backingPath,
    );
  });
}
