import { constants } from 'node:fs';
import { koffi } from './koffi.ts';

/** Commands of fcntl(2), the same on all systems that have it. */
const F_GETFL = 3;
const F_SETFL = 4;

/**
 * Ends the process by _exit(2), with nothing of what a process does at its end but this: the open files 0 to 2, which others have too, wait
 * again, or do not, as `flags` say they did before. Returns where that is not to be had.
 */
export function endProcess(status: number, flags: readonly number[]): void {
  const loaded = koffi();
  if ('failure' in loaded) return;
  try {
    const library = loaded.module.load(null);
    const fcntl = library.func('int fcntl(int fd, int command, int value)');
    for (const [fd, before] of flags.entries()) {
      const now = Number(fcntl(fd, F_GETFL, 0));
      const different = (now ^ before) & constants.O_NONBLOCK;
      if (now >= 0 && different !== 0) fcntl(fd, F_SETFL, now ^ different);
    }
    library.func('void _exit(int status)')(status);
  } catch {
    // Another library of C, which has its own ways.
  }
}
