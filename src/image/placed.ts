import { CODEC, presentBefore } from '../format/chunk-table.ts';
import { EXTENT_KIND } from '../format/extent-page.ts';
import type { Run } from '../map/extent-map.ts';
import { turnGiver } from '../storage/turns.ts';
import type { BlameRange, PlacedRange } from './api.ts';
import type { Container } from './container.ts';
import { type View, viewRuns } from './view.ts';

/** Where the data of ranges lies that `blame` finds, in order; what goes on in every respect is one range. */
export async function* placedRanges(
  container: Container,
  view: View,
  found: AsyncIterable<readonly BlameRange[]>,
): AsyncGenerator<PlacedRange> {
  const giveTurn = turnGiver();
  let held: PlacedRange | undefined;
  for await (const ranges of found) {
    for (const placed of rawRanges(container, view, ranges)) {
      if (held !== undefined && continues(held, placed)) {
        held = { ...held, length: held.length + placed.length };
        continue;
      }
      if (held !== undefined) yield held;
      held = placed;
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
  }
  if (held !== undefined) yield held;
}

function continues(held: PlacedRange, next: PlacedRange): boolean {
  return (
    held.start + held.length === next.start &&
    held.kind === next.kind &&
    held.version === next.version &&
    held.isCompressed === next.isCompressed &&
    (held.hostOffset === undefined ? next.hostOffset === undefined : next.hostOffset === held.hostOffset + held.length)
  );
}

function* rawRanges(container: Container, view: View, ranges: Iterable<BlameRange>): Generator<PlacedRange> {
  const { blockBytes } = container;
  for (const { start, length, kind, version } of ranges) {
    if (kind === 'zero') {
      yield { start, length, kind, version, isCompressed: false, hostOffset: undefined };
      continue;
    }
    const end = start + length;
    for (const run of viewRuns(container, view, { start, end })) {
      for (const { first, count, ...place } of places(container, run)) {
        // The range may begin and end within a block.
        const from = Math.max(start, first * blockBytes);
        const to = Math.min(end, (first + count) * blockBytes);
        const hostOffset = place.hostOffset === undefined ? undefined : place.hostOffset + from - first * blockBytes;
        yield { ...place, start: from, length: to - from, version, hostOffset };
      }
    }
  }
}

interface Place extends Pick<PlacedRange, 'kind' | 'isCompressed' | 'hostOffset'> {
  /** Guest blocks. */
  readonly first: number;
  readonly count: number;
}

function* places({ log, reader, blockBytes }: Container, run: Run): Generator<Place> {
  const { start, length } = run;
  const nowhere = { isCompressed: false, hostOffset: undefined };
  if (run.log === undefined || run.kind === EXTENT_KIND.lost) {
    yield { first: start, count: length, kind: run.kind === EXTENT_KIND.lost ? 'lost' : 'zero', ...nowhere };
    return;
  }
  // What this process wrote last has no place in the file yet.
  const storedCount = Math.min(length, Math.max(0, log.firstInMemory - run.log));
  let first = start;
  for (const part of storedCount === 0 ? [] : reader.partsAndLost(run.log, storedCount)) {
    if ('lost' in part) {
      yield { first, count: part.lost, kind: 'lost', ...nowhere };
      first += part.lost;
      continue;
    }
    const { chunk, count } = part;
    const isCompressed = chunk.codec !== CODEC.raw;
    const hostOffset = isCompressed ? undefined : chunk.place + presentBefore(chunk, part.first) * blockBytes;
    yield { first, count, kind: 'data', isCompressed, hostOffset };
    first += count;
  }
  if (storedCount < length) yield { first, count: length - storedCount, kind: 'data', ...nowhere };
}
