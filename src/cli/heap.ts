import { setFlagsFromString } from 'node:v8';

/** V8 lets its heap grow to a multiple of what is alive; with this it collects when half as much again has come up. */
const GROWTH_PERCENT = 50;

let workCount = 0;

/** Does `work`, which makes much garbage and keeps little, in less memory than V8 would take for it, and as fast. */
export async function inSmallHeap<T>(work: () => Promise<T>): Promise<T> {
  if (workCount++ === 0) setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  try {
    return await work();
  } finally {
    // Code that is kept for the next process must not be marked with flags that that one will not have.
    if (--workCount === 0) setFlagsFromString('--heap-growing-percent=0');
  }
}
