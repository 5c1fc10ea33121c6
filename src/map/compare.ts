import {
  EXTENT_KIND,
  type Extent,
  type ExtentKind,
  type Extents,
  equalDataExtents,
  extentCount,
  extentKind,
  extentLength,
  extentLog,
  extentStart,
} from '../format/extent-page.ts';
import type { PageRef } from '../format/page.ts';
import type { ExtentMap, Run } from './extent-map.ts';
import { type Child, isLeaf, isStored, type TreeNode } from './node.ts';
import type { PersistentTree } from './tree.ts';

/** Blocks `[start, end)` that two maps give different meanings; `a` and `b` tell whether each maps them to data. */
export interface MapDifference {
  readonly start: number;
  readonly end: number;
  readonly a: boolean;
  readonly b: boolean;
}

/** Blocks `[start, end)`. */
export interface BlockRange {
  readonly start: number;
  readonly end: number;
}

const EVERYWHERE: BlockRange = { start: 0, end: Number.POSITIVE_INFINITY };

interface Frame {
  readonly node: TreeNode<number, Extents>;
  /** Of what stands in front. */
  index: number;
  readonly upper: number | undefined;
}

/**
 * Goes through a map as extents, but stops before each page, which may then be skipped whole. What stands in front is in its
 * fields and not in an object of its own: most pages hold many extents that did not change.
 */
class MapCursor {
  front: 'page' | 'extent' | 'end' = 'end';
  /** First block of what is in front; infinite at the end. */
  key = Number.POSITIVE_INFINITY;
  /** Of a page: nothing in it covers blocks from here on. */
  end = Number.POSITIVE_INFINITY;
  /** Of a page: where it is stored, if it is. */
  ref: PageRef | undefined;
  level = 0;
  /** Of an extent. */
  length = 0;
  log = 0;
  kind: ExtentKind = EXTENT_KIND.data;

  private readonly tree: PersistentTree<number, Extents>;
  private readonly frames: Frame[] = [];
  /** The leaf in front, if it is one. */
  private leaf: Frame | undefined;

  constructor(map: ExtentMap) {
    this.tree = map.tree;
    const top = map.tree.topChild();
    if (top !== null) this.setPage({ start: 0, end: Number.POSITIVE_INFINITY }, top, Number.POSITIVE_INFINITY);
  }

  private setPage({ start, end }: BlockRange, child: Child<number, Extents>, level: number): void {
    this.front = 'page';
    this.key = start;
    this.end = end;
    this.ref = isStored(child) ? child : undefined;
    this.level = level;
  }

  private settle(): void {
    this.leaf = undefined;
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      const { node, index, upper } = frame;
      if (isLeaf(node)) {
        if (index < extentCount(node.leaf)) {
          this.leaf = frame;
          this.front = 'extent';
          this.key = extentStart(node.leaf, index);
          this.length = extentLength(node.leaf, index);
          this.log = extentLog(node.leaf, index);
          this.kind = extentKind(node.leaf, index) as ExtentKind;
          return;
        }
      } else if (index < node.keys.length) {
        const range = {
          start: node.keys[index] as number,
          end: node.keys[index + 1] ?? upper ?? Number.POSITIVE_INFINITY,
        };
        this.setPage(range, node.children[index] as Child<number, Extents>, node.level - 1);
        return;
      }
      this.frames.pop();
    }
    this.front = 'end';
    this.key = Number.POSITIVE_INFINITY;
  }

  /** True if a page is in front that covers nothing from `block` on: extents never reach into the next page. */
  isBefore(block: number): boolean {
    return this.front === 'page' && this.end <= block;
  }

  /** Passes over the page or extent in front. */
  skip(): void {
    const frame = this.frames.at(-1);
    if (frame !== undefined) frame.index++;
    this.settle();
  }

  /** Passes over the blocks of the extent in front that lie below `end`. */
  consume(end: number): void {
    const taken = end - this.key;
    if (taken >= this.length) {
      this.skip();
      return;
    }
    this.key = end;
    this.length -= taken;
    this.log += taken;
  }

  /** Opens the page in front. */
  descend(): void {
    const frame = this.frames.at(-1);
    if (frame === undefined) {
      this.frames.push({ node: this.tree.topNode() as TreeNode<number, Extents>, index: 0, upper: undefined });
    } else {
      const { node, index, upper } = frame;
      if (isLeaf(node)) return;
      frame.index++;
      this.frames.push({
        node: this.tree.childNode(node, index, upper),
        index: 0,
        upper: node.keys[index + 1] ?? upper,
      });
    }
    this.settle();
  }

  /** Passes over the extents in front of both cursors, as far as they are the same ones. */
  skipSame(other: MapCursor): void {
    if (this.leaf === undefined || other.leaf === undefined) return;
    // What is left of an extent may be the same although the whole was not.
    if (!isSameFront(this, other)) return;
    this.consume(this.key + this.length);
    other.consume(other.key + other.length);
    const [a, b] = [this.leaf, other.leaf];
    if (a === undefined || b === undefined) return;
    const same = countSame(a, b);
    if (same === 0) return;
    a.index += same;
    b.index += same;
    this.settle();
    other.settle();
  }

  extent(): Extent {
    return { start: this.key, length: this.length, log: this.log, kind: this.kind };
  }
}

function countSame(a: Frame, b: Frame): number {
  if (!isLeaf(a.node) || !isLeaf(b.node)) return 0;
  return equalDataExtents({ extents: a.node.leaf, index: a.index }, { extents: b.node.leaf, index: b.index });
}

/** Of what was lost nobody knows whether it was the same. */
function isSameFront(a: MapCursor, b: MapCursor): boolean {
  return (
    a.key === b.key &&
    a.length === b.length &&
    a.log === b.log &&
    a.kind === EXTENT_KIND.data &&
    b.kind === EXTENT_KIND.data
  );
}

/**
 * Where two maps differ `within` a range, ascending and cut to it. Pages that both hold, or that lie outside, are passed over
 * unread, so the cost follows the difference.
 */
export function* compareMaps(a: ExtentMap, b: ExtentMap, within = EVERYWHERE): Generator<MapDifference> {
  for (const change of mapChanges(a, b, within)) {
    const start = Math.max(change.start, within.start);
    const end = Math.min(change.end, within.end);
    if (start < end) yield { start, end, a: change.before !== undefined, b: change.after !== undefined };
  }
}

/** The same as runs of `b`, as long as they can be. */
export function* changedRuns(a: ExtentMap, b: ExtentMap): Generator<Run> {
  let held: Run | undefined;
  for (const { start, end, after } of mapChanges(a, b, EVERYWHERE)) {
    const run = { start, length: end - start, log: after?.log, kind: after?.kind ?? EXTENT_KIND.data };
    if (held !== undefined && isContinued(held, run)) {
      held = { ...held, length: held.length + run.length };
      continue;
    }
    if (held !== undefined) yield held;
    held = run;
  }
  if (held !== undefined) yield held;
}

function isContinued(held: Run, next: Run): boolean {
  if (held.start + held.length !== next.start || held.kind !== next.kind) return false;
  return held.log === undefined ? next.log === undefined : next.log === held.log + held.length;
}

/** Blocks `[start, end)`, and what maps them from there on. */
interface MapChange {
  readonly start: number;
  readonly end: number;
  readonly before: Extent | undefined;
  readonly after: Extent | undefined;
}

/** Passes over a page of one side that covers nothing from `block` on; false if neither has one in front. */
function isSkippedBefore(block: number, left: MapCursor, right: MapCursor): boolean {
  const cursor = left.isBefore(block) ? left : right.isBefore(block) ? right : undefined;
  cursor?.skip();
  return cursor !== undefined;
}

/** In front of the range there may be more, of pages that only one side passed over. */
function* mapChanges(a: ExtentMap, b: ExtentMap, within: BlockRange): Generator<MapChange> {
  if (isSameInline(a.tree, b.tree)) return;
  const left = new MapCursor(a);
  const right = new MapCursor(b);
  for (;;) {
    left.skipSame(right);
    if (left.front === 'end' && right.front === 'end') return;
    if (Math.min(left.key, right.key) >= within.end) return;
    if (isSkippedBefore(within.start, left, right)) continue;
    if (left.front === 'page' && left.key <= right.key) {
      if (right.front !== 'page' || right.key !== left.key) left.descend();
      else if (isSameFrontPage(left, right)) {
        left.skip();
        right.skip();
      } else if (right.level > left.level) right.descend();
      else left.descend();
      continue;
    }
    if (right.front === 'page' && right.key <= left.key) {
      right.descend();
      continue;
    }
    const start = Math.min(left.key, right.key);
    const before = left.key === start ? left.extent() : undefined;
    const after = right.key === start ? right.extent() : undefined;
    const end = Math.min(
      before === undefined ? left.key : start + before.length,
      after === undefined ? right.key : start + after.length,
    );
    if (before !== undefined) left.consume(end);
    if (after !== undefined) right.consume(end);
    if (!isSameExtent(before, after)) yield { start, end, before, after };
  }
}

/** Maps without a page of their own are the same if their bytes are, as pages are if their places are. */
function isSameInline(a: ExtentMap['tree'], b: ExtentMap['tree']): boolean {
  const [left, right] = [a.savedRoot, b.savedRoot];
  if (a.isChanged || b.isChanged || !(left instanceof Uint8Array) || !(right instanceof Uint8Array)) return false;
  return Buffer.compare(left, right) === 0;
}

/** Of what was lost nobody knows whether it was the same. */
function isSameExtent(a: Extent | undefined, b: Extent | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.kind === EXTENT_KIND.data && b.kind === EXTENT_KIND.data && a.log === b.log;
}

export function samePage(a: PageRef, b: PageRef): boolean {
  return a.place === b.place && a.lengthBytes === b.lengthBytes && a.checksum === b.checksum;
}

/**
 * True if all that is `within` lies in the very same pages of both maps. Of two states of one history this says more than that
 * they are equal there: every change gives up the pages around it, and none of them ever comes back, so nothing was changed and
 * changed back in between. False may also mean that it would take long to tell.
 */
export function haveSamePages(a: ExtentMap, b: ExtentMap, within: BlockRange): boolean {
  const left = new MapCursor(a);
  const right = new MapCursor(b);
  while (left.front === 'page' && right.front === 'page') {
    if (isSkippedBefore(within.start, left, right)) continue;
    if (left.key === right.key && isSameFrontPage(left, right)) {
      // What lies before the first page of a map belongs to that page.
      if (Math.min(left.end, right.end) >= within.end) return true;
      if (left.end !== right.end) return false;
      left.skip();
      right.skip();
    } else if (left.level === right.level) {
      if (left.level === 0 || isInside(left, within) || isInside(right, within)) return false;
      left.descend();
      right.descend();
    } else if (left.level > right.level) left.descend();
    else right.descend();
  }
  return false;
}

function isSameFrontPage({ ref }: MapCursor, other: MapCursor): boolean {
  return ref !== undefined && other.ref !== undefined && samePage(ref, other.ref);
}

function isInside({ key, end }: MapCursor, within: BlockRange): boolean {
  return key >= within.start && end <= within.end;
}
