import { corrupt } from '../errors.ts';
import { type Chunk, type ChunkTable, decodeSegmentEntry, isPresent } from '../format/chunk-table.ts';
import { EXTENT_KIND, type Extents, extentCount, extentKind, extentLength, extentLog } from '../format/extent-page.ts';
import { TREE_NAMES, type TreeName } from '../format/header.ts';
import type { PageRef, TreeRoot } from '../format/page.ts';
import { numberInKey, type Records } from '../format/record-page.ts';
import { decodeVersion, type VersionRecord } from '../format/version-record.ts';
import type { Segment } from '../log/tables.ts';
import { extentLayout, spaceLayout } from '../map/layouts.ts';
import type { RecordEntry } from '../map/records.ts';
import { walkInSteps, walkTree } from '../map/walk.ts';
import { pendingRange } from '../space/pending.ts';
import { DATA_BYTES, freeRange } from '../space/space.ts';
import { turnGiver } from '../storage/turns.ts';
import type { Container } from './container.ts';
import { RangeSet } from './ranges.ts';

/** What the published state of a container consists of. */
export interface Survey {
  /** Bytes that something refers to: pages, tables, chunks. */
  readonly used: RangeSet;
  /** Bytes that are listed as free, pending or set aside. */
  readonly unused: RangeSet;
  /** Log blocks that some version or the working state maps. */
  readonly live: RangeSet;
  /** Log blocks that segments hold, if that was wanted. */
  readonly held: RangeSet;
  /** Log blocks that a repair gave up. */
  readonly lost: RangeSet;
  /** Bytes of the free ranges that are listed by length, less those that should be. */
  freeBySizeExcess: number;
  /** Stored bytes of all chunks. */
  dataBytes: number;
  /** Some map says of guest blocks that a repair gave them up. */
  hasLostExtents: boolean;
  pages: number;
  segments: number;
  versions: number;
}

export interface SurveyVisitor {
  /** Without it `held` stays empty, which is as large as `live`. */
  readonly held?: 'wanted';
  /** Something is damaged; the survey goes on beside it. Without this, the error is thrown. */
  damage?(error: unknown, where: DamagePlace): void;
  segment?(segment: Segment, table: ChunkTable): void;
  version?(number: number, record: VersionRecord): void;
  extents?(extents: Extents, owner: MapOwner): void;
  /** A page of a map, each once. */
  mapPage?(ref: PageRef): void;
}

/** Whose map: a version number, or null for the working state. */
export type MapOwner = number | null;

/** The trees of the header, as far as damage to them means different things. */
export type DamagedTree = TreeName | 'map' | 'space';

export interface DamagePlace {
  readonly tree: DamagedTree;
  /** Of a map: whose it is, and first and last guest block that the damaged part may cover. */
  readonly owner?: MapOwner;
  readonly from?: number;
  readonly to?: number;
}

/**
 * Walks every page and every chunk table once, of the state that is published when it begins; that must be kept from being
 * replaced meanwhile. Errors: 'corrupt' unless the visitor takes damage.
 */
export async function surveyContainer(container: Container, visitor: SurveyVisitor = {}): Promise<Survey> {
  const survey: Survey = {
    used: new RangeSet(),
    unused: new RangeSet(),
    live: new RangeSet(),
    held: new RangeSet(),
    lost: new RangeSet(),
    freeBySizeExcess: 0,
    dataBytes: 0,
    hasLostExtents: false,
    pages: 0,
    segments: 0,
    versions: 0,
  };
  const { header, pages, generation: youngest } = container;
  const seen = new Set<number>();
  const page = (ref: PageRef): boolean => {
    if (seen.has(ref.place)) return false;
    seen.add(ref.place);
    survey.used.add(ref.place, ref.place + ref.lengthBytes);
    survey.pages++;
    return true;
  };
  const report = (error: unknown, where: DamagePlace): void => {
    if (visitor.damage === undefined) throw error;
    visitor.damage(error, where);
  };
  const damageOf = (tree: DamagedTree) =>
    visitor.damage === undefined ? {} : { damage: (error: unknown) => visitor.damage?.(error, { tree }) };
  const giveTurn = turnGiver();
  const walkMap = async (root: TreeRoot, owner: MapOwner): Promise<void> => {
    const mapDamage =
      visitor.damage === undefined
        ? {}
        : {
            damage: (error: unknown, from: unknown, to: unknown) =>
              visitor.damage?.(error, {
                tree: 'map',
                owner,
                ...(typeof from === 'number' ? { from } : {}),
                ...(typeof to === 'number' ? { to } : {}),
              }),
          };
    const steps = walkInSteps(extentLayout, pages, root, {
      // A younger page would count as the working state's own, and be given up with it.
      youngest: owner === null ? youngest : header.working.sharedGeneration,
      page: (ref) => {
        const isNew = page(ref);
        if (isNew) visitor.mapPage?.(ref);
        return isNew;
      },
      ...mapDamage,
      use: 'passing',
      leaf: (leaf) => {
        addLive(survey, leaf);
        visitor.extents?.(leaf, owner);
      },
    });
    for (const _ of steps) await giveTurn();
  };
  for (const name of TREE_NAMES) {
    const versions: RecordEntry[] = [];
    const record = (entry: RecordEntry): void => {
      if (name === 'versions') versions.push(entry);
      if (name !== 'log') return;
      try {
        visitSegment(container, survey, entry, visitor);
      } catch (error) {
        report(error, { tree: name });
      }
    };
    const steps = walkInSteps(container.trees[name].layout, pages, header.trees[name], {
      youngest,
      page,
      ...damageOf(name),
      leaf: ({ keys, values }) => {
        for (const [index, key] of keys.entries()) record({ key, value: values[index] as Uint8Array });
      },
    });
    for (const _ of steps) await giveTurn();
    for (const { key, value } of versions) {
      try {
        const number = numberInKey(key);
        const version = decodeVersion(value, number);
        survey.versions++;
        visitor.version?.(number, version);
        await walkMap(version.map, number);
      } catch (error) {
        report(error, { tree: name });
      }
    }
  }
  await walkMap(header.working.map, null);
  const free = (leaf: Records): void => {
    leaf.keys.forEach((key, index) => {
      const { start, end } = freeRange(key, leaf.values[index] as Uint8Array);
      survey.unused.add(start, end);
      if (end - start >= DATA_BYTES) survey.freeBySizeExcess -= end - start;
    });
  };
  const pending = (leaf: Records): void => {
    leaf.keys.forEach((key, index) => {
      const { start, end, givenUp } = pendingRange(key, leaf.values[index] as Uint8Array);
      if (givenUp > youngest) throw corrupt(`pending space at ${start} was given up in the future`, start);
      survey.unused.add(start, end);
    });
  };
  walkTree(spaceLayout, pages, header.space.free, { youngest, page, ...damageOf('space'), leaf: free });
  walkTree(container.space.bySize.layout, pages, header.space.bySize, {
    youngest,
    page,
    ...damageOf('space'),
    leaf: (leaf) => {
      for (const key of leaf.keys) survey.freeBySizeExcess += numberInKey(key);
    },
  });
  walkTree(container.space.pending.layout, pages, header.space.pending, {
    youngest,
    page,
    ...damageOf('space'),
    leaf: pending,
  });
  for (const { start, end } of header.space.reserve) survey.unused.add(start, end);
  return survey;
}

function addLive(survey: Survey, leaf: Extents): void {
  for (let index = 0; index < extentCount(leaf); index++) {
    const log = extentLog(leaf, index);
    if (extentKind(leaf, index) === EXTENT_KIND.data) survey.live.add(log, log + extentLength(leaf, index));
    else survey.hasLostExtents = true;
  }
}

function visitSegment(container: Container, survey: Survey, { key, value }: RecordEntry, visitor: SurveyVisitor): void {
  const segment: Segment = { firstLog: numberInKey(key), entry: decodeSegmentEntry(value) };
  const { entry, firstLog } = segment;
  survey.used.add(entry.place, entry.place + entry.lengthBytes);
  const table = container.tables.table(segment);
  survey.segments++;
  let first = firstLog;
  for (const chunk of table.chunks) {
    const blockCount = chunk?.blockCount ?? 0;
    if (chunk === undefined) {
      first += container.reader.chunkBlocks;
      continue;
    }
    survey.used.add(chunk.place, chunk.place + chunk.storedBytes);
    survey.dataBytes += chunk.storedBytes;
    if (visitor.held !== undefined) addHeld(survey, chunk, first);
    first += blockCount;
  }
  for (const { start, end } of table.lost) survey.lost.add(start, end);
  visitor.segment?.(segment, table);
}

function addHeld({ held }: Survey, chunk: Chunk, first: number): void {
  const { blockCount, present } = chunk;
  if (present === undefined) held.add(first, first + blockCount);
  else
    for (let block = 0; block < blockCount; block++)
      if (isPresent(chunk, block)) held.add(first + block, first + block + 1);
}
