import { setImmediate } from 'node:timers/promises';

const TURN_MS = 50;

/**
 * For loops of synchronous calls: a function that gives signals, timers and finished work of other threads a turn if 50 ms have
 * passed since the last one. Undefined means that nothing is to be waited for.
 */
export function turnGiver(): () => Promise<void> | undefined {
  let lastTurn = performance.now();
  return () => {
    if (performance.now() - lastTurn < TURN_MS) return undefined;
    return setImmediate().then(() => {
      lastTurn = performance.now();
    });
  };
}
