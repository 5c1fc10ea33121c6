import { hrtime } from 'node:process';

/** Milliseconds since some fixed moment. `performance.now` tells more, but loads so much of Node that its first call takes 1 to 2 ms. */
export function monotonicMilliseconds(): number {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
