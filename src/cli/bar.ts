import type { Writable } from 'node:stream';
import { SingleBar } from 'cli-progress';

export type Bar = Pick<SingleBar, 'start' | 'update' | 'setTotal' | 'stop'>;

/** A line that is drawn over and over on a terminal, and every second elsewhere. `line` says what is on it. */
export function createBar(stream: Writable, line: () => string): Bar {
  return new SingleBar({
    stream: stream as NodeJS.WriteStream,
    noTTYOutput: true,
    notTTYSchedule: 1000,
    hideCursor: true,
    // Its own signal handlers would come before the clean-up that `run.ts` does.
    gracefulExit: false,
    format: line,
  });
}
