import type { PageRef } from '../format/page.ts';
import {
  type Child,
  entryBytes,
  firstKey,
  type InnerNode,
  isLeaf,
  isStored,
  joinNodes,
  nodeBytes,
  nodeCount,
  nodeSum,
  sliceNode,
  spliceLeaf,
  type TreeLayout,
  type TreeNode,
} from './node.ts';
import { leafLowerBound, lowerBound, upperBound } from './search.ts';

/** What the change of a node needs from its tree. */
export interface TreeEditor<K, L> {
  readonly layout: TreeLayout<K, L>;
  childNode(parent: InnerNode<K, L>, index: number, upper: K | undefined): TreeNode<K, L>;
  own(child: Child<K, L>): TreeNode<K, L>;
  release(ref: PageRef, birth: number): void;
}

export interface RangeChange<K, L> {
  readonly from: K;
  /** First key that stays; undefined: none does. */
  readonly to: K | undefined;
  readonly entries: L;
  /** First key behind the node that is changed. */
  readonly upper: K | undefined;
  /** The node is the last of its level: entries at its end are probably followed by more. */
  readonly isLast: boolean;
}

/** The nodes (none, one, or several after splits) that take the place of `node`, which the tree owns already. Without a change: `node`, split if it must be. */
export function replaceInNode<K, L>(
  editor: TreeEditor<K, L>,
  node: TreeNode<K, L>,
  change: RangeChange<K, L> | undefined,
): TreeNode<K, L>[] {
  const { layout } = editor;
  if (change === undefined) return splitNode(layout, node, { keepLeftFull: true });
  if (!isLeaf(node)) return replaceInInner(editor, node, change);
  const count = layout.count(node.leaf);
  const from = leafLowerBound(layout, node.leaf, change.from);
  const to = change.to === undefined ? count : leafLowerBound(layout, node.leaf, change.to);
  const next = spliceLeaf(layout, node, { from, to, inserted: change.entries });
  if (layout.count(next.leaf) === 0) return [];
  return splitNode(layout, next, { keepLeftFull: change.isLast && to === count });
}

function replaceInInner<K, L>(
  editor: TreeEditor<K, L>,
  node: InnerNode<K, L>,
  change: RangeChange<K, L>,
): TreeNode<K, L>[] {
  const { layout } = editor;
  const last = node.keys.length - 1;
  const low = Math.max(0, upperBound(node.keys, change.from) - 1);
  const high = Math.max(low, change.to === undefined ? last : lowerBound(node.keys, change.to) - 1);
  const descend = (index: number, entries: L): TreeNode<K, L>[] => {
    editor.childNode(node, index, change.upper);
    return replaceInNode(editor, editor.own(node.children[index] as Child<K, L>), {
      ...change,
      entries,
      upper: node.keys[index + 1] ?? change.upper,
      isLast: change.isLast && index === last,
    });
  };
  const before = node.children[low] as Child<K, L>;
  const replaced = descend(low, change.entries);
  const [only] = replaced;
  if (low === high && replaced.length === 1 && only !== undefined && isInPlace(layout, node, low, { before, only })) {
    node.children[low] = only;
    return [node];
  }
  for (let index = low + 1; index < high; index++) releaseSubtree(editor, node, index, change.upper);
  if (high > low) replaced.push(...descend(high, layout.empty));

  const kept = (index: number): Child<K, L> => node.children[index] as Child<K, L>;
  const parts = replaced.map((part) => part as Child<K, L>);
  // Small results join a neighbour, so that removing entries gives pages back.
  const leftEdge = low > 0 ? low - 1 : undefined;
  const rightEdge = high < last ? high + 1 : undefined;
  let keepLeft = low;
  let keepRight = high + 1;
  if (parts.some((part) => isSmall(layout, part))) {
    if (leftEdge !== undefined) {
      parts.unshift(kept(leftEdge));
      keepLeft = leftEdge;
    }
    if (rightEdge !== undefined) {
      parts.push(kept(rightEdge));
      keepRight = rightEdge + 1;
    }
    joinSmall(editor, parts, (part) => {
      if (part === (leftEdge === undefined ? undefined : kept(leftEdge)))
        editor.childNode(node, leftEdge as number, change.upper);
      if (part === (rightEdge === undefined ? undefined : kept(rightEdge)))
        editor.childNode(node, rightEdge as number, change.upper);
    });
  }
  const keyOf = (part: Child<K, L>): K =>
    isStored(part) ? (node.keys[node.children.indexOf(part)] as K) : firstKey(layout, part);
  const sumOf = (part: Child<K, L>): number =>
    isStored(part) ? (node.sums[node.children.indexOf(part)] as number) : (nodeSum(layout, part) as number);
  const result: InnerNode<K, L> = {
    level: node.level,
    birth: Number.POSITIVE_INFINITY,
    keys: [...node.keys.slice(0, keepLeft), ...parts.map(keyOf), ...node.keys.slice(keepRight)],
    children: [...node.children.slice(0, keepLeft), ...parts, ...node.children.slice(keepRight)],
    sums:
      layout.sum === undefined
        ? []
        : [...node.sums.slice(0, keepLeft), ...parts.map(sumOf), ...node.sums.slice(keepRight)],
  };
  if (result.children.length === 0) return [];
  return splitNode(layout, result, { keepLeftFull: change.isLast && keepRight > last });
}

/**
 * True if a node that is only in memory, where no other tree knows it, may get another child in the place of one that is only in
 * memory too: that changes neither its length nor anything that is said of it.
 */
function isInPlace<K, L>(
  layout: TreeLayout<K, L>,
  node: InnerNode<K, L>,
  index: number,
  { before, only }: { readonly before: Child<K, L>; readonly only: TreeNode<K, L> },
): boolean {
  return (
    node.birth === Number.POSITIVE_INFINITY &&
    !isStored(before) &&
    layout.sum === undefined &&
    firstKey(layout, only) === node.keys[index] &&
    !isSmall(layout, only)
  );
}

/** A changed child that fills less than a quarter of a page. */
function isSmall<K, L>(layout: TreeLayout<K, L>, child: Child<K, L>): boolean {
  if (isStored(child)) return false;
  // Entries take at least a byte: many of them are never small, and need not be measured.
  if (nodeCount(layout, child) >= layout.pageBytes / 4) return false;
  return nodeBytes(layout, child) < layout.pageBytes / 4;
}

function childBytes<K, L>(layout: TreeLayout<K, L>, child: Child<K, L>): number {
  return isStored(child) ? child.lengthBytes : nodeBytes(layout, child);
}

function joinSmall<K, L>(editor: TreeEditor<K, L>, parts: Child<K, L>[], verify: (part: Child<K, L>) => void): void {
  const { layout } = editor;
  for (let index = 0; index + 1 < parts.length; ) {
    const left = parts[index] as Child<K, L>;
    const right = parts[index + 1] as Child<K, L>;
    const wanted = isSmall(layout, left) || isSmall(layout, right);
    if (wanted && childBytes(layout, left) + childBytes(layout, right) <= layout.pageBytes * 0.9) {
      verify(left);
      verify(right);
      parts.splice(index, 2, joinNodes(layout, editor.own(left), editor.own(right)));
    } else {
      index++;
    }
  }
}

function releaseSubtree<K, L>(
  editor: TreeEditor<K, L>,
  parent: InnerNode<K, L>,
  index: number,
  upper: K | undefined,
): void {
  const node = editor.childNode(parent, index, upper);
  const child = parent.children[index] as Child<K, L>;
  if (isStored(child)) editor.release(child, node.birth);
  if (isLeaf(node)) return;
  const limit = parent.keys[index + 1] ?? upper;
  for (let below = 0; below < node.children.length; below++) releaseSubtree(editor, node, below, limit);
}

/** Cuts a node into nodes that fit a page each: full ones and a rest while entries arrive in order, equal ones otherwise. */
function splitNode<K, L>(
  layout: TreeLayout<K, L>,
  node: TreeNode<K, L>,
  options: { readonly keepLeftFull: boolean },
): TreeNode<K, L>[] {
  const count = nodeCount(layout, node);
  const total = nodeBytes(layout, node);
  if (total <= layout.pageBytes || count === 1) return [node];
  const head = nodeBytes(layout, sliceNode(layout, node, 0, 0));
  const pieces = Math.ceil((total - head) / (layout.pageBytes - head));
  const target = options.keepLeftFull ? layout.pageBytes : head + (total - head) / Math.max(2, pieces);
  const result: TreeNode<K, L>[] = [];
  let first = 0;
  let size = head + entryBytes(layout, node, 0, 0);
  for (let index = 1; index < count; index++) {
    const next = entryBytes(layout, node, index, first);
    // A page may end a little above the even share, never above a page.
    if (size + next > layout.pageBytes || (!options.keepLeftFull && size + next / 2 > target)) {
      result.push(sliceNode(layout, node, first, index));
      first = index;
      size = head + entryBytes(layout, node, index, index);
    } else {
      size += next;
    }
  }
  result.push(sliceNode(layout, node, first, count));
  return result;
}
