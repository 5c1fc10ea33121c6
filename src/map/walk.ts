import { corrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import { isPageRef, type PageRef, type TreeRoot } from '../format/page.ts';
import {
  type Child,
  encodeNode,
  type InnerNode,
  isLeaf,
  isStored,
  nodeSum,
  type TreeLayout,
  type TreeNode,
} from './node.ts';
import type { PageStore } from './pages.ts';
import { PersistentTree } from './tree.ts';

export interface TreeVisitor<L> {
  /** Generation that no page may be younger than. Default: any will do. */
  readonly youngest?: number;
  /** A stored page; false: it was seen before, and what lies below it is not visited again. */
  page(ref: PageRef): boolean;
  /** 'passing': no leaf is looked at twice, and what `leaf` gets is good only during its call. */
  readonly use?: 'passing';
  leaf(leaf: L): void;
  /** A page or what it says is damaged; the walk goes on beside it. Without this, the error is thrown. */
  damage?(error: unknown, from: unknown, to: unknown): void;
}

/**
 * Visits every page of a published tree once, and checks what reading one entry does not need: that no page is
 * younger than the one above it, and what inner pages say of the leaves below.
 */
export function walkTree<K, L>(
  layout: TreeLayout<K, L>,
  pages: PageStore,
  root: TreeRoot,
  visitor: TreeVisitor<L>,
): void {
  const steps = walkInSteps(layout, pages, root, visitor);
  while (steps.next().done !== true);
}

/** As `walkTree`, which goes on when the next step is asked for: there is one for each page. */
export function* walkInSteps<K, L>(
  layout: TreeLayout<K, L>,
  pages: PageStore,
  root: TreeRoot,
  visitor: TreeVisitor<L>,
): Generator<void> {
  if (root === null) return;
  function* guarded(from: K | undefined, to: K | undefined, action: () => Generator<void>): Generator<void> {
    try {
      yield* action();
    } catch (error) {
      if (visitor.damage === undefined) throw error;
      visitor.damage(error, from, to);
    }
  }
  const tree = new PersistentTree(layout, pages, root);
  function* visit(node: TreeNode<K, L>, upper: K | undefined): Generator<void> {
    if (isLeaf(node)) {
      visitor.leaf(node.leaf);
      yield;
      return;
    }
    for (let index = 0; index < node.children.length; index++) {
      const limit = node.keys[index + 1] ?? upper;
      yield* guarded(node.keys[index], limit, function* () {
        // The page is checked against its parent before it counts as seen.
        const child = tree.childNode(node, index, upper, visitor.use);
        checkChild(layout, node, index, child);
        if (visitor.page(node.children[index] as PageRef)) yield* visit(child, limit);
      });
    }
  }
  yield* guarded(undefined, undefined, function* () {
    const top = tree.topNode() as TreeNode<K, L>;
    if (top.birth > (visitor.youngest ?? top.birth)) throw corrupt(`${layout.name}: its top page is from the future`);
    if (!isPageRef(root) || visitor.page(root)) yield* visit(top, undefined);
  });
}

function checkChild<K, L>(
  layout: TreeLayout<K, L>,
  parent: InnerNode<K, L>,
  index: number,
  child: TreeNode<K, L>,
): void {
  const { place } = parent.children[index] as PageRef;
  if (child.birth > parent.birth)
    throw corrupt(`${layout.name}: page at ${place} is younger than the one above it`, place);
  if (nodeSum(layout, child) !== parent.sums[index])
    throw corrupt(`${layout.name}: what stands above the page at ${place} does not agree with it`, place);
}

export interface Mover {
  /** Whether a page should go elsewhere; always the same answer for one. */
  isInTheWay(ref: PageRef): boolean;
  /** A better place for such a page, if there is one; it is as long there as it is now. */
  placeFor(ref: PageRef): number | undefined;
  /** A place for a page that has to be written again because one below it moved. */
  placeAnywhere(lengthBytes: number): number;
  write(bytes: Uint8Array, place: number): void;
  /** The page at `ref`, of that birth, was copied; nothing refers to it any more once all roots are moved. */
  gaveUp(ref: PageRef, birth: number): void;
  /** The page that `ref` has become, by place: what was found to stay must stay when another root has it too. */
  readonly moved: Map<number, PageRef>;
}

/** Copies the pages that have a better place, and those above them, to new places; pages that several roots share stay shared. Returns the new root. */
export function moveTree<K, L>(layout: TreeLayout<K, L>, pages: PageStore, root: TreeRoot, mover: Mover): TreeRoot {
  if (root === null || !isPageRef(root)) return root;
  const move = (ref: PageRef, level?: number): PageRef => {
    const known = mover.moved.get(ref.place);
    if (known !== undefined) return known;
    // Most pages are leaves that stay: these are not even read.
    if (level === 0 && !mover.isInTheWay(ref)) return ref;
    const node = pages.node(layout, ref);
    const children = isLeaf(node) ? [] : node.children.map((child) => move(child as PageRef, node.level - 1));
    const changed = !isLeaf(node) && children.some((child, index) => child !== node.children[index]);
    let result = ref;
    const better = changed || !mover.isInTheWay(ref) ? undefined : mover.placeFor(ref);
    if (changed || better !== undefined) {
      const bytes = encodeNode(layout, isLeaf(node) ? node : { ...node, children }, node.birth);
      const place = better ?? mover.placeAnywhere(bytes.length);
      mover.write(bytes, place);
      result = { place, lengthBytes: bytes.length, checksum: checksum(bytes) };
      mover.gaveUp(ref, node.birth);
    }
    mover.moved.set(ref.place, result);
    return result;
  };
  return move(root);
}

/** Takes the pages that must move, and those above them, into memory, so that the next flush writes them elsewhere. */
export function loosenTree<K, L>(tree: PersistentTree<K, L>, shouldMove: (ref: PageRef) => boolean): void {
  const loosen = (child: Child<K, L>, level?: number): Child<K, L> => {
    if (level === 0 && isStored(child) && !shouldMove(child)) return child;
    const node = isStored(child) ? tree.pages.node(tree.layout, child) : child;
    const children = isLeaf(node) ? [] : node.children.map((below) => loosen(below, node.level - 1));
    const changed = !isLeaf(node) && children.some((next, index) => next !== node.children[index]);
    if (isStored(child)) {
      if (!changed && level !== 0 && !shouldMove(child)) return child;
      tree.release(child, node.birth);
    } else if (!changed) {
      return child;
    }
    return isLeaf(node)
      ? { ...node, birth: Number.POSITIVE_INFINITY }
      : ({ ...node, birth: Number.POSITIVE_INFINITY, bytes: undefined, children } as InnerNode<K, L>);
  };
  tree.reshape((top) => loosen(top));
}
