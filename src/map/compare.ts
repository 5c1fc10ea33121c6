import {
  EXTENT_KIND,
  type Extent,
  type ExtentKind,
  type Extents,
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

type Item =
  | { readonly kind: 'page'; readonly key: number; readonly ref: PageRef | undefined; readonly level: number }
  | { readonly kind: 'extent'; readonly key: number; readonly extent: Extent };

interface Frame {
  readonly node: TreeNode<number, Extents>;
  index: number;
  readonly upper: number | undefined;
}

/** Goes through a map as extents, but stops before each page, which may then be skipped whole. */
class MapCursor {
  private readonly tree: PersistentTree<number, Extents>;
  private readonly frames: Frame[] = [];
  private rest: Extent | undefined;
  private top: Child<number, Extents> | null;

  constructor(map: ExtentMap) {
    this.tree = map.tree;
    this.top = map.tree.topChild();
  }

  peek(): Item | undefined {
    if (this.rest !== undefined) return { kind: 'extent', key: this.rest.start, extent: this.rest };
    if (this.top !== null)
      return { kind: 'page', key: 0, ref: isStored(this.top) ? this.top : undefined, level: Number.POSITIVE_INFINITY };
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      const { node, index } = frame;
      if (isLeaf(node)) {
        if (index < extentCount(node.leaf)) return extentItem(node.leaf, index);
      } else if (index < node.keys.length) {
        const child = node.children[index] as Child<number, Extents>;
        return {
          kind: 'page',
          key: node.keys[index] as number,
          ref: isStored(child) ? child : undefined,
          level: node.level - 1,
        };
      }
      this.frames.pop();
    }
    return undefined;
  }

  /** Passes over the page or extent in front. */
  skip(): void {
    if (this.rest !== undefined) this.rest = undefined;
    else if (this.top !== null) this.top = null;
    else (this.frames.at(-1) as Frame).index++;
  }

  /** Passes over the blocks of the extent in front that lie below `end`. */
  consume(end: number): void {
    const item = this.peek();
    if (item?.kind !== 'extent') return;
    const { extent } = item;
    this.skip();
    const taken = end - extent.start;
    if (taken < extent.length)
      this.rest = { ...extent, start: end, length: extent.length - taken, log: extent.log + taken };
  }

  /** Opens the page in front. */
  descend(): void {
    if (this.top !== null) {
      const node = this.tree.topNode() as TreeNode<number, Extents>;
      this.top = null;
      this.frames.push({ node, index: 0, upper: undefined });
      return;
    }
    const frame = this.frames.at(-1) as Frame;
    const { node, index, upper } = frame;
    if (isLeaf(node)) return;
    frame.index++;
    this.frames.push({ node: this.tree.childNode(node, index, upper), index: 0, upper: node.keys[index + 1] ?? upper });
  }
}

function extentItem(leaf: Extents, index: number): Item {
  const extent = {
    start: extentStart(leaf, index),
    length: extentLength(leaf, index),
    log: extentLog(leaf, index),
    kind: extentKind(leaf, index) as ExtentKind,
  };
  return { kind: 'extent', key: extent.start, extent };
}

/** Where two maps differ, ascending. Pages that both hold are passed over unread, so the cost follows the difference. */
export function* compareMaps(a: ExtentMap, b: ExtentMap): Generator<MapDifference> {
  for (const { start, end, before, after } of mapChanges(a, b))
    yield { start, end, a: before !== undefined, b: after !== undefined };
}

/** The same as runs of `b`, as long as they can be. */
export function* changedRuns(a: ExtentMap, b: ExtentMap): Generator<Run> {
  let held: Run | undefined;
  for (const { start, end, after } of mapChanges(a, b)) {
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

function* mapChanges(a: ExtentMap, b: ExtentMap): Generator<MapChange> {
  if (isSameInline(a.tree, b.tree)) return;
  const left = new MapCursor(a);
  const right = new MapCursor(b);
  for (;;) {
    const x = left.peek();
    const y = right.peek();
    if (x === undefined && y === undefined) return;
    if (
      x?.kind === 'page' &&
      y?.kind === 'page' &&
      x.key === y.key &&
      x.ref !== undefined &&
      y.ref !== undefined &&
      samePage(x.ref, y.ref)
    ) {
      left.skip();
      right.skip();
      continue;
    }
    const xKey = x?.key ?? Number.POSITIVE_INFINITY;
    const yKey = y?.key ?? Number.POSITIVE_INFINITY;
    if (x?.kind === 'page' && xKey <= yKey) {
      if (y?.kind === 'page' && yKey === xKey && y.level > x.level) right.descend();
      else left.descend();
      continue;
    }
    if (y?.kind === 'page' && yKey <= xKey) {
      right.descend();
      continue;
    }
    const start = Math.min(xKey, yKey);
    const here = x?.kind === 'extent' && xKey === start ? x.extent : undefined;
    const there = y?.kind === 'extent' && yKey === start ? y.extent : undefined;
    const end = Math.min(
      here === undefined ? xKey : start + here.length,
      there === undefined ? yKey : start + there.length,
    );
    if (here !== undefined) left.consume(end);
    if (there !== undefined) right.consume(end);
    if (!isSameExtent(here, there)) yield { start, end, before: here, after: there };
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
