import { type Chunk, type ChunkTable, isPresent, type LogRange, presentCount } from '../format/chunk-table.ts';
import type { Segment } from '../log/tables.ts';
import { turnGiver } from '../storage/turns.ts';
import type { Container } from './container.ts';
import type { Survey } from './survey.ts';

/** What becomes of one chunk: it stays, goes, or is written again with only the blocks that are alive. */
export type ChunkPlan = 'keep' | 'drop' | { readonly live: Uint8Array; readonly count: number };

/** Share of a chunk's blocks that must be dead before the chunk is written again without them. */
const DEAD_SHARE = 0.25;
/**
 * What all thinning together must give back, and the share of the file: for less it is not worth writing data again that need
 * not move, and in a small file what is written again may find no place but the end.
 */
const WORTH_BYTES = 16 * 1024;
const WORTH_SHARE = 1 / 200;

export interface SegmentPlan {
  readonly segment: Segment;
  readonly chunks: readonly ChunkPlan[];
  /** No chunk stays. */
  readonly isDead: boolean;
  readonly freedBytes: number;
  /** How many of them writing chunks again gives. */
  readonly thinnedBytes: number;
}

/** What becomes of the segments that do not stay as they are. */
export async function planSegments(
  container: Container,
  survey: Survey,
  segments: readonly Segment[],
): Promise<SegmentPlan[]> {
  const plans: SegmentPlan[] = [];
  const giveTurn = turnGiver();
  for (const segment of segments) {
    const plan = planSegment(container, survey, segment);
    if (plan !== undefined) plans.push(plan);
    await giveTurn();
  }
  const thinnedBytes = plans.reduce((total, plan) => total + plan.thinnedBytes, 0);
  if (thinnedBytes >= Math.max(WORTH_BYTES, survey.used.totalBytes * WORTH_SHARE)) return plans;
  return plans.map(withoutThinning).filter((plan) => plan.isDead || plan.freedBytes > 0);
}

function withoutThinning(plan: SegmentPlan): SegmentPlan {
  return {
    ...plan,
    chunks: plan.chunks.map((chunk) => (typeof chunk === 'string' ? chunk : 'keep')),
    freedBytes: plan.freedBytes - plan.thinnedBytes,
    thinnedBytes: 0,
  };
}

function planSegment(container: Container, survey: Survey, segment: Segment): SegmentPlan | undefined {
  const { entry, firstLog } = segment;
  let liveBlocks = 0;
  for (const range of survey.live.within(firstLog, firstLog + entry.blockCount)) liveBlocks += range.end - range.start;
  if (liveBlocks === entry.blockCount) return undefined;
  const table = container.tables.table(segment);
  const chunks = table.chunks.map((chunk, index) =>
    planChunk(survey, chunk, firstLog + index * container.reader.chunkBlocks),
  );
  // What is known to be lost stays known as long as a map refers to it.
  const isDead = chunks.every((plan) => plan === 'drop') && lostAlive(survey, table).length === 0;
  if (!isDead && chunks.every((plan, index) => plan === 'keep' || table.chunks[index] === undefined)) return undefined;
  let freedBytes = isDead ? entry.lengthBytes : 0;
  let thinnedBytes = 0;
  for (const [index, plan] of chunks.entries()) {
    const bytes = freedBy(plan, table.chunks[index]);
    freedBytes += bytes;
    if (typeof plan === 'object') thinnedBytes += bytes;
  }
  return { segment, chunks, isDead, freedBytes, thinnedBytes };
}

/** What a segment has lost and some map still refers to. */
export function lostAlive(survey: Survey, table: ChunkTable): LogRange[] {
  return table.lost.flatMap(({ start, end }) => [...survey.live.within(start, end)]);
}

function freedBy(plan: ChunkPlan, chunk: Chunk | undefined): number {
  if (chunk === undefined || plan === 'keep') return 0;
  if (plan === 'drop') return chunk.storedBytes;
  return Math.floor(chunk.storedBytes * (1 - plan.count / presentCount(chunk)));
}

function planChunk(survey: Survey, chunk: Chunk | undefined, firstLog: number): ChunkPlan {
  if (chunk === undefined) return 'drop';
  const live = new Uint8Array(Math.ceil(chunk.blockCount / 8));
  let count = 0;
  for (const range of survey.live.within(firstLog, firstLog + chunk.blockCount)) {
    for (let block = range.start - firstLog; block < range.end - firstLog; block++) {
      // What was lost is not here, although maps refer to it.
      if (!isPresent(chunk, block)) continue;
      live[block >>> 3] = (live[block >>> 3] as number) | (1 << (block & 7));
      count++;
    }
  }
  if (count === 0) return 'drop';
  // Writing a chunk again for less only trades dead blocks for holes that no other chunk fits into.
  return count <= presentCount(chunk) * (1 - DEAD_SHARE) ? { live, count } : 'keep';
}
