import { VsimgError } from '../errors.ts';
import { type ChunkTable, CODEC } from '../format/chunk-table.ts';
import { EXTENT_KIND, type Extents, extentCount, extentEnd, extentStart } from '../format/extent-page.ts';
import { RECORDS_OFFSET } from '../format/layout.ts';
import { blake3 } from '../log/hash.ts';
import type { Segment } from '../log/tables.ts';
import { ExtentMap } from '../map/extent-map.ts';
import { unusedSpace } from '../space/space.ts';
import { turnGiver } from '../storage/turns.ts';
import type { CheckFinding, CheckReport, OnProgress } from './api.ts';
import type { Container } from './container.ts';
import { RangeSet } from './ranges.ts';
import { type DamagePlace, type MapOwner, type Survey, surveyContainer } from './survey.ts';

const MAX_FINDINGS = 200;

export interface CheckOptions {
  /** Read and verify every chunk too. */
  readonly data?: boolean;
  readonly onProgress?: OnProgress;
}

/** Walks the whole container and collects what is wrong with it; changes nothing. */
export async function checkContainer(container: Container, options: CheckOptions): Promise<CheckReport> {
  const findings: CheckFinding[] = [];
  const add = (finding: CheckFinding): void => {
    if (findings.length < MAX_FINDINGS) findings.push(finding);
  };
  const unreadable = new RangeSet();
  const segments: Segment[] = [];
  const total = container.header.log.dataBytes;
  let dataBytesChecked = 0;
  let previous: { readonly leaf: Extents; readonly owner: MapOwner } | undefined;
  const survey = surveyContainer(container, {
    damage: (error, where) => add(damageFinding(container, error, where)),
    segment: (segment) => {
      if (options.data === true) segments.push(segment);
    },
    extents: (extents, owner) => {
      // Pages that maps share are seen once, so only pages of one walk can be compared with the one before.
      if (
        previous?.owner === owner &&
        extentStart(extents, 0) < extentEnd(previous.leaf, extentCount(previous.leaf) - 1) &&
        extentStart(extents, 0) > extentStart(previous.leaf, 0)
      ) {
        add({
          message: `${ownerName(owner)}: extents overlap at byte ${extentStart(extents, 0) * container.blockBytes} of the disk`,
          ...versionOf(owner),
        });
      }
      previous = { leaf: extents, owner };
    },
  });
  const giveTurn = turnGiver();
  for (const segment of segments) {
    const table = container.tables.table(segment);
    for (const { message, first, blockCount, place } of badChunks(container, table)) {
      unreadable.add(first, first + blockCount);
      add({ message, hostOffset: place });
    }
    dataBytesChecked += table.chunks.reduce((sum, chunk) => sum + (chunk?.storedBytes ?? 0), 0);
    options.onProgress?.(dataBytesChecked, total);
    await giveTurn();
  }
  for (const range of survey.live.ranges()) {
    for (const gap of survey.held.gaps(range.start, range.end)) unreadable.add(gap.start, gap.end);
  }
  for (const finding of lostRanges(container, unreadable)) {
    if (findings.length === MAX_FINDINGS) break;
    add(finding);
  }
  const unlistedBytes = checkSpace(container, survey, findings.length > 0, add);
  const isGarbage = container.unreclaimed > 0;
  if (survey.versions !== container.header.versionCount && findings.length === 0) {
    add({
      message: `the header counts ${container.header.versionCount} versions, the version table holds ${survey.versions}`,
    });
  }
  if (findings.length === 0) checkVersions(container, add);
  return {
    errors: findings,
    leakedBytes: isGarbage ? 0 : unlistedBytes,
    reclaimableBytes: isGarbage ? unlistedBytes : 0,
    pagesChecked: survey.pages,
    segmentsChecked: survey.segments,
    dataBytesChecked,
    versionsChecked: survey.versions,
  };
}

function ownerName(owner: MapOwner): string {
  return owner === null ? 'working state' : `version ${owner}`;
}

function versionOf(owner: MapOwner | undefined): { version?: number } {
  return typeof owner === 'number' ? { version: owner } : {};
}

function damageFinding(container: Container, error: unknown, where: DamagePlace): CheckFinding {
  if (!(error instanceof VsimgError) || (error.code !== 'corrupt' && error.code !== 'io')) throw error;
  const { blockBytes } = container;
  const place = error.hostOffset === undefined ? {} : { hostOffset: error.hostOffset };
  if (where.owner === undefined) return { message: error.message, ...place };
  const from = (where.from ?? 0) * blockBytes;
  const range =
    where.to === undefined
      ? `from byte ${from} of the disk on`
      : `bytes ${from} to ${where.to * blockBytes} of the disk`;
  return {
    message: `${ownerName(where.owner)}, ${range}: ${error.message}`,
    ...place,
    ...versionOf(where.owner),
    guestOffset: from,
  };
}

interface BadChunk {
  readonly message: string;
  readonly first: number;
  readonly blockCount: number;
  readonly place: number;
}

function* badChunks(container: Container, table: ChunkTable): Generator<BadChunk> {
  let first = table.firstLog;
  for (const chunk of table.chunks) {
    const blockCount = chunk?.blockCount ?? container.reader.chunkBlocks;
    if (chunk !== undefined) {
      try {
        const raw =
          chunk.codec === CODEC.raw
            ? container.reader.storedBytes(chunk)
            : container.reader.decode(chunk, { cache: 'bypass' });
        if (Buffer.compare(blake3(raw), chunk.hash) !== 0)
          throw new VsimgError('corrupt', `chunk at ${chunk.place} has a wrong hash`);
      } catch (error) {
        if (!(error instanceof VsimgError) || (error.code !== 'corrupt' && error.code !== 'io')) throw error;
        yield { message: error.message, first, blockCount, place: chunk.place };
      }
    }
    first += blockCount;
  }
}

/** What unreadable log blocks mean to the user: which ranges of which versions. */
function* lostRanges(container: Container, unreadable: RangeSet): Generator<CheckFinding> {
  if (unreadable.totalBytes === 0) return;
  const { blockBytes, versions, pages, map } = container;
  const states: { owner: MapOwner; map: ExtentMap }[] = [{ owner: null, map }];
  try {
    for (const version of versions.oldestFirst())
      states.push({ owner: version.number, map: new ExtentMap(pages, version.map) });
  } catch (error) {
    if (!(error instanceof VsimgError)) throw error;
  }
  for (const state of states) {
    try {
      for (const extent of state.map.extents(0, Number.MAX_SAFE_INTEGER)) {
        if (extent.kind !== EXTENT_KIND.data) continue;
        for (const lost of unreadable.within(extent.log, extent.log + extent.length)) {
          const guestOffset = (extent.start + lost.start - extent.log) * blockBytes;
          const lengthBytes = (lost.end - lost.start) * blockBytes;
          yield {
            message: `${ownerName(state.owner)}: bytes ${guestOffset} to ${guestOffset + lengthBytes} of the disk are lost`,
            guestOffset,
            lengthBytes,
            ...versionOf(state.owner),
          };
        }
      }
    } catch (error) {
      // The damaged map itself is reported already.
      if (!(error instanceof VsimgError)) throw error;
    }
  }
}

function checkSpace(
  container: Container,
  survey: Survey,
  isDamaged: boolean,
  add: (finding: CheckFinding) => void,
): number {
  const { end } = container.header.space;
  const listedBytes = unusedSpace(container.header.space);
  const size = container.storage.size();
  // Touching the totals joins the ranges and finds those that overlap.
  const unusedBytes = survey.unused.totalBytes;
  survey.used.totalBytes;
  for (const [what, set] of [
    ['records', survey.used],
    ['free ranges', survey.unused],
  ] as const) {
    if (set.overlap !== undefined)
      add({ message: `two ${what} overlap at ${set.overlap.start}`, hostOffset: set.overlap.start });
  }
  for (const range of survey.unused.ranges()) {
    for (const both of survey.used.within(range.start, range.end)) {
      add({
        message: `bytes ${both.start} to ${both.end} of the file are listed as free but in use`,
        hostOffset: both.start,
      });
    }
  }
  for (const set of [survey.used, survey.unused]) {
    for (const range of set.ranges()) {
      if (range.start < RECORDS_OFFSET || range.end > end)
        add({
          message: `bytes ${range.start} to ${range.end} lie outside the container's records`,
          hostOffset: range.start,
        });
      else if (set === survey.used && range.end > size)
        add({
          message: `bytes ${Math.max(range.start, size)} to ${range.end} of the file are missing: it was cut`,
          hostOffset: Math.max(range.start, size),
        });
    }
  }
  if (isDamaged) return 0;
  if (survey.freeBySizeExcess !== 0) add({ message: 'free space and its list by length do not agree' });
  if (unusedBytes !== listedBytes) {
    add({ message: `the header counts ${listedBytes} free bytes, the space trees list ${unusedBytes}` });
  }
  const everything = survey.used;
  for (const range of survey.unused.ranges()) everything.add(range.start, range.end);
  return end - RECORDS_OFFSET - everything.totalBytes;
}

/** Versions, ids, parents and names agree with each other. */
function checkVersions(container: Container, add: (finding: CheckFinding) => void): void {
  const { versions, refs, head } = container;
  for (const version of versions.oldestFirst()) {
    const { number, parent, sizeBytes, map } = version;
    const end = new ExtentMap(container.pages, map).endBlock();
    if (number >= versions.next) add({ message: `version ${number} is above the header's counter`, version: number });
    if (parent !== null && (parent >= number || versions.get(parent) === undefined))
      add({ message: `version ${number} has the parent ${parent}, which is not there`, version: number });
    if (end > Math.ceil(sizeBytes / container.blockBytes))
      add({ message: `version ${number} maps blocks behind its end`, version: number });
    if (parent !== null && !versions.childrenOf(parent).includes(number))
      add({ message: `version ${number} is not listed as a child of version ${parent}`, version: number });
  }
  for (const ref of refs.all()) {
    if (versions.get(ref.version) === undefined)
      add({ message: `${ref.kind} '${ref.name}' names version ${ref.version}, which is not there` });
    else if (!refs.of(ref.version).some((other) => other.name === ref.name))
      add({ message: `${ref.kind} '${ref.name}' is not listed with version ${ref.version}` });
  }
  if (head.version !== null && versions.get(head.version) === undefined)
    add({ message: `HEAD names version ${head.version}, which is not there` });
}
