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
/** Extents that are written again at a time, about those of a page. */
const NEAR_EXTENTS = 160;
/** So many extents between two changes make them two. */
const FAR_EXTENTS = 24;

/** Blocks `[start, start + length)` get another meaning: the log run at `log`, or a hole where that is undefined. */
export interface MapChange {
  readonly start: number;
  readonly length: number;
  readonly log: number | undefined;
}

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
    this.replace(start, start + length, [{ start, length, log, kind: EXTENT_KIND.data }]);
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
    if (this.extents(start, end).next().done !== true) this.replace(start, end, []);
  }

  /** Marks `[start, end)` as lost: reading it is an error until it is written again. */
  setLost(start: number, end: number): void {
    for (let from = start; from < end; from += MAX_EXTENT_BLOCKS) {
      const to = Math.min(end, from + MAX_EXTENT_BLOCKS);
      this.replace(from, to, [{ start: from, length: to - from, log: 0, kind: EXTENT_KIND.lost }]);
    }
  }

  /** The extent with the greatest start not above `block`. */
  private extentAt(block: number): Extent | undefined {
    const position = this.tree.floor(block);
    return position === undefined ? undefined : whole(position.leaf, position.index);
  }

  /**
   * As `set` and `clear` for many ranges that are ascending and apart: those that lie near each other are one change of the
   * tree. `onCovered` is told what stood there.
   */
  setAll(changes: readonly MapChange[], onCovered: (extent: Extent) => void): void {
    const last = changes[changes.length - 1];
    if (last === undefined) return;
    const end = last.start + last.length;
    for (let index = 0; index < changes.length; ) index += this.setNear(changes, index, { end, onCovered });
  }

  /** Changes `changes[index]` and those that follow near it; returns how many. */
  private setNear(
    changes: readonly MapChange[],
    index: number,
    { end, onCovered }: { readonly end: number; readonly onCovered: (extent: Extent) => void },
  ): number {
    const windowStart = (changes[index] as MapChange).start;
    const extents = this.extents(windowStart, end);
    let next = extents.next();
    const window: Extent[] = [];
    let windowEnd = windowStart;
    let count = 0;
    /** Takes what lies before `stop` off the front. */
    const take = (stop: number): Extent | undefined => {
      if (next.done === true || next.value.start >= stop) return undefined;
      const extent = next.value;
      const extentStop = extent.start + extent.length;
      if (extentStop <= stop) {
        next = extents.next();
        return extent;
      }
      next = { done: false, value: cutExtent(extent, stop, extentStop) };
      return cutExtent(extent, extent.start, stop);
    };
    for (let at = index; at < changes.length && window.length < NEAR_EXTENTS; at++) {
      const { start, length, log } = changes[at] as MapChange;
      const between: Extent[] = [];
      for (let extent = take(start); extent !== undefined; extent = take(start)) {
        between.push(extent);
        // Far away: nothing is won by writing all of these again.
        if (between.length > FAR_EXTENTS) break;
      }
      if (between.length > FAR_EXTENTS) break;
      for (const extent of between) push(window, extent);
      for (let extent = take(start + length); extent !== undefined; extent = take(start + length)) onCovered(extent);
      if (log !== undefined) push(window, { start, length, log, kind: EXTENT_KIND.data });
      windowEnd = start + length;
      count++;
    }
    this.replace(windowStart, windowEnd, window);
    return count;
  }

  /** `[start, end)` becomes what `extents` say, ascending, joined and inside it; the neighbours join where they continue. */
  private replace(start: number, end: number, extents: readonly Extent[]): void {
    const entries: Extent[] = [];
    let from = start;
    let to = end;
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
    const [first] = extents;
    // What ends where this begins may go on here, also when another extent began here so far.
    const left = before?.start === start && start > 0 ? this.extentAt(start - 1) : before;
    if (
      left !== undefined &&
      first?.start === start &&
      left.start < start &&
      continues(left, first) &&
      from === start
    ) {
      from = left.start;
      entries.push(left);
    }
    for (const extent of extents) push(entries, extent);
    const next = this.extentAt(end);
    if (next !== undefined) {
      const nextEnd = next.start + next.length;
      if (next.start >= start && next.start < end && nextEnd > end) rest = cutExtent(next, end, nextEnd);
      else if (next.start === end && extents.length > 0 && continuesAt(entries, next)) {
        push(entries, next);
        to = end + 1;
      }
    }
    if (rest !== undefined) push(entries, rest);
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

function continuesAt(entries: readonly Extent[], next: Extent): boolean {
  const last = entries[entries.length - 1];
  return last !== undefined && continues(last, next);
}

/** Adds an extent that lies behind all of `entries`, joined to the last one where it continues that. */
function push(entries: Extent[], extent: Extent): void {
  const last = entries[entries.length - 1];
  if (last !== undefined && continues(last, extent))
    entries[entries.length - 1] = { ...last, length: last.length + extent.length };
  else entries.push(extent);
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
