import { endProcess } from '../storage/process-end.ts';
import type { Io } from './io.ts';

/** Who ends younger than this has nothing that is still being compiled in the way that never ends. */
const YOUNG_SECONDS = 0.08;

/**
 * Ends the process now, past what Node does at its end: that waits for threads that compile, and now and then one of these waits for a
 * collection by the main thread, so that the process never ends (nodejs/node#54918; 1 to 2 of 100 runs of a command of 150 ms). To be called
 * when nothing is left to be done. Returns where the process must end by itself.
 */
export function endNow(status: number, io: Io): void {
  // Elsewhere fcntl(2) takes what it is given in another way.
  if (process.platform !== 'linux' || process.uptime() < YOUNG_SECONDS || isWatched()) return;
  const flags = io.flagsToLeave?.();
  if (flags !== undefined) endProcess(status, flags);
}

/** Somebody wants to see what the process did when it ends. */
function isWatched(): boolean {
  const { execArgv, env } = process;
  return execArgv.length > 0 || (env.NODE_OPTIONS ?? '') !== '' || env.NODE_V8_COVERAGE !== undefined;
}
