import {
  EXTENT_KIND,
  type Extent,
  type ExtentKind,
  type Extents,
  extentCount,
  extentEnd,
  extentKind,
  extentLength,
  extentLog,
  extentStart,
  MAX_EXTENT_BLOCKS,
  makeExtents,
} from '../format/extent-page.ts';
import type { TreeRoot } from '../format/page.ts';
import { extentLayout } from './layouts.ts';
import type { PageStore } from './pages.ts';
import { PersistentTree } from './tree.ts';

/** A guest range with one meaning: `[start, start + length)` in blocks; `log` is undefined for a hole. */
export interface Run {
  readonly start: number;
  readonly length: number;
  readonly log: number | undefined;
  readonly kind: ExtentKind;
}

const APPENDED_AT_ONCE = 512;

/** A map from guest blocks to log blocks, kept as extents; what no extent covers is a hole. */
export class ExtentMap {
  readonly tree: PersistentTree<number, Extents>;

  constructor(pages: PageStore, root: TreeRoot) {
    this.tree = new PersistentTree(extentLayout, pages, root);
  }

  /** Every block of `[start, end)` once, in order, as extents cut to the range and holes. */
  *runs(start: number, end: number): Generator<Run> {
    let at = start;
    for (const extent of this.extents(start, end)) {
      if (extent.start > at) yield { start: at, length: extent.start - at, log: undefined, kind: EXTENT_KIND.data };
      yield extent;
      at = extent.start + extent.length;
    }
    if (at < end) yield { start: at, length: end - at, log: undefined, kind: EXTENT_KIND.data };
  }

  /** Extents that touch `[start, end)`, cut to it. */
  *extents(start: number, end: number): Generator<Extent> {
    if (start >= end) return;
    const before = this.tree.floor(start);
    let from = start;
    if (before !== undefined && extentEnd(before.leaf, before.index) > start) {
      yield cut(before.leaf, before.index, start, end);
      from = extentEnd(before.leaf, before.index);
    }
    if (from >= end) return;
    for (const { leaf, index } of this.tree.leaves(from)) {
      for (let at = index; at < extentCount(leaf); at++) {
        if (extentStart(leaf, at) >= end) return;
        yield cut(leaf, at, start, end);
      }
    }
  }

  /** The block behind the last mapped one, 0 for an empty map. */
  endBlock(): number {
    for (const { leaf, index } of this.tree.leavesBackward()) return extentEnd(leaf, index);
    return 0;
  }

  /** Maps `[start, start + length)` to the log run at `log`, joining what continues on either side. */
  set(start: number, length: number, log: number): void {
    this.replace(start, start + length, { start, length, log, kind: EXTENT_KIND.data });
  }

  /**
   * Maps extents that lie behind everything mapped so far, in ascending order, joining what continues. For a map that is
   * built as a whole: many of them are one change of the tree.
   */
  append(extents: Iterable<Extent>): void {
    let batch: Extent[] = [];
    const put = (): void => {
      const [first] = batch;
      if (first !== undefined) this.tree.replaceRange(first.start, undefined, makeExtents(batch));
      batch = [];
    };
    for (const extent of extents) {
      const last = batch[batch.length - 1];
      if (last !== undefined && continues(last, extent)) {
        batch[batch.length - 1] = { ...last, length: last.length + extent.length };
        continue;
      }
      if (batch.length === APPENDED_AT_ONCE) put();
      batch.push(extent);
    }
    put();
  }

  /** Makes `[start, end)` a hole. */
  clear(start: number, end: number): void {
    if (this.extents(start, end).next().done !== true) this.replace(start, end, undefined);
  }

  /** Marks `[start, end)` as lost: reading it is an error until it is written again. */
  setLost(start: number, end: number): void {
    for (let from = start; from < end; from += MAX_EXTENT_BLOCKS) {
      const to = Math.min(end, from + MAX_EXTENT_BLOCKS);
      this.replace(from, to, { start: from, length: to - from, log: 0, kind: EXTENT_KIND.lost });
    }
  }

  /** The extent with the greatest start not above `block`. */
  private extentAt(block: number): Extent | undefined {
    const position = this.tree.floor(block);
    return position === undefined ? undefined : whole(position.leaf, position.index);
  }

  private replace(start: number, end: number, extent: Extent | undefined): void {
    const entries: Extent[] = [];
    let from = start;
    let to = end;
    let added = extent;
    let rest: Extent | undefined;
    const before = this.extentAt(start);
    if (before !== undefined) {
      const beforeEnd = before.start + before.length;
      if (beforeEnd > end) rest = cutExtent(before, end, beforeEnd);
      if (beforeEnd > start && before.start < start) {
        from = before.start;
        entries.push({ ...before, length: start - before.start });
      }
    }
    // What ends where this begins may go on here, also when another extent began here so far.
    const left = before?.start === start && start > 0 ? this.extentAt(start - 1) : before;
    if (left !== undefined && added !== undefined && left.start < start && continues(left, added)) {
      from = left.start;
      added = { ...added, start: left.start, log: left.log, length: left.length + added.length };
    }
    const next = this.extentAt(end);
    if (next !== undefined) {
      const nextEnd = next.start + next.length;
      if (next.start >= start && next.start < end && nextEnd > end) rest = cutExtent(next, end, nextEnd);
      else if (next.start === end && added !== undefined && continues(added, next)) {
        added = { ...added, length: added.length + next.length };
        to = end + 1;
      }
    }
    const last = entries[0];
    if (added !== undefined && last !== undefined && continues(last, added)) {
      entries[0] = { ...last, length: last.length + added.length };
      added = undefined;
    }
    if (added !== undefined) entries.push(added);
    const tail = entries[entries.length - 1];
    if (rest !== undefined) {
      if (extent !== undefined && tail !== undefined && continues(tail, rest))
        entries[entries.length - 1] = { ...tail, length: tail.length + rest.length };
      else entries.push(rest);
    }
    this.tree.replaceRange(from, to, makeExtents(entries));
  }
}

/** `right` goes on in the guest and in the log where `left` ends. */
function continues(left: Extent, right: Extent): boolean {
  return (
    left.kind === EXTENT_KIND.data &&
    right.kind === EXTENT_KIND.data &&
    left.start + left.length === right.start &&
    left.log + left.length === right.log &&
    left.length + right.length <= MAX_EXTENT_BLOCKS
  );
}

function whole(leaf: Extents, index: number): Extent {
  return {
    start: extentStart(leaf, index),
    length: extentLength(leaf, index),
    log: extentLog(leaf, index),
    kind: extentKind(leaf, index) as ExtentKind,
  };
}

function cut(leaf: Extents, index: number, start: number, end: number): Extent {
  return cutExtent(whole(leaf, index), start, end);
}

function cutExtent(extent: Extent, start: number, end: number): Extent {
  const from = Math.max(extent.start, start);
  const to = Math.min(extent.start + extent.length, end);
  return { start: from, length: to - from, log: extent.log + (from - extent.start), kind: extent.kind };
}
