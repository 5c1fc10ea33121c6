import { changedRuns } from '../map/compare.ts';
import type { Run } from '../map/extent-map.ts';
import type { DataTarget } from '../storage/transfer.ts';
import type { OnProgress } from './api.ts';
import type { Container } from './container.ts';
import { fetchInto, LEAST_FETCHED_BYTES } from './fetch.ts';
import { isDirect, pour } from './transfer.ts';
import { runPieces, type View } from './view.ts';

/** Runs that are looked at to see whether threads pay; more of them are little data each, but much work. */
const MAX_WEIGHED_RUNS = 16_384;

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
    const { runs, weight } = weigh(container, runsToWrite({ seed, view }, container.blockBytes));
    const counted = function* (): Generator<Run> {
      for (const run of runs) {
        const start = run.start * container.blockBytes;
        rewrittenBytes += Math.min(run.length * container.blockBytes, sizeBytes - start);
        yield run;
      }
    };
    if (weight === 'much' && descriptor !== undefined && isDirect(target)) {
      await fetchInto(container, { view, target, runs: counted() }, (end, more) => {
        dataBytes += more;
        onProgress?.(end, sizeBytes);
      });
    } else {
      const pieces = runPieces(container, counted(), { start: 0, end: sizeBytes });
      dataBytes = await pour(pieces, target, (end) => onProgress?.(end, sizeBytes));
    }
    await target.finish(sizeBytes);
  } catch (error) {
    target.abort();
    throw error;
  }
  return { sizeBytes, rewrittenBytes, dataBytes };
}

/** Runs of `view` where it may hold other bytes than `seed`; ascending and apart. */
function* runsToWrite({ seed, view }: States, blockBytes: number): Generator<Run> {
  const endBlock = Math.ceil(view.sizeBytes / blockBytes);
  // The block in which the seed ends is taken whole: what follows its end is nowhere written down.
  const grownFrom = view.sizeBytes > seed.sizeBytes ? Math.floor(seed.sizeBytes / blockBytes) : endBlock;
  for (const run of changedRuns(seed.map, view.map)) {
    if (run.start >= grownFrom) break;
    yield { ...run, length: Math.min(run.length, grownFrom - run.start) };
  }
  yield* view.map.runs(grownFrom, endBlock);
}

/** The same runs, and whether threads would be ready before what is in them is written. */
function weigh({ blockBytes }: Container, changes: Generator<Run>): { runs: Iterable<Run>; weight: 'little' | 'much' } {
  const weighed: Run[] = [];
  let dataBytes = 0;
  for (let next = changes.next(); next.done !== true; next = changes.next()) {
    weighed.push(next.value);
    if (next.value.log !== undefined) dataBytes += next.value.length * blockBytes;
    if (dataBytes < LEAST_FETCHED_BYTES && weighed.length < MAX_WEIGHED_RUNS) continue;
    const all = function* (): Generator<Run> {
      yield* weighed;
      yield* changes;
    };
    return { runs: all(), weight: 'much' };
  }
  return { runs: weighed, weight: 'little' };
}
