import { compareMaps } from '../map/compare.ts';
import type { DiffRange } from './api.ts';
import type { View } from './view.ts';

/** Ranges, in bytes and ascending, that `b` gives another meaning than `a`; touching ranges of one kind are joined. */
export function* diffViews(a: View, b: View, blockBytes: number): Generator<DiffRange> {
  let held: { start: number; end: number; kind: DiffRange['kind'] } | undefined;
  for (const range of rawRanges(a, b, blockBytes)) {
    if (held !== undefined && held.kind === range.kind && held.end === range.start) {
      held.end = range.end;
      continue;
    }
    if (held !== undefined) yield { start: held.start, length: held.end - held.start, kind: held.kind };
    held = { ...range };
  }
  if (held !== undefined) yield { start: held.start, length: held.end - held.start, kind: held.kind };
}

interface ByteRange {
  readonly start: number;
  readonly end: number;
  readonly kind: DiffRange['kind'];
}

function* rawRanges(a: View, b: View, blockBytes: number): Generator<ByteRange> {
  const both = Math.min(a.sizeBytes, b.sizeBytes);
  // Behind the end of the smaller one everything differs: what is not data there is a hole.
  let covered = both;
  for (const difference of compareMaps(a.map, b.map)) {
    const start = difference.start * blockBytes;
    const end = Math.min(difference.end * blockBytes, b.sizeBytes);
    if (start >= end) continue;
    const kind = difference.b ? 'data' : 'zero';
    if (start < both) yield { start, end: Math.min(end, both), kind };
    if (end <= both) continue;
    const from = Math.max(start, both);
    if (covered < from) yield { start: covered, end: from, kind: 'hole' };
    covered = end;
    yield { start: from, end, kind: difference.b ? 'data' : 'hole' };
  }
  const last = Math.max(a.sizeBytes, b.sizeBytes);
  if (covered < last) yield { start: covered, end: last, kind: 'hole' };
}
