import { corrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import { INLINE_ROOT_BYTES, MAX_TREE_LEVELS } from '../format/layout.ts';
import { isPageRef, type PageRef, type TreeRoot } from '../format/page.ts';
import { replaceInNode, type TreeEditor } from './edit.ts';
import {
  type Child,
  decodeNode,
  encodeNode,
  firstKey,
  type InnerNode,
  isLeaf,
  isStored,
  lastKey,
  nodeSum,
  type TreeLayout,
  type TreeNode,
} from './node.ts';
import type { PageStore } from './pages.ts';
import { leafLowerBound, leafUpperBound, upperBound } from './search.ts';

/** One entry: `leaf` and the position in it. */
export interface Position<L> {
  readonly leaf: L;
  readonly index: number;
}

/** Where new pages go, and where places go that nothing needs any more. */
export interface PageSink {
  /** Generation that will publish the pages. */
  readonly generation: number;
  writePage(bytes: Uint8Array): number;
  /** The page at `ref` is no longer part of this tree; `birth` tells whether older trees may hold it. */
  releasePage(ref: PageRef, birth: number): void;
}

/**
 * A persistent B+tree: changes are made to copies in memory, `flush` writes the copies to new places, and
 * the old pages stay as they are for everyone who still holds the old root.
 *
 * Every page is checked against its parent: checksum, level, birth, first key, and that what it covers ends
 * before the next sibling begins. So no page can stand twice in one tree, and no walk can go in circles.
 */
export class PersistentTree<K, L> implements TreeEditor<K, L> {
  readonly layout: TreeLayout<K, L>;
  readonly pages: PageStore;
  private saved: TreeRoot;
  private top: Child<K, L> | null;
  private changed = false;
  private readonly released: { ref: PageRef; birth: number }[] = [];

  constructor(layout: TreeLayout<K, L>, pages: PageStore, root: TreeRoot) {
    this.layout = layout;
    this.pages = pages;
    this.saved = root;
    this.top = openRoot(layout, root);
  }

  get isChanged(): boolean {
    return this.changed;
  }

  /** The root as last written. */
  get savedRoot(): TreeRoot {
    return this.saved;
  }

  /** The top node, or null for an empty tree. */
  topNode(): TreeNode<K, L> | null {
    if (this.top === null) return null;
    return isStored(this.top) ? this.pages.node(this.layout, this.top) : this.top;
  }

  topChild(): Child<K, L> | null {
    return this.top;
  }

  /**
   * Child `index` of `parent`, checked against it; `upper` is the first key behind the parent. 'passing': a leaf may lie where the
   * next one will be read.
   */
  childNode(
    parent: InnerNode<K, L>,
    index: number,
    upper: K | undefined,
    use: 'kept' | 'passing' = 'kept',
  ): TreeNode<K, L> {
    const child = parent.children[index] as Child<K, L>;
    if (!isStored(child)) return child;
    const { pages, layout } = this;
    const node = use === 'kept' ? pages.node(layout, child) : pages.passingNode(layout, child);
    const limit: K | undefined = parent.keys[index + 1] ?? upper;
    if (
      node.level !== parent.level - 1 ||
      node.birth > parent.birth ||
      firstKey(layout, node) !== parent.keys[index] ||
      (limit !== undefined && reachesBeyond(layout, node, limit as NonNullable<K>))
    ) {
      throw corrupt(`${layout.name}: page at ${child.place} does not belong where it stands`, child.place);
    }
    return node;
  }

  /** The entry with the greatest key not above `key`. */
  floor(key: K): Position<L> | undefined {
    let node = this.topNode();
    let upper: K | undefined;
    if (node === null) return undefined;
    while (!isLeaf(node)) {
      const index = Math.max(0, upperBound(node.keys, key) - 1);
      const limit: K | undefined = node.keys[index + 1] ?? upper;
      node = this.childNode(node, index, upper);
      upper = limit;
    }
    const index = leafUpperBound(this.layout, node.leaf, key) - 1;
    return index < 0 ? undefined : { leaf: node.leaf, index };
  }

  /** Leaves from the entry that holds `from` (or the first above it) on, in ascending order; every position is not beyond its leaf's end. */
  *leaves(from?: K): Generator<Position<L>> {
    const node = this.topNode();
    if (node !== null) yield* this.leavesOf(node, from, undefined);
  }

  private *leavesOf(node: TreeNode<K, L>, from: K | undefined, upper: K | undefined): Generator<Position<L>> {
    if (isLeaf(node)) {
      const index = from === undefined ? 0 : leafLowerBound(this.layout, node.leaf, from);
      if (index < this.layout.count(node.leaf)) yield { leaf: node.leaf, index };
      return;
    }
    const start = from === undefined ? 0 : Math.max(0, upperBound(node.keys, from) - 1);
    for (let index = start; index < node.keys.length; index++) {
      yield* this.leavesOf(
        this.childNode(node, index, upper),
        index === start ? from : undefined,
        node.keys[index + 1] ?? upper,
      );
    }
  }

  /** Leaves with the position of the last entry not above `from` (or the last of all), in descending order. */
  *leavesBackward(from?: K): Generator<Position<L>> {
    const node = this.topNode();
    if (node !== null) yield* this.leavesBackwardOf(node, from, undefined);
  }

  private *leavesBackwardOf(node: TreeNode<K, L>, from: K | undefined, upper: K | undefined): Generator<Position<L>> {
    if (isLeaf(node)) {
      const index =
        (from === undefined ? this.layout.count(node.leaf) : leafUpperBound(this.layout, node.leaf, from)) - 1;
      if (index >= 0) yield { leaf: node.leaf, index };
      return;
    }
    const start = (from === undefined ? node.keys.length : upperBound(node.keys, from)) - 1;
    for (let index = start; index >= 0; index--) {
      yield* this.leavesBackwardOf(
        this.childNode(node, index, upper),
        index === start ? from : undefined,
        node.keys[index + 1] ?? upper,
      );
    }
  }

  /** Removes every entry with `from <= key < to` (to the end if `to` is undefined) and puts `entries` there, whose keys must lie in that range. */
  replaceRange(from: K, to: K | undefined, entries: L): void {
    const { layout } = this;
    this.changed = true;
    let nodes: TreeNode<K, L>[];
    if (this.top === null) {
      nodes = replaceInNode(
        this,
        { level: 0, birth: Number.POSITIVE_INFINITY, leaf: layout.empty },
        { from, to, entries, upper: undefined, isLast: true },
      );
    } else {
      const node = this.own(this.top);
      nodes = replaceInNode(this, node, { from, to, entries, upper: undefined, isLast: true });
    }
    while (nodes.length > 1) {
      const parent: InnerNode<K, L> = {
        level: (nodes[0] as TreeNode<K, L>).level + 1,
        birth: Number.POSITIVE_INFINITY,
        keys: nodes.map((node) => firstKey(layout, node)),
        children: nodes,
        sums: layout.sum === undefined ? [] : nodes.map((node) => nodeSum(layout, node) as number),
      };
      if (parent.level >= MAX_TREE_LEVELS) throw corrupt(`${layout.name}: too many levels`);
      nodes = replaceInNode(this, parent, undefined);
    }
    let top: Child<K, L> | null = nodes[0] ?? null;
    // A top with one child only adds a level.
    while (top !== null && !isStored(top) && !isLeaf(top) && top.children.length === 1)
      top = top.children[0] as Child<K, L>;
    this.top = top;
  }

  /** The node of a child that is about to be changed: its page, if it has one, is given up. */
  own(child: Child<K, L>): TreeNode<K, L> {
    if (!isStored(child)) return child;
    const node = this.pages.node(this.layout, child);
    this.release(child, node.birth);
    return node;
  }

  release(ref: PageRef, birth: number): void {
    this.released.push({ ref, birth });
  }

  /** Empties the tree. Pages born up to `olderThan`, and all below them, are not gone through: they belong to others too. */
  clear(options: { readonly olderThan: number; readonly onLeaf?: (leaf: L) => void }): void {
    const visit = (child: Child<K, L>, node: TreeNode<K, L>, upper: K | undefined): void => {
      if (isStored(child)) {
        if (node.birth <= options.olderThan) return;
        this.release(child, node.birth);
      }
      if (isLeaf(node)) {
        options.onLeaf?.(node.leaf);
        return;
      }
      for (const [index, below] of node.children.entries())
        visit(below, this.childNode(node, index, upper), node.keys[index + 1] ?? upper);
    };
    const top = this.topNode();
    if (this.top !== null && top !== null) visit(this.top, top, undefined);
    this.top = null;
    this.changed = true;
  }

  /** Replaces the top by what `change` makes of it, with the same entries. */
  reshape(change: (top: Child<K, L>) => Child<K, L>): void {
    if (this.top === null) return;
    const top = change(this.top);
    if (top !== this.top) this.changed = true;
    this.top = top;
  }

  /** Takes `root` (of another tree of the same layout) as this tree's own, as it is stored. */
  adopt(root: TreeRoot): void {
    this.top = openRoot(this.layout, root);
    this.saved = root;
    this.changed = false;
  }

  /** Takes over what another tree of the same layout has become; that one must not be used any more. */
  become(other: PersistentTree<K, L>): void {
    this.top = other.top;
    this.saved = other.saved;
    this.changed = other.changed;
    this.released.push(...other.released);
  }

  /** Hands over the pages given up so far. */
  takeReleased(): { ref: PageRef; birth: number }[] {
    return this.released.splice(0);
  }

  /** Writes what was changed, children first, and returns the new root. */
  flush(sink: PageSink): TreeRoot {
    for (const { ref, birth } of this.takeReleased()) sink.releasePage(ref, birth);
    if (!this.changed) return this.saved;
    this.changed = false;
    this.saved = this.flushTop(sink);
    return this.saved;
  }

  private flushTop(sink: PageSink): TreeRoot {
    const { top } = this;
    if (top === null || isStored(top)) return top;
    if (isLeaf(top)) {
      const bytes = encodeNode(this.layout, top, sink.generation);
      if (bytes.length <= INLINE_ROOT_BYTES) return bytes;
    }
    const ref = this.flushNode(top, sink);
    this.top = ref;
    return ref;
  }

  private flushNode(node: TreeNode<K, L>, sink: PageSink): PageRef {
    let whole = node;
    if (!isLeaf(node)) {
      whole = {
        ...node,
        birth: sink.generation,
        bytes: undefined,
        children: node.children.map((child) => (isStored(child) ? child : this.flushNode(child, sink))),
      };
    } else {
      whole = { ...node, birth: sink.generation };
    }
    const bytes = encodeNode(this.layout, whole, sink.generation);
    const ref: PageRef = { place: sink.writePage(bytes), lengthBytes: bytes.length, checksum: checksum(bytes) };
    this.pages.remember(this.layout, ref, whole);
    return ref;
  }
}

/** True if the node has keys from `limit` on, or covers something behind it. */
function reachesBeyond<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>, limit: NonNullable<K>): boolean {
  if (lastKey(layout, node) >= limit) return true;
  return isLeaf(node) && layout.end !== undefined && layout.end(node.leaf) > limit;
}

/** The top of a tree: a page to be read later, or the one that the root holds itself, which must be a leaf. */
function openRoot<K, L>(layout: TreeLayout<K, L>, root: TreeRoot): Child<K, L> | null {
  if (root === null || isPageRef(root)) return root;
  const node = decodeNode(layout, root, undefined);
  if (node.level !== 0) throw corrupt(`${layout.name}: inline page is not a leaf`);
  return node;
}
