import { setFlagsFromString } from 'node:v8';
import { keepLongBuffersApart } from '../storage/malloc.ts';

/**
 * V8 lets its heap grow to a multiple of what is alive, and the part for new objects to 32 MiB or more; with these it collects when half
 * as much again has come up, and new objects keep the room that they have now.
 */
const SMALL = ['--heap-growing-percent=50', '--semi-space-growth-factor=1'];
const USUAL = ['--heap-growing-percent=0', '--semi-space-growth-factor=2'];

/** What takes longer is worth loading what talks to the system's allocator. */
const LONG_MS = 500;

let workCount = 0;

function beSmall(): void {
  for (const flag of SMALL) setFlagsFromString(flag);
}

/** V8 sets the factor back when it makes the heap of another thread. */
function beSmallAgain(thread: { once(event: 'online', listener: () => void): unknown }): void {
  thread.once('online', beSmall);
}

/** Does `work`, which makes much garbage and keeps little, in less memory than V8 would take for it, and as fast. */
export async function inSmallHeap<T>(work: () => Promise<T>): Promise<T> {
  if (workCount++ === 0) {
    beSmall();
    process.on('worker', beSmallAgain);
  }
  const timer = setTimeout(keepLongBuffersApart, LONG_MS);
  timer.unref();
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    if (--workCount === 0) {
      process.off('worker', beSmallAgain);
      // Code that is kept for the next process must not be marked with flags that that one will not have.
      for (const flag of USUAL) setFlagsFromString(flag);
    }
  }
}
