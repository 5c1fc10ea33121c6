import { decodeSegmentEntry } from '../format/chunk-table.ts';
import type { Header } from '../format/header.ts';
import { CHUNK_BYTES, RECORDS_OFFSET, SEGMENT_BYTES } from '../format/layout.ts';
import type { PageRef, TreeRoot } from '../format/page.ts';
import { numberInKey } from '../format/record-page.ts';
import type { Segment } from '../log/tables.ts';
import { extentLayout } from '../map/layouts.ts';
import { type RecordTree, records } from '../map/records.ts';
import { loosenTree, type Mover, moveTree } from '../map/walk.ts';
import { unusedSpace } from '../space/space.ts';
import { turnGiver } from '../storage/turns.ts';
import type { NumberedVersion } from '../versions/version-table.ts';
import type { Container } from './container.ts';
import { endOfSegment, moveSegment } from './move-segment.ts';

const MAX_ROUNDS = 4;
/** Each moves the log as far as the free space before it is long. */
const MAX_SLIDES = 8;
/**
 * What may stay behind the used bytes: the reserve, the pages the last publications gave up, and holes too
 * small for anything. Moving records for less than that would write more than it gives back.
 */
const SLACK_BYTES = 16 * 1024;
const SLACK_SHARE = 0.01;
/** Pages of the trees of free space may get so much longer by what they list then, with those above them. */
const PAGES_GROWTH = 2;

/** True if records that end at `end` could end so much lower that moving them pays. */
export function isWorthCompacting(end: number, least: number): boolean {
  return end > least + Math.max(SLACK_BYTES, least * SLACK_SHARE);
}

/** Free space from this length on is worth sliding a log down that is in good order: less may be what sliding could not fill. */
const SLIDE_BYTES = 64 * 1024;
const SLIDE_SHARE = 0.02;

/** True if a file whose log is in good order has so much space in it that sliding the log down pays. */
export function isWorthSliding({ end, freeBytes, pendingBytes }: Header['space']): boolean {
  return freeBytes + pendingBytes > Math.max(SLIDE_BYTES, end * SLIDE_SHARE);
}

/** Where the records would end without gaps, once everything that is not in use is listed as unused. */
function leastEnd(container: Container): number {
  const { space } = container.header;
  return space.end - unusedSpace(space);
}

export interface TailOptions {
  /** 'stay': segments are left where they are. */
  readonly segments: 'move' | 'stay';
  /** Only what lies behind it moves, and only if the records end behind it; without it, as much as pays. */
  readonly end?: number;
}

/** Moves what lies at the end of the file into free space before it, and cuts the file. */
export async function compactTail(container: Container, { segments, end }: TailOptions): Promise<void> {
  await settle(container);
  const { space } = container;
  let vainRounds = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const endBefore = container.header.space.end;
    const limit = end ?? leastEnd(container);
    const isWorth = end === undefined ? isWorthCompacting(endBefore, limit) : endBefore > end;
    if (!isWorth || container.header.space.freeBytes === 0) break;
    container.begin();
    // The reserve would only stand in the way.
    space.emptyReserve();
    if (segments === 'move') await moveSegments(container, limit);
    await moveMaps(container, limit);
    loosenBehind(Object.values(container.trees), limit);
    // Pages that find no room in the reserve go to the end of the file, where they would be in the way again.
    const spacePageBytes = loosenBehind([space.free, space.bySize, space.pending], limit);
    space.fillReserve(spacePageBytes * PAGES_GROWTH);
    await container.publish();
    await settle(container);
    // Where the records need more than the holes before them, the first round only moves the holes behind them.
    if (container.header.space.end >= endBefore && ++vainRounds === 2) break;
  }
  cutFile(container);
}

/** Of pages behind `limit`, and those above them, new ones will be written; returns how many bytes these pages take now. */
function loosenBehind(trees: readonly RecordTree[], limit: number): number {
  let loosenedBytes = 0;
  for (const tree of trees)
    loosenTree(tree, (ref) => {
      if (ref.place + ref.lengthBytes <= limit) return false;
      loosenedBytes += ref.lengthBytes;
      return true;
    });
  return loosenedBytes;
}

/** Moves all segments behind the end of the file, so that the gaps between them become one: as much free space as the log is long. */
export async function liftLog(container: Container): Promise<void> {
  const { space } = container;
  container.begin();
  space.keepOrder();
  const buffer = new Uint8Array(SEGMENT_BYTES);
  const giveTurn = turnGiver();
  for (const segment of segmentsOf(container)) {
    await giveTurn();
    moveSegment(container, segment, {
      buffer,
      placeForAll: (lengthBytes) => space.allocate(lengthBytes, 'lasting'),
      placeForChunk: () => undefined,
      placeForTable: () => undefined,
      giveBack: (place, lengthBytes) => space.giveBack(place, lengthBytes),
    });
  }
  await container.publish();
}

/** Moves segments down into free space, the first ones first, so that they lie in the file as they follow each other in the log. */
export async function slideLog(container: Container): Promise<void> {
  await settle(container);
  for (let slide = 0; slide < MAX_SLIDES; slide++) {
    const { end, freeBytes } = container.header.space;
    if (!isWorthCompacting(end, end - freeBytes)) return;
    container.begin();
    container.space.emptyReserve();
    const isMoved = await slideOnce(container);
    container.space.fillReserve();
    await container.publish();
    if (!isMoved) return;
    await settle(container);
  }
}

async function slideOnce(container: Container): Promise<boolean> {
  const { space } = container;
  let cursor = RECORDS_OFFSET;
  let isMoved = false;
  const buffer = new Uint8Array(SEGMENT_BYTES);
  const take = (lengthBytes: number, place: number, skippedBytes?: number): number | undefined => {
    const range = { start: cursor, end: place };
    const found = space.allocateWithin(lengthBytes, range, skippedBytes === undefined ? {} : { skippedBytes });
    if (found !== undefined) {
      cursor = found + lengthBytes;
      isMoved = true;
    }
    return found;
  };
  const giveTurn = turnGiver();
  for (const segment of segmentsOf(container)) {
    await giveTurn();
    const end = endOfSegment(segment, container.tables.table(segment));
    if (!space.isFreeWithin({ start: cursor, end })) {
      cursor = Math.max(cursor, end);
      continue;
    }
    moveSegment(container, segment, {
      buffer,
      placeForAll: (lengthBytes, place) => take(lengthBytes, place, CHUNK_BYTES),
      placeForChunk: (lengthBytes, place) => {
        const found = take(lengthBytes, place);
        if (found === undefined) cursor = Math.max(cursor, place + lengthBytes);
        return found;
      },
      placeForTable: take,
      giveBack: (place, lengthBytes) => {
        space.giveBack(place, lengthBytes);
        cursor = place;
      },
    });
  }
  return isMoved;
}

function segmentsOf(container: Container): Segment[] {
  return [...records(container.trees.log)].map(({ key, value }) => ({
    firstLog: numberInKey(key),
    entry: decodeSegmentEntry(value),
  }));
}

/** Publishes until what was given back so far is free, and the end of the records is as low as it can be. */
export async function settle(container: Container): Promise<void> {
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

/** What lies behind `limit` goes below it, as far as it fits; segments in the order of their places, which is mostly that of the log. */
async function moveSegments(container: Container, limit: number): Promise<void> {
  const { space } = container;
  const buffer = new Uint8Array(SEGMENT_BYTES);
  const giveTurn = turnGiver();
  for (const segment of segmentsOf(container).sort((a, b) => a.entry.place - b.entry.place)) {
    await giveTurn();
    moveSegment(container, segment, {
      buffer,
      placeForAll: (lengthBytes, place) => (place >= limit ? space.allocateBelow(lengthBytes, place) : undefined),
      // Lower is better, even where the chunk does not fit below the limit.
      placeForChunk: (lengthBytes, place) =>
        place + lengthBytes > limit ? space.allocateBelow(lengthBytes, place) : undefined,
      placeForTable: (lengthBytes, place) =>
        place + lengthBytes > limit ? space.allocateBelow(lengthBytes, place) : undefined,
      giveBack: (place, lengthBytes) => space.giveBack(place, lengthBytes),
    });
  }
}

async function moveMaps(container: Container, limit: number): Promise<void> {
  const { versions, pages, space, storage, map } = container;
  const old: { readonly ref: PageRef; readonly birth: number }[] = [];
  const mover: Mover = {
    moved: new Map(),
    isInTheWay: ({ place, lengthBytes }) => place + lengthBytes > limit,
    placeFor: ({ place, lengthBytes }) => space.allocateBelow(lengthBytes, place),
    placeAnywhere: (lengthBytes) => space.allocateBelow(lengthBytes, limit) ?? space.allocate(lengthBytes, 'lasting'),
    write: (bytes, place) => storage.write(bytes, place),
    gaveUp: (ref, birth) => old.push({ ref, birth }),
  };
  const move = (root: TreeRoot): TreeRoot => moveTree(extentLayout, pages, root, mover);
  const changed: { readonly version: NumberedVersion; readonly next: TreeRoot }[] = [];
  const giveTurn = turnGiver();
  for (const version of versions.oldestFirst()) {
    const next = move(version.map);
    if (next !== version.map) changed.push({ version, next });
    await giveTurn();
  }
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
