import type { NumberedVersion } from '../versions/version-table.ts';
import { refuseCrowded } from './amend.ts';
import type { Container } from './container.ts';

/** How to lock or unlock versions, or undefined where all are so already. Errors: 'refused' where a record has no room for it. */
export function planLocks(
  { versions }: Container,
  numbers: readonly number[],
  wanted: 'locked' | 'unlocked',
): (() => void) | undefined {
  const changed: NumberedVersion[] = [];
  for (const number of numbers) {
    const { locked, ...rest } = versions.need(number);
    if ((locked === true) === (wanted === 'locked')) continue;
    const next = wanted === 'locked' ? { ...rest, locked: true as const } : rest;
    refuseCrowded(number, next);
    changed.push(next);
  }
  if (changed.length === 0) return undefined;
  return () => {
    for (const { number, ...record } of changed) versions.put(number, record);
  };
}
