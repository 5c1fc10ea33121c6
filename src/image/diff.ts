import { compareMaps } from '../map/compare.ts';
import type { ByteRange } from '../storage/transfer.ts';
import type { DiffRange } from './api.ts';
import type { View } from './view.ts';

const EVERYWHERE: ByteRange = { start: 0, end: Number.MAX_SAFE_INTEGER };

/** Ranges, in bytes and ascending, that `b` gives another meaning than `a`; touching ranges of one kind are joined. */
export function* diffViews(a: View, b: View, blockBytes: number, within = EVERYWHERE): Generator<DiffRange> {
  let held: { start: number; end: number; kind: DiffRange['kind'] } | undefined;
  for (const whole of rawRanges(a, b, blockBytes, within)) {
    const range = { ...whole, start: Math.max(whole.start, within.start), end: Math.min(whole.end, within.end) };
    if (range.start >= range.end) continue;
    if (held !== undefined && held.kind === range.kind && held.end === range.start) {
      held.end = range.end;
      continue;
    }
    if (held !== undefined) yield { start: held.start, length: held.end - held.start, kind: held.kind };
    held = { ...range };
  }
  if (held !== undefined) yield { start: held.start, length: held.end - held.start, kind: held.kind };
}

interface RawRange extends ByteRange {
  readonly kind: DiffRange['kind'];
}

function* rawRanges(a: View, b: View, blockBytes: number, within: ByteRange): Generator<RawRange> {
  const both = Math.min(a.sizeBytes, b.sizeBytes);
  // Behind the end of the smaller one everything differs: what is not data there is a hole.
  let covered = both;
  const blocks = { start: Math.floor(within.start / blockBytes), end: Math.ceil(within.end / blockBytes) };
  for (const difference of compareMaps(a.map, b.map, blocks)) {
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
