import { spawnSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll } from 'vitest';

export interface FileSystem {
  /** Where it is mounted. */
  readonly directory: string;
  /** Mounts it again, so that nothing can or everything may be written. */
  remount(mode: 'ro' | 'rw'): void;
}

function attempt(program: string, argv: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(program, argv, { encoding: 'utf8' });
  if (status === 0) return undefined;
  return `${program}: ${error === undefined ? stderr.trim() : error.message}`;
}

/**
 * An ext4 file system of its own in a file at `path`, until the tests of the file are over; or, for users who may
 * not mount, the reason why there is none.
 */
export function mountFileSystem(path: string, sizeBytes: number): FileSystem | string {
  const directory = `${path}.mounted`;
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  mkdirSync(directory);
  const failure =
    attempt('mkfs.ext4', ['-q', '-m', '0', '-O', '^has_journal', path]) ??
    attempt('mount', ['-o', 'loop', path, directory]);
  if (failure !== undefined) return failure;
  afterAll(() => {
    const problem = attempt('umount', [directory]);
    if (problem !== undefined) throw new Error(problem);
  });
  return {
    directory,
    remount: (mode) => {
      const problem = attempt('mount', ['-o', `remount,${mode}`, directory]);
      if (problem !== undefined) throw new Error(problem);
    },
  };
}
