import { READER_LOCKS_OFFSET } from '../format/layout.ts';
import type { GenerationRange } from '../space/pending.ts';
import type { LockableStorage } from '../storage/storage.ts';

/** So many generations are told apart, a few tries for each; with more, all that lies between the last ones counts as held. */
const MAX_TOLD_APART = 32;

/**
 * Generations below `limit` that readers hold, ascending and apart: asked by trying to lock ranges of their bytes. A
 * reader that goes meanwhile may be counted; none can come, because only the newest generation can be taken.
 */
export function heldGenerations(storage: LockableStorage, limit: number): GenerationRange[] {
  const isFree = ({ first, last }: GenerationRange): boolean => {
    const lengthBytes = last - first + 1;
    if (!storage.tryLock(READER_LOCKS_OFFSET + first, lengthBytes, 'exclusive')) return false;
    storage.unlock(READER_LOCKS_OFFSET + first, lengthBytes);
    return true;
  };
  const held: GenerationRange[] = [];
  const last = limit - 1;
  for (let first = 0; first <= last && !isFree({ first, last }); ) {
    const oldest = firstHeld({ first, last }, isFree);
    if (held.length === MAX_TOLD_APART - 1) {
      held.push({ first: oldest, last: lastHeld({ first: oldest, last }, isFree) });
      break;
    }
    held.push({ first: oldest, last: oldest });
    first = oldest + 1;
  }
  return held;
}

function firstHeld(range: GenerationRange, isFree: (range: GenerationRange) => boolean): number {
  let { first, last } = range;
  while (first < last) {
    const middle = Math.floor((first + last) / 2);
    if (isFree({ first, last: middle })) first = middle + 1;
    else last = middle;
  }
  return first;
}

function lastHeld(range: GenerationRange, isFree: (range: GenerationRange) => boolean): number {
  let { first, last } = range;
  while (first < last) {
    const middle = Math.ceil((first + last) / 2);
    if (isFree({ first: middle, last })) last = middle - 1;
    else first = middle;
  }
  return first;
}
