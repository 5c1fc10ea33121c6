import { compareMaps } from '../map/compare.ts';
import type { ByteRange, DataTarget, Piece } from '../storage/transfer.ts';
import type { OnProgress } from './api.ts';
import type { Container } from './container.ts';
import { fetchInto, LEAST_FETCHED_BYTES } from './fetch.ts';
import { isDirect, pour } from './transfer.ts';
import { type View, viewPieces } from './view.ts';

/** Ranges that are looked at to see whether threads pay; more of them are little data each, but much work. */
const MAX_WEIGHED_RANGES = 16_384;

export interface SeedOptions {
  readonly onProgress?: OnProgress;
}

export interface SeedReport {
  readonly sizeBytes: number;
  /** What was written: data and zeros. */
  readonly rewrittenBytes: number;
  /** Data of it. */
  readonly dataBytes: number;
}

interface States {
  readonly seed: View;
  readonly view: View;
}

/**
 * Hands to `target`, which holds `seed`, what it lacks to hold `view`; it is finished then, or aborted when anything fails.
 */
export async function exportChanges(
  container: Container,
  { seed, view }: States,
  target: DataTarget,
  { onProgress }: SeedOptions,
): Promise<SeedReport> {
  const { sizeBytes } = view;
  const { descriptor } = container.storage;
  let dataBytes = 0;
  let rewrittenBytes = 0;
  try {
    const { ranges, weight } = weigh(container, view, changedRanges({ seed, view }, container.blockBytes));
    const counted = function* (): Generator<ByteRange> {
      for (const range of ranges) {
        rewrittenBytes += range.end - range.start;
        yield range;
      }
    };
    if (weight === 'much' && descriptor !== undefined && isDirect(target)) {
      await fetchInto(container, { descriptor, view, target, ranges: counted() }, (end, more) => {
        dataBytes += more;
        onProgress?.(end, sizeBytes);
      });
    } else {
      const pieces = piecesOf(container, view, counted());
      dataBytes = await pour(pieces, target, (end) => onProgress?.(end, sizeBytes));
    }
    await target.finish(sizeBytes);
  } catch (error) {
    target.abort();
    throw error;
  }
  return { sizeBytes, rewrittenBytes, dataBytes };
}

/** Where `view` may hold other bytes than `seed`: whole blocks, or up to its end; ascending and apart. */
function* changedRanges({ seed, view }: States, blockBytes: number): Generator<ByteRange> {
  const endBlock = Math.ceil(view.sizeBytes / blockBytes);
  // The block in which the seed ends is taken whole: what follows its end is nowhere written down.
  const grownFrom = view.sizeBytes > seed.sizeBytes ? Math.floor(seed.sizeBytes / blockBytes) : endBlock;
  const inBytes = (start: number, end: number): ByteRange => ({
    start: start * blockBytes,
    end: Math.min(end * blockBytes, view.sizeBytes),
  });
  let held: { start: number; end: number } | undefined;
  for (const { start, end } of compareMaps(seed.map, view.map)) {
    if (start >= grownFrom) break;
    const cutEnd = Math.min(end, grownFrom);
    if (held?.end === start) {
      held.end = cutEnd;
      continue;
    }
    if (held !== undefined) yield inBytes(held.start, held.end);
    held = { start, end: cutEnd };
  }
  if (grownFrom < endBlock && held?.end === grownFrom) {
    held.end = endBlock;
  } else if (grownFrom < endBlock) {
    if (held !== undefined) yield inBytes(held.start, held.end);
    held = { start: grownFrom, end: endBlock };
  }
  if (held !== undefined) yield inBytes(held.start, held.end);
}

/** The same ranges, and whether threads would be ready before what is in them is written. */
function weigh(
  { blockBytes }: Container,
  view: View,
  changes: Generator<ByteRange>,
): { ranges: Iterable<ByteRange>; weight: 'little' | 'much' } {
  const weighed: ByteRange[] = [];
  let dataBytes = 0;
  for (let next = changes.next(); next.done !== true; next = changes.next()) {
    const { start, end } = next.value;
    weighed.push(next.value);
    for (const { length } of view.map.extents(start / blockBytes, Math.ceil(end / blockBytes))) {
      dataBytes += length * blockBytes;
      if (dataBytes >= LEAST_FETCHED_BYTES) break;
    }
    if (dataBytes < LEAST_FETCHED_BYTES && weighed.length < MAX_WEIGHED_RANGES) continue;
    const all = function* (): Generator<ByteRange> {
      yield* weighed;
      yield* changes;
    };
    return { ranges: all(), weight: 'much' };
  }
  return { ranges: weighed, weight: 'little' };
}

function* piecesOf(container: Container, view: View, ranges: Iterable<ByteRange>): Generator<Piece> {
  for (const { start, end } of ranges) yield* viewPieces(container, view, start, end);
}
