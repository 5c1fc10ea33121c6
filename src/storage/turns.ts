import { monotonicMilliseconds } from './clock.ts';

const TURN_MS = 10;

/**
 * For loops of synchronous calls: a function that gives signals, timers and finished work of other threads a turn if 10 ms have
 * passed since the last one. Undefined means that nothing is to be waited for.
 */
export function turnGiver(): () => Promise<void> | undefined {
  let lastTurn = monotonicMilliseconds();
  return () => {
    if (monotonicMilliseconds() - lastTurn < TURN_MS) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        lastTurn = monotonicMilliseconds();
        resolve();
      }),
    );
  };
}
