import { isDamage } from '../errors.ts';
import {
  EXTENT_KIND,
  type Extents,
  extentCount,
  extentKind,
  extentLength,
  extentLog,
  extentStart,
} from '../format/extent-page.ts';
import { ExtentMap } from '../map/extent-map.ts';
import { type InnerNode, isLeaf, isStored, type TreeNode } from '../map/node.ts';
import type { NumberedVersion } from '../versions/version-table.ts';
import type { LostRange } from './api.ts';
import type { Container } from './container.ts';
import type { RangeSet } from './ranges.ts';

/** More distinct ranges than anybody reads; bounds memory and time. */
const MAX_RANGES = 1000;
const MAX_PER_STATE = 10_000;

/** A guest range in blocks; `end` is undefined while only the page above knows it. */
interface LostBlocks {
  readonly start: number;
  readonly end: number | undefined;
}

const NOTHING: readonly LostBlocks[] = [];

export interface Losses {
  readonly ranges: readonly LostRange[];
  /** False when there are more than are listed. */
  readonly isComplete: boolean;
}

/**
 * What unreadable log blocks and map pages mean to the user: which ranges of which versions. Pages that several
 * versions share are gone through once, and those that lead to nothing lost never again.
 */
export function findLosses(container: Container, versions: readonly NumberedVersion[], unreadable: RangeSet): Losses {
  const { blockBytes, map, workingSizeBytes } = container;
  const search = new LossSearch(container, unreadable);
  const found = new Map<string, { start: number; end: number; versions: [number, number][]; working: boolean }>();
  let isComplete = true;
  const note = (owner: number | null, sizeBytes: number, ranges: readonly { start: number; end: number }[]): void => {
    if (ranges.length === MAX_PER_STATE) isComplete = false;
    for (const range of ranges) {
      const start = range.start * blockBytes;
      const end = Math.min(range.end * blockBytes, sizeBytes);
      const name = `${start} ${end}`;
      let entry = found.get(name);
      if (entry === undefined) {
        if (found.size === MAX_RANGES) {
          isComplete = false;
          continue;
        }
        entry = { start, end, versions: [], working: false };
        found.set(name, entry);
      }
      if (owner === null) entry.working = true;
      else addNumber(entry.versions, owner);
    }
  };
  for (const { number, map: root, sizeBytes } of versions)
    note(number, sizeBytes, search.of(new ExtentMap(container.pages, root), sizeBytes));
  note(null, workingSizeBytes, search.of(map, workingSizeBytes));
  const ranges = [...found.values()].map(({ start, end, versions, working }) => ({
    guestOffset: start,
    lengthBytes: end - start,
    versions,
    working,
  }));
  return { ranges, isComplete };
}

/** Numbers come in ascending order and mostly one after the other. */
function addNumber(runs: [number, number][], number: number): void {
  const last = runs[runs.length - 1];
  if (last !== undefined && last[1] === number - 1) last[1] = number;
  else runs.push([number, number]);
}

class LossSearch {
  private readonly container: Container;
  private readonly unreadable: RangeSet;
  private readonly known = new Map<number, readonly LostBlocks[]>();

  constructor(container: Container, unreadable: RangeSet) {
    this.container = container;
    this.unreadable = unreadable;
  }

  /** Joined, ascending, cut to the size of the state. */
  of(map: ExtentMap, sizeBytes: number): { start: number; end: number }[] {
    const endBlock = Math.ceil(sizeBytes / this.container.blockBytes);
    const top = map.tree.topChild();
    let found: readonly LostBlocks[] = NOTHING;
    try {
      const node = map.tree.topNode();
      if (node !== null)
        found = this.inNode(map, node, top !== null && isStored(top) ? top.place : undefined, undefined);
    } catch (error) {
      if (!isDamage(error)) throw error;
      found = [{ start: 0, end: undefined }];
    }
    const joined: { start: number; end: number }[] = [];
    for (const { start, end } of found) {
      const to = Math.min(end ?? endBlock, endBlock);
      const last = joined[joined.length - 1];
      if (last !== undefined && last.end >= start) last.end = Math.max(last.end, to);
      else if (start < to) joined.push({ start, end: to });
    }
    return joined;
  }

  private inNode(
    map: ExtentMap,
    node: TreeNode<number, Extents>,
    place: number | undefined,
    upper: number | undefined,
  ): readonly LostBlocks[] {
    const known = place === undefined ? undefined : this.known.get(place);
    if (known !== undefined) return known;
    const found = isLeaf(node) ? this.inLeaf(node.leaf) : this.inChildren(map, node, upper);
    if (place !== undefined) this.known.set(place, found);
    return found;
  }

  private inChildren(
    map: ExtentMap,
    node: InnerNode<number, Extents>,
    upper: number | undefined,
  ): readonly LostBlocks[] {
    const all: LostBlocks[] = [];
    for (const [index, child] of node.children.entries()) {
      if (all.length >= MAX_PER_STATE) break;
      const limit = node.keys[index + 1] ?? upper;
      let found: readonly LostBlocks[];
      try {
        const below = map.tree.childNode(node, index, upper);
        found = this.inNode(map, below, isStored(child) ? child.place : undefined, limit);
      } catch (error) {
        if (!isDamage(error)) throw error;
        found = [{ start: node.keys[index] as number, end: undefined }];
      }
      // Which page comes next is not the same for all that share this one: the last end stays open up to here.
      for (const { start, end } of found) all.push({ start, end: end ?? node.keys[index + 1] });
    }
    return all.length === 0 ? NOTHING : all.slice(0, MAX_PER_STATE);
  }

  private inLeaf(leaf: Extents): readonly LostBlocks[] {
    const all: LostBlocks[] = [];
    for (let index = 0; index < extentCount(leaf); index++) {
      const start = extentStart(leaf, index);
      const length = extentLength(leaf, index);
      if (extentKind(leaf, index) === EXTENT_KIND.lost) all.push({ start, end: start + length });
      else {
        const log = extentLog(leaf, index);
        for (const lost of this.unreadable.within(log, log + length))
          all.push({ start: start + lost.start - log, end: start + lost.end - log });
      }
    }
    return all.length === 0 ? NOTHING : all;
  }
}
