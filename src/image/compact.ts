import { unlessCorrupt } from '../errors.ts';
import type { Chunk } from '../format/chunk-table.ts';
import { RECORDS_OFFSET } from '../format/layout.ts';
import type { PageRef, TreeRoot } from '../format/page.ts';
import type { SealedChunk } from '../log/seal.ts';
import type { Segment } from '../log/tables.ts';
import { extentLayout } from '../map/layouts.ts';
import { loosenTree, type Mover, moveTree } from '../map/walk.ts';
import type { Container } from './container.ts';
import { surveyContainer } from './survey.ts';

const MAX_ROUNDS = 4;
/**
 * What may stay behind the used bytes: the reserve, the pages the last publications gave up, and holes too
 * small for anything. Moving records for less than that would write more than it gives back.
 */
const SLACK_BYTES = 16 * 1024;
const SLACK_SHARE = 0.01;

/** True if records that end at `end` could end so much lower that moving them pays. */
export function isWorthCompacting(end: number, least: number): boolean {
  return end > least + Math.max(SLACK_BYTES, least * SLACK_SHARE);
}

/** Moves what lies at the end of the file into free space before it, and cuts the file. */
export async function compactTail(container: Container): Promise<void> {
  await settle(container);
  let vainRounds = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const endBefore = container.header.space.end;
    const segments: Segment[] = [];
    const survey = surveyContainer(container, { segment: (segment) => segments.push(segment) });
    const limit = RECORDS_OFFSET + survey.used.totalBytes;
    if (!isWorthCompacting(endBefore, limit) || container.header.space.freeBytes === 0) break;
    container.begin();
    // The reserve would only stand in the way.
    container.space.emptyReserve();
    moveSegments(container, segments, limit);
    moveMaps(container, limit);
    for (const tree of [
      ...Object.values(container.trees),
      container.space.free,
      container.space.bySize,
      container.space.pending,
    ]) {
      loosenTree(tree, (ref) => ref.place + ref.lengthBytes > limit);
    }
    container.space.fillReserve();
    await container.publish();
    await settle(container);
    // Where the records need more than the holes before them, the first round only moves the holes behind them.
    if (container.header.space.end >= endBefore && ++vainRounds === 2) break;
  }
  cutFile(container);
}

/** Publishes until what was given back so far is free, and the end of the records is as low as it can be. */
async function settle(container: Container): Promise<void> {
  for (let step = 0; step < 2; step++) {
    container.begin();
    await container.publish();
  }
}

/** Gives the file system back what lies behind the end of the records. */
export function cutFile(container: Container): void {
  const { end } = container.header.space;
  if (container.storage.size() <= end) return;
  // Both slots must say so first: an older one may still name what lies behind.
  container.sync();
  container.storage.truncate(end);
}

function moveSegments(container: Container, segments: readonly Segment[], limit: number): void {
  const { tables, log, space, reader } = container;
  // What lies last moves first; tables lie behind their chunks.
  for (const segment of [...segments].sort((a, b) => b.entry.place - a.entry.place)) {
    const { entry } = segment;
    const table = tables.table(segment);
    let isMoved = entry.place + entry.lengthBytes > limit;
    const places = new Map<SealedChunk, number>();
    const chunks = table.chunks.map((chunk): Chunk | SealedChunk | undefined => {
      if (chunk === undefined || chunk.place + chunk.storedBytes <= limit) return chunk;
      // Lower is better, even where the chunk does not fit below the limit.
      const stored = unlessCorrupt(() => reader.storedBytes(chunk));
      const place = stored === undefined ? undefined : space.allocateBelow(chunk.storedBytes, chunk.place);
      if (place === undefined || stored === undefined) return chunk;
      isMoved = true;
      const moved = { chunk, stored };
      places.set(moved, place);
      return moved;
    });
    if (!isMoved) continue;
    const queue = [...places.values()];
    log.rewrite(
      segment,
      chunks,
      (lengthBytes) =>
        queue.shift() ?? space.allocateBelow(lengthBytes, limit) ?? space.allocate(lengthBytes, 'lasting'),
    );
  }
}

function moveMaps(container: Container, limit: number): void {
  const { versions, pages, space, storage, map } = container;
  const old: { readonly ref: PageRef; readonly birth: number }[] = [];
  const mover: Mover = {
    moved: new Map(),
    placeFor: (ref) =>
      ref.place + ref.lengthBytes > limit ? space.allocateBelow(ref.lengthBytes, ref.place) : undefined,
    placeAnywhere: (lengthBytes) => space.allocateBelow(lengthBytes, limit) ?? space.allocate(lengthBytes, 'lasting'),
    write: (bytes, place) => storage.write(bytes, place),
    gaveUp: (ref, birth) => old.push({ ref, birth }),
  };
  const move = (root: TreeRoot): TreeRoot => moveTree(extentLayout, pages, root, mover);
  const changed = [...versions.oldestFirst()].flatMap((version) => {
    const next = move(version.map);
    return next === version.map ? [] : [{ version, next }];
  });
  for (const { version, next } of changed) {
    const { number, ...record } = version;
    versions.put(number, { ...record, map: next });
  }
  map.tree.adopt(move(map.tree.savedRoot));
  for (const { ref, birth } of old) {
    pages.forget(ref.place);
    space.release(ref.place, ref.lengthBytes, birth);
  }
}
