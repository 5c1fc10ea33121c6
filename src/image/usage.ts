import { type Chunk, decodeSegmentEntry, isPresent, presentCount } from '../format/chunk-table.ts';
import { numberInKey } from '../format/record-page.ts';
import { records } from '../map/records.ts';
import { turnGiver } from '../storage/turns.ts';
import type { HeldSpace, SpaceUsage, VersionUsage } from './api.ts';
import type { Container } from './container.ts';
import { MapOwners } from './map-owners.ts';
import { type OwnedRanges, SHARED } from './owned-ranges.ts';
import { refuseUnpublished } from './transaction.ts';

/** Versions are numbered from 1 on. */
const WORKING_STATE = 0;
/** Owner of stored blocks that no map refers to. */
const NOBODY = -2;

/**
 * Who holds the space of the published state: every stored byte counts for the one version that needs it, as shared,
 * or for nobody. A chunk of which several have blocks is divided by the number of blocks. Errors: 'corrupt'.
 */
export async function measureUsage(container: Container): Promise<SpaceUsage> {
  refuseUnpublished(container, 'the space of versions');
  const { header, pages, versions, generation } = container;
  const owners = new MapOwners();
  const numbers: number[] = [];
  const giveTurn = turnGiver();
  for (const { number, map } of versions.oldestFirst()) {
    numbers.push(number);
    owners.add(pages, map, number, header.working.sharedGeneration);
    await giveTurn();
  }
  owners.add(pages, header.working.map, WORKING_STATE, generation);
  const data = await divideData(container, owners.blocks);
  const held = (owner: number): HeldSpace => ({
    dataBytes: data.get(owner) ?? 0,
    metadataBytes: owners.pageBytes(owner),
  });
  return {
    versions: numbers.map((number): VersionUsage => ({ number, ...held(number) })),
    working: held(WORKING_STATE),
    shared: held(SHARED),
    unneededDataBytes: data.get(NOBODY) ?? 0,
  };
}

/** Stored bytes of each owner. */
async function divideData(container: Container, blocks: OwnedRanges): Promise<Map<number, number>> {
  const bytes = new Map<number, number>();
  const giveTurn = turnGiver();
  for (const { key, value } of records(container.trees.log)) {
    let first = numberInKey(key);
    const table = container.tables.table({ firstLog: first, entry: decodeSegmentEntry(value) });
    for (const chunk of table.chunks) {
      if (chunk !== undefined) divideChunk(chunk, ownedBlocks(chunk, first, blocks), bytes);
      first += chunk?.blockCount ?? container.reader.chunkBlocks;
    }
    await giveTurn();
  }
  return bytes;
}

/** Blocks of the chunk by owner, in an order that does not depend on where they are. */
function ownedBlocks(chunk: Chunk, firstLog: number, blocks: OwnedRanges): (readonly [owner: number, count: number])[] {
  const counts = new Map<number, number>();
  let owned = 0;
  for (const { start, end, owner } of blocks.within(firstLog, firstLog + chunk.blockCount)) {
    let count = 0;
    if (chunk.present === undefined) count = end - start;
    // What was lost is not here, although maps refer to it.
    else for (let block = start - firstLog; block < end - firstLog; block++) if (isPresent(chunk, block)) count++;
    counts.set(owner, (counts.get(owner) ?? 0) + count);
    owned += count;
  }
  counts.set(NOBODY, presentCount(chunk) - owned);
  return [...counts].sort(([a], [b]) => a - b);
}

/** Shares are whole bytes and come to the whole. */
function divideChunk(
  chunk: Chunk,
  shares: readonly (readonly [owner: number, count: number])[],
  bytes: Map<number, number>,
): void {
  const present = presentCount(chunk);
  let before = 0;
  let given = 0;
  for (const [owner, count] of shares) {
    before += count;
    const upTo = Math.floor((chunk.storedBytes * before) / present);
    if (upTo > given) bytes.set(owner, (bytes.get(owner) ?? 0) + upTo - given);
    given = upTo;
  }
}
