import { constants } from 'node:fs';
import { koffi } from './koffi.ts';

/** Commands of fcntl(2), the same on all systems that have it. */
const F_GETFL = 3;
const F_SETFL = 4;

/**
 * Ends the process by _exit(2), with nothing of what a process does at its end but this: the open files 0 to 2, which others have too, are made
 * to wait again where they do not. Returns where that is not to be had.
 */
export function endProcess(status: number): void {
  const loaded = koffi();
  if ('failure' in loaded) return;
  try {
    const library = loaded.module.load(null);
    const fcntl = library.func('int fcntl(int fd, int command, int value)');
    for (const fd of [0, 1, 2]) {
      const flags = Number(fcntl(fd, F_GETFL, 0));
      if (flags >= 0 && (flags & constants.O_NONBLOCK) !== 0) fcntl(fd, F_SETFL, flags & ~constants.O_NONBLOCK);
    }
    library.func('void _exit(int status)')(status);
  } catch {
    // Another library of C, which has its own ways.
  }
}
