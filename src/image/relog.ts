import { VsimgError } from '../errors.ts';
import { EXTENT_KIND, type Extent, MAX_BLOCKS } from '../format/extent-page.ts';
import type { TreeRoot } from '../format/page.ts';
import { LOST, Renumbering } from '../log/renumbering.ts';
import type { Segment } from '../log/tables.ts';
import { compareMaps } from '../map/compare.ts';
import { ExtentMap } from '../map/extent-map.ts';
import type { HostRange } from '../space/host-range.ts';
import { UNKNOWN_BIRTH } from '../space/pending.ts';
import type { OnProgress } from './api.ts';
import type { Container } from './container.ts';
import { type CopyProgress, LogCopier } from './copy-log.ts';

/** What the published state consists of that is to be replaced. */
export interface OldState {
  readonly segments: readonly Segment[];
  /** All that maps take of the file, and what nothing refers to. */
  readonly givenUp: Iterable<HostRange>;
  readonly liveBytes: number;
}

interface MapRoots {
  readonly old: TreeRoot;
  readonly next: TreeRoot;
}

const EMPTY: MapRoots = { old: null, next: null };

interface OldVersion {
  readonly number: number;
  readonly parent: number | null;
  readonly map: TreeRoot;
}

/** A version, and the one next to it in the history whose map it is made from; null for the first of all. */
interface Step {
  readonly number: number;
  readonly from: number | null;
}

/**
 * Writes all blocks that anything refers to anew, behind the end of the file: the newest version's in the order of the
 * disk, then what only other versions hold, along the history, and at last what only the working state holds. All maps
 * get new numbers of the log; the old log and the old maps are given up. The caller has begun a transaction and publishes.
 *
 * Errors: 'corrupt' when a block is damaged; nothing must be published then.
 */
export async function relog(container: Container, old: OldState, onProgress: OnProgress | undefined): Promise<void> {
  const { log, versions, space, map, pages, header, head } = container;
  space.keepOrder();
  const work = new Relogging(container, { onProgress, totalBytes: old.liveBytes });
  const all = new Map<number, OldVersion>();
  for (const { number, parent, map: root } of versions.oldestFirst()) all.set(number, { number, parent, map: root });
  const roots = new Map<number, MapRoots>();
  for (const { number, from } of planSteps(all)) {
    const root = (all.get(number) as OldVersion).map;
    const base = from === null ? EMPTY : (roots.get(from) as MapRoots);
    const next = new ExtentMap(pages, base.next);
    await work.move(new ExtentMap(pages, root), base, next);
    roots.set(number, { old: root, next: work.write(next) });
  }
  // What only the working state has begins a segment, from the mark on.
  await log.flush();
  log.growUp();
  const base = roots.get(head.version ?? newestOf(all)) ?? EMPTY;
  const working = new ExtentMap(pages, base.next);
  await work.move(new ExtentMap(pages, header.working.map), base, working);
  await log.flush();
  // From here on without a pause: whoever reads meanwhile finds the old log with the old maps, or the new ones.
  for (const [number, { next }] of roots) versions.put(number, { ...versions.need(number), map: next });
  map.tree.become(working.tree);
  // Pages written here count as older than this publication: none of them is the working state's own.
  container.sharedGeneration = container.generation;
  for (const segment of old.segments) log.drop(segment);
  for (const { start, end } of old.givenUp) space.release(start, end - start, UNKNOWN_BIRTH);
  container.unreclaimed = 0;
}

/** From the newest version along the history to all others; each comes after the one it is made from. */
function* planSteps(all: ReadonlyMap<number, OldVersion>): Generator<Step> {
  const children = new Map<number, number[]>();
  for (const { number, parent } of all.values())
    if (parent !== null) {
      const siblings = children.get(parent);
      if (siblings === undefined) children.set(parent, [number]);
      else siblings.push(number);
    }
  const done = new Set<number>();
  const newest = newestOf(all);
  for (const start of [...all.keys()].reverse()) {
    const steps: Step[] = [{ number: start, from: start === newest ? null : newest }];
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      const { number } = step;
      const version = all.get(number);
      if (version === undefined || done.has(number)) continue;
      done.add(number);
      yield step;
      for (const child of children.get(number) ?? []) steps.push({ number: child, from: number });
      // The last one goes first: to the past before other branches.
      if (version.parent !== null) steps.push({ number: version.parent, from: number });
    }
  }
}

function newestOf(all: ReadonlyMap<number, OldVersion>): number {
  let newest = 0;
  for (const number of all.keys()) newest = Math.max(newest, number);
  return newest;
}

class Relogging {
  private readonly container: Container;
  private readonly renumbering = new Renumbering();
  private readonly copier: LogCopier;

  constructor(container: Container, progress: CopyProgress) {
    this.container = container;
    this.copier = new LogCopier(container, this.renumbering, progress);
  }

  /** Makes of `next`, which is `base` already, what `old` is, with new log numbers. */
  async move(old: ExtentMap, base: MapRoots, next: ExtentMap): Promise<void> {
    if (base.old === null) {
      for (const extent of old.extents(0, MAX_BLOCKS)) await this.copy(extent);
      await this.copier.finish();
      next.append(this.renumbered(old.extents(0, MAX_BLOCKS)));
      return;
    }
    const before = new ExtentMap(this.container.pages, base.old);
    for (const { start, end, b } of compareMaps(before, old))
      if (b) for (const extent of old.extents(start, end)) await this.copy(extent);
    await this.copier.finish();
    for (const { start, end, b } of compareMaps(before, old)) {
      if (!b) next.clear(start, end);
      else for (const extent of this.renumbered(old.extents(start, end))) put(next, extent);
    }
  }

  private async copy({ kind, start, log, length }: Extent): Promise<void> {
    if (kind !== EXTENT_KIND.data) return;
    for (const run of [...this.renumbering.runs(log, length)])
      if (run.next === undefined) await this.copier.add(start + run.log - log, run.log, run.count);
  }

  private *renumbered(extents: Iterable<Extent>): Generator<Extent> {
    for (const extent of extents) {
      if (extent.kind !== EXTENT_KIND.data) {
        yield extent;
        continue;
      }
      for (const { log, count, next } of this.renumbering.runs(extent.log, extent.length)) {
        const start = extent.start + log - extent.log;
        if (next === undefined) throw new VsimgError('internal', `log block ${log} was not copied`);
        if (next === LOST) yield { start, length: count, log: 0, kind: EXTENT_KIND.lost };
        else yield { start, length: count, log: next, kind: EXTENT_KIND.data };
      }
    }
  }

  /** Writes the map of a version, which is complete. */
  write(map: ExtentMap): TreeRoot {
    const { storage, space, generation } = this.container;
    return map.tree.flush({
      generation,
      writePage: (bytes) => {
        const place = space.allocate(bytes.length, 'lasting');
        storage.write(bytes, place);
        return place;
      },
      // The map that this one was made from still has them.
      releasePage: () => {},
    });
  }
}

/** What is there already is not written: its page stays shared. */
function put(map: ExtentMap, extent: Extent): void {
  const { start, length, log, kind } = extent;
  for (const run of map.runs(start, start + length)) {
    if (run.kind === kind && (kind === EXTENT_KIND.lost || run.log === log + run.start - start)) continue;
    if (kind === EXTENT_KIND.lost) map.setLost(start, start + length);
    else map.set(start, length, log);
    return;
  }
}
