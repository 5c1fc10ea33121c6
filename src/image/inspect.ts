import { isDamage, VsimgError } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import { type Chunk, type ChunkTable, CODEC, isPresent, presentBefore } from '../format/chunk-table.ts';
import { extentCount, extentEnd, extentStart } from '../format/extent-page.ts';
import { blake3 } from '../log/hash.ts';
import type { Segment } from '../log/tables.ts';
import { turnGiver } from '../storage/turns.ts';
import type { NumberedVersion } from '../versions/version-table.ts';
import type { CheckFinding, OnProgress } from './api.ts';
import { checkConsistency } from './consistency.ts';
import type { Container } from './container.ts';
import { RangeSet } from './ranges.ts';
import { type DamagedTree, type DamagePlace, type MapOwner, type Survey, surveyContainer } from './survey.ts';

const MAX_FINDINGS = 200;

/** What is wrong, as much of it as anybody reads. */
export class Findings {
  readonly list: CheckFinding[] = [];
  count = 0;

  add(finding: CheckFinding): void {
    this.count++;
    if (this.list.length < MAX_FINDINGS) this.list.push(finding);
  }
}

export interface InspectOptions {
  /** Read and verify every chunk too. */
  readonly data?: boolean;
  readonly onProgress?: OnProgress;
}

/** All that can be found out about a container, damaged or not, without changing it. */
export interface Inspection {
  readonly survey: Survey;
  readonly findings: Findings;
  /** Those whose records can be read, ascending. */
  readonly versions: readonly NumberedVersion[];
  /** Those whose tables can be read, ascending. */
  readonly segments: readonly Segment[];
  /** Trees of which a part can not be read or is wrong. */
  readonly damaged: ReadonlySet<DamagedTree>;
  /** Log blocks whose data is damaged. */
  readonly bad: RangeSet;
  /** Log blocks that some map needs and no readable segment holds, known to be lost or not. */
  readonly missing: RangeSet;
  /** Bytes that nothing refers to and that are not listed as free. */
  readonly unlistedBytes: number;
  readonly dataBytesChecked: number;
  /** The first failure of the disk itself, as opposed to wrong bytes on it. */
  readonly diskError: VsimgError | undefined;
}

/** Walks everything; what is wrong is collected, not thrown. */
export async function inspectContainer(container: Container, options: InspectOptions): Promise<Inspection> {
  const findings = new Findings();
  const damaged = new Set<DamagedTree>();
  const versions: NumberedVersion[] = [];
  const segments: Segment[] = [];
  let diskError: VsimgError | undefined;
  let previous: { readonly start: number; readonly end: number; readonly owner: MapOwner } | undefined;
  const survey = await surveyContainer(container, {
    held: 'wanted',
    damage: (error, where) => {
      if (!isDamage(error)) throw error;
      if (error.code === 'io') diskError ??= error;
      damaged.add(where.tree);
      findings.add(damageFinding(container, error, where));
    },
    segment: (segment) => segments.push(segment),
    version: (number, record) => versions.push({ number, ...record }),
    extents: (extents, owner) => {
      // Pages that maps share are seen once, so only pages of one walk can be compared with the one before.
      const start = extentStart(extents, 0);
      if (previous?.owner === owner && start < previous.end && start > previous.start) {
        findings.add({
          message: `${ownerName(owner)}: extents overlap at byte ${start * container.blockBytes} of the disk`,
          ...versionOf(owner),
        });
      }
      previous = { start, end: extentEnd(extents, extentCount(extents) - 1), owner };
    },
  });
  const bad = new RangeSet();
  let dataBytesChecked = 0;
  if (options.data === true) {
    const room = new Uint8Array(container.reader.chunkBlocks * container.blockBytes);
    const giveTurn = turnGiver();
    for (const segment of segments) {
      const table = container.tables.table(segment);
      for (const found of badChunks(container, table, room)) {
        bad.add(found.start, found.end);
        if (found.error.code === 'io') diskError ??= found.error;
        findings.add({
          message: found.error.message,
          ...(found.error.hostOffset === undefined ? {} : { hostOffset: found.error.hostOffset }),
        });
      }
      dataBytesChecked += table.chunks.reduce((sum, chunk) => sum + (chunk?.storedBytes ?? 0), 0);
      options.onProgress?.(dataBytesChecked, container.header.log.dataBytes);
      await giveTurn();
    }
  }
  const missing = new RangeSet();
  for (const range of survey.live.ranges())
    for (const gap of survey.held.gaps(range.start, range.end)) missing.add(gap.start, gap.end);
  const unlistedBytes = checkConsistency({ container, survey, versions, segments, missing, damaged }, findings);
  return { survey, findings, versions, segments, damaged, bad, missing, unlistedBytes, dataBytesChecked, diskError };
}

export function ownerName(owner: MapOwner): string {
  return owner === null ? 'working state' : `version ${owner}`;
}

function versionOf(owner: MapOwner | undefined): { version?: number } {
  return typeof owner === 'number' ? { version: owner } : {};
}

const WHAT_IS_IN: { readonly [tree in DamagedTree]: string } = {
  versions: 'versions are lost',
  children: 'the order of versions can be rebuilt',
  refs: 'tags and branches are lost',
  marks: 'names of versions can be rebuilt',
  log: 'data is lost',
  map: 'a part of the disk is lost',
  space: 'free space can be rebuilt',
};

function damageFinding(container: Container, error: VsimgError, where: DamagePlace): CheckFinding {
  const { blockBytes } = container;
  const place = error.hostOffset === undefined ? {} : { hostOffset: error.hostOffset };
  if (where.owner === undefined) return { message: `${error.message}: ${WHAT_IS_IN[where.tree]}`, ...place };
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

/** Log blocks `[start, end)` that are damaged, and how. */
interface BadBlocks {
  readonly error: VsimgError;
  readonly start: number;
  readonly end: number;
}

/** `room`: memory for a chunk. */
function* badChunks(container: Container, table: ChunkTable, room: Uint8Array): Generator<BadBlocks> {
  let first = table.firstLog;
  for (const chunk of table.chunks) {
    if (chunk !== undefined) yield* badBlocks(container, { chunk, first, room });
    first += chunk?.blockCount ?? container.reader.chunkBlocks;
  }
}

function* badBlocks(
  container: Container,
  { chunk, first, room }: { readonly chunk: Chunk; readonly first: number; readonly room: Uint8Array },
): Generator<BadBlocks> {
  try {
    const raw = container.reader.decode(chunk, room);
    if (Buffer.compare(blake3(raw), chunk.hash) !== 0)
      throw new VsimgError('corrupt', `chunk at ${chunk.place} has a wrong hash`, { hostOffset: chunk.place });
  } catch (error) {
    if (!isDamage(error)) throw error;
    const blocks = chunk.codec === CODEC.raw ? [...damagedBlocks(container, chunk)] : [];
    // Without a block to blame, the chunk as a whole can not be trusted.
    if (blocks.length === 0) yield { error, start: first, end: first + chunk.blockCount };
    for (const { block, failure } of blocks) yield { error: failure, start: first + block, end: first + block + 1 };
  }
}

/** Blocks of an uncompressed chunk, each of which has a checksum of its own. */
function* damagedBlocks(
  { storage, blockBytes }: Container,
  chunk: Chunk,
): Generator<{ readonly block: number; readonly failure: VsimgError }> {
  const bytes = new Uint8Array(blockBytes);
  for (let block = 0; block < chunk.blockCount; block++) {
    if (!isPresent(chunk, block)) continue;
    const index = presentBefore(chunk, block);
    const hostOffset = chunk.place + index * blockBytes;
    const failed = (message: string) => ({ block, failure: new VsimgError('corrupt', message, { hostOffset }) });
    try {
      if (storage.read(bytes, hostOffset) < blockBytes)
        yield failed(`data at ${hostOffset} lies beyond the end of the file`);
      else if (checksum(bytes) !== chunk.checksums[index]) yield failed(`data at ${hostOffset} has a wrong checksum`);
    } catch (error) {
      if (!isDamage(error)) throw error;
      yield { block, failure: error };
    }
  }
}
