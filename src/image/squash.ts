import { VsimgError } from '../errors.ts';
import { turnGiver } from '../storage/turns.ts';
import type { Container } from './container.ts';

/** Versions on the way from `last` back to `first`, without these two, newest first. Errors: 'refused' if there is no such way. */
export async function versionsBetween({ versions }: Container, first: number, last: number): Promise<number[]> {
  const between: number[] = [];
  const giveTurn = turnGiver();
  // Parents have smaller numbers, so that the way ends.
  let number: number | null = last;
  while (number !== null && number > first) {
    if (number !== last) between.push(number);
    number = versions.need(number).parent;
    await giveTurn();
  }
  if (number === first) return between;
  throw new VsimgError('refused', `version ${last} did not come from version ${first}`, {
    hint: `'vsimg log IMAGE@${last}' lists those it came from`,
  });
}
