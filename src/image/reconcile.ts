import { unlessCorrupt } from '../errors.ts';
import { EXTENT_KIND, type Extent } from '../format/extent-page.ts';
import type { ExtentMap, MapChange } from '../map/extent-map.ts';
import type { BlockSet } from '../storage/block-set.ts';
import { turnGiver } from '../storage/turns.ts';
import { headView } from './commit.ts';
import type { Container } from './container.ts';
import { readBlocks } from './view.ts';
import { noteCovered } from './write.ts';

/** Blocks that are looked at together. */
const WINDOW_BLOCKS = 256;
/** Of a window so many are tried first: where none is as it was, the others are hardly ever. */
const TRIED_BLOCKS = 4;
/** After so many blocks that all differ, only one window of several is still tried. */
const VAIN_BLOCKS = 256;
const STEP_AFTER_VAIN = 16;

/**
 * Blocks of the working state that hold what the version checked out holds there become that version's again, so that neither
 * its difference nor the file has them twice. For `written`, which was written without a look at what was there. Where samples
 * tell that nothing is the same, the rest is not read.
 */
export async function reconcile(container: Container, written: BlockSet): Promise<void> {
  const before = headView(container).map;
  const giveTurn = turnGiver();
  let tried = 0;
  let found = 0;
  let passed = 0;
  for (const { start, end, isMember } of written.runs(
    0,
    Math.ceil(container.workingSizeBytes / container.blockBytes),
  )) {
    if (!isMember) continue;
    for (let from = start; from < end; from += WINDOW_BLOCKS) {
      const window = { start: from, end: Math.min(end, from + WINDOW_BLOCKS) };
      if (tried > VAIN_BLOCKS && found === 0 && ++passed % STEP_AFTER_VAIN !== 0) continue;
      const samples = samplesOf(window);
      tried += samples.length;
      const same = samples.filter((block) => sameRuns(container, before, block, block + 1).length > 0).length;
      found += same;
      if (same > 0) takeBack(container, sameRuns(container, before, window.start, window.end));
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
  }
}

function samplesOf({ start, end }: { readonly start: number; readonly end: number }): number[] {
  const count = Math.min(TRIED_BLOCKS, end - start);
  return Array.from({ length: count }, (_, index) => start + Math.floor((index * (end - start)) / count));
}

function takeBack(container: Container, changes: readonly MapChange[]): void {
  if (changes.length === 0) return;
  container.begin();
  container.map.setAll(changes, (extent) => noteCovered(container, extent));
}

/** Runs of `[start, end)` that are stored twice, as the version has them. What can not be read stays as it is. */
function sameRuns(container: Container, before: ExtentMap, start: number, end: number): MapChange[] {
  const { blockBytes, map } = container;
  const changes: MapChange[] = [];
  for (const old of before.extents(start, end)) {
    if (old.kind !== EXTENT_KIND.data) continue;
    for (const now of map.extents(old.start, old.start + old.length)) {
      const log = old.log + now.start - old.start;
      if (now.kind !== EXTENT_KIND.data || now.log === log) continue;
      const [there, here] = [before, map].map((each) => bytesOf(container, each, now));
      if (there === undefined || here === undefined) continue;
      for (let block = 0; block < now.length; block++) {
        const [from, to] = [block * blockBytes, (block + 1) * blockBytes];
        if (Buffer.compare(there.subarray(from, to), here.subarray(from, to)) !== 0) continue;
        const last = changes[changes.length - 1];
        if (
          last !== undefined &&
          last.start + last.length === now.start + block &&
          (last.log ?? 0) + last.length === log + block
        )
          changes[changes.length - 1] = { ...last, length: last.length + 1 };
        else changes.push({ start: now.start + block, length: 1, log: log + block });
      }
    }
  }
  return changes;
}

function bytesOf(container: Container, map: ExtentMap, { start, length }: Extent): Uint8Array | undefined {
  const bytes = new Uint8Array(length * container.blockBytes);
  return unlessCorrupt(() => {
    readBlocks(container, map, start, bytes);
    return bytes;
  });
}
