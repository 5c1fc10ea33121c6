import { corrupt, VsimgError } from '../errors.ts';
import {
  type Chunk,
  type ChunkTable,
  CODEC,
  encodeSegmentEntry,
  isPresent,
  type LogRange,
} from '../format/chunk-table.ts';
import type { Header } from '../format/header.ts';
import { RECORDS_OFFSET } from '../format/layout.ts';
import { numberKey } from '../format/record-page.ts';
import { type SealedChunk, sealChunk } from '../log/seal.ts';
import type { Segment } from '../log/tables.ts';
import { type MapMender, mendMap } from '../map/mend.ts';
import { putRecord } from '../map/records.ts';
import type { HostRange } from '../space/host-range.ts';
import { UNKNOWN_BIRTH } from '../space/pending.ts';
import type { OnProgress, RepairReport } from './api.ts';
import type { Container } from './container.ts';
import { findGarbage } from './gc.ts';
import { type Inspection, inspectContainer } from './inspect.ts';
import { mendHistory } from './mend-history.ts';
import { RangeSet } from './ranges.ts';
import { surveyContainer } from './survey.ts';
import { refuseHeld } from './transaction.ts';

export interface Repaired {
  /** To be used instead of the one given. */
  readonly container: Container;
  readonly report: RepairReport;
}

/** Errors: 'refused' for changes that are not published. */
export function checkRepair(container: Container): void {
  refuseHeld(container, 'repair');
  if (!container.isChanged) return;
  const { name: path } = container.storage;
  throw new VsimgError('refused', `'${path}' has changes that are not published`, {
    path,
    hint: 'publish them, or open it again',
  });
}

/**
 * Saves what can be saved: whatever is damaged is left out of new trees, which are written behind everything
 * that is there; what was lost with it gives an error from now on. Nothing in use is overwritten, and until
 * the one publication that makes all of it true, the container is as it was.
 *
 * Errors: 'io' if the disk itself fails to read, for then a copy may be read better than this; 'corrupt' when
 * records overlap, so that writing one may destroy the other.
 */
export async function repairContainer(
  container: Container,
  options: { readonly onProgress?: OnProgress },
): Promise<Repaired> {
  const actions: string[] = [];
  const inspection = await inspectContainer(container, { data: true, ...options });
  const { diskError, findings, survey, unlistedBytes } = inspection;
  const { name } = container.storage;
  if (diskError !== undefined)
    throw new VsimgError('io', `${name}: the disk itself can not be read: ${diskError.message}`, {
      hint: 'copy the file to a good disk first, with ddrescue for instance, and repair the copy',
      cause: diskError,
    });
  if (survey.used.overlap !== undefined)
    throw corrupt(`${name}: two records overlap at ${survey.used.overlap.start}, so nothing can be written safely`);
  const isLeaking = unlistedBytes > 0 && container.unreclaimed === 0;
  const { damagedSlot } = container;
  if (damagedSlot !== null)
    actions.push(`the ${damagedSlot} header was damaged or out of date: written again from the other one`);
  if (findings.count === 0 && !isLeaking) {
    if (damagedSlot !== null) {
      container.begin();
      await container.publish();
    }
    return { container, report: { actions } };
  }
  const next = container.withHeader(planHeader(container, inspection));
  try {
    next.begin();
    await mendLog(next, inspection, actions);
    mendHistory(container, next, inspection, actions);
    mendMaps(next, inspection, actions);
    await next.publish();
    actions.push(await rebuildSpace(next, isLeaking ? unlistedBytes : 0));
  } catch (error) {
    next.close();
    throw error;
  }
  return { container: next, report: { actions } };
}

/** The header to start from: without the trees that are made anew, and with nothing listed as free. */
function planHeader(container: Container, { damaged, survey, segments, versions }: Inspection): Header {
  const { header, generation, storage } = container;
  const sizeBytes = storage.size();
  let end = Math.max(RECORDS_OFFSET, Math.min(header.space.end, sizeBytes));
  for (const used of survey.used.ranges()) if (used.end <= sizeBytes) end = Math.max(end, used.end);
  let nextLog = header.log.next;
  for (const live of survey.live.ranges()) nextLog = Math.max(nextLog, live.end);
  for (const { firstLog, entry } of segments) nextLog = Math.max(nextLog, firstLog + entry.blockCount);
  const names = damaged.has('versions') || damaged.has('refs') || damaged.has('marks');
  return {
    ...header,
    nextVersion: Math.max(header.nextVersion, ...versions.slice(-1).map(({ number }) => number + 1)),
    versionCount: versions.length,
    // Until free space is listed again, there is some that nothing lists; and later pages that only the working
    // state had, which count as shared.
    unreclaimed: 1,
    // Every page counts as shared and every block as belonging to a version: only gc gives them back.
    working: { ...header.working, sharedGeneration: generation },
    log: { next: nextLog, youngMark: nextLog, dataBytes: survey.dataBytes, deadBlocks: 0 },
    trees: {
      versions: damaged.has('versions') ? null : header.trees.versions,
      children: damaged.has('versions') || damaged.has('children') ? null : header.trees.children,
      refs: names ? null : header.trees.refs,
      marks: names ? null : header.trees.marks,
      log: damaged.has('log') ? null : header.trees.log,
    },
    space: { free: null, bySize: null, pending: null, reserve: [], end, freeBytes: 0, pendingBytes: 0 },
  };
}

/** Segments without what can not be read; log blocks that are gone are entered as lost. */
async function mendLog(next: Container, inspection: Inspection, actions: string[]): Promise<void> {
  const { damaged, survey, bad, missing } = inspection;
  const lost = new RangeSet();
  for (const { start, end } of bad.ranges())
    for (const range of survey.live.within(start, end)) lost.add(range.start, range.end);
  for (const { start, end } of missing.ranges())
    for (const gap of survey.lost.gaps(start, end)) lost.add(gap.start, gap.end);
  const segments = apart(inspection.segments);
  if (damaged.has('log')) {
    for (const { firstLog, entry } of segments)
      putRecord(next.trees.log, numberKey(firstLog), encodeSegmentEntry(entry));
  }
  const outside = new RangeSet();
  for (const { start, end } of lost.ranges()) outside.add(start, end);
  const known = new RangeSet();
  for (const segment of segments) {
    const end = segment.firstLog + segment.entry.blockCount;
    known.add(segment.firstLog, end);
    const isTouched = [bad, lost].some((set) => set.within(segment.firstLog, end).next().done !== true);
    if (isTouched) await mendSegment(next, segment, bad, lost);
  }
  for (const range of outside.ranges())
    for (const gap of known.gaps(range.start, range.end)) next.log.giveUp(gap.start, gap.end);
  const blocks = lost.totalBytes;
  if (blocks > 0) actions.push(`${blocks * next.blockBytes} bytes of stored data can not be read: marked as lost`);
}

/** Of two segments that claim the same blocks only the first is kept: no writer makes such. */
function apart(segments: readonly Segment[]): Segment[] {
  let end = 0;
  return segments.filter(({ firstLog, entry }) => {
    if (firstLog < end) return false;
    end = firstLog + entry.blockCount;
    return true;
  });
}

async function mendSegment(next: Container, segment: Segment, bad: RangeSet, lost: RangeSet): Promise<void> {
  const table = next.tables.table(segment);
  const chunks: (Chunk | SealedChunk | undefined)[] = [];
  let first = table.firstLog;
  for (const chunk of table.chunks) {
    const blockCount = chunk?.blockCount ?? next.reader.chunkBlocks;
    const isWhole = bad.within(first, first + blockCount).next().done === true;
    chunks.push(chunk === undefined || isWhole ? chunk : await goodBlocks(next, chunk, first, bad));
    first += blockCount;
  }
  const allocate = (lengthBytes: number): number => next.space.allocate(lengthBytes, 'lasting');
  next.log.replaceTable(segment, chunks, { allocate, lost: lostIn(table, lost) });
}

/** What a table knows to be lost, and what is lost now. */
function lostIn(table: ChunkTable, lost: RangeSet): LogRange[] {
  const all = new RangeSet();
  for (const { start, end } of table.lost) all.add(start, end);
  for (const { start, end } of lost.within(table.firstLog, table.firstLog + table.blockCount)) all.add(start, end);
  return [...all.ranges()];
}

/** The chunk with those of its blocks that can be read; undefined if that is none, as for every compressed one. */
async function goodBlocks(
  next: Container,
  chunk: Chunk,
  first: number,
  bad: RangeSet,
): Promise<SealedChunk | undefined> {
  if (chunk.codec !== CODEC.raw) return undefined;
  const { blockBytes, reader, header } = next;
  const good: Uint8Array[] = [];
  const present = new Uint8Array(Math.ceil(chunk.blockCount / 8));
  for (let block = 0; block < chunk.blockCount; block++) {
    if (!isPresent(chunk, block) || bad.within(first + block, first + block + 1).next().done !== true) continue;
    const bytes = new Uint8Array(blockBytes);
    reader.read(first + block, bytes);
    good.push(bytes);
    present[block >>> 3] = (present[block >>> 3] as number) | (1 << (block & 7));
  }
  if (good.length === 0) return undefined;
  return sealChunk(Buffer.concat(good), chunk.blockCount, present, {
    blockBytes,
    compression: header.compression,
    amount: 'few',
  });
}

function mendMaps(next: Container, { damaged, versions }: Inspection, actions: string[]): void {
  if (!damaged.has('map')) return;
  const { pages, space, storage, map, blockBytes } = next;
  let pageCount = 0;
  const mender: MapMender = {
    birth: next.generation,
    writePage: (bytes) => {
      pageCount++;
      const place = space.allocate(bytes.length, 'lasting');
      storage.write(bytes, place);
      return place;
    },
    mended: new Map(),
  };
  for (const { number } of versions) {
    const version = next.versions.need(number);
    const { map: root, sizeBytes } = version;
    const mended = mendMap(pages, root, Math.ceil(sizeBytes / blockBytes), mender);
    if (mended !== root) next.versions.put(number, { ...version, map: mended });
  }
  map.tree.adopt(mendMap(pages, map.tree.savedRoot, Math.ceil(next.workingSizeBytes / blockBytes), mender));
  if (pageCount > 0) actions.push('pages of interval maps can not be read: what they mapped is marked as lost');
}

async function garbageOf(container: Container): Promise<HostRange[] | undefined> {
  try {
    return findGarbage(container, await surveyContainer(container));
  } catch (error) {
    if (error instanceof VsimgError && error.code === 'corrupt') return undefined;
    throw error;
  }
}

/** Lists as free what nothing refers to; says so. */
async function rebuildSpace(next: Container, leakedBytes: number): Promise<string> {
  const garbage = await garbageOf(next);
  if (garbage === undefined) return 'free space could not be listed anew: something else is wrong still';
  next.begin();
  for (const { start, end } of garbage) next.space.release(start, end - start, UNKNOWN_BIRTH);
  await next.publish();
  return `free space was listed anew${leakedBytes > 0 ? `; ${leakedBytes} leaked bytes came back` : ''}`;
}
