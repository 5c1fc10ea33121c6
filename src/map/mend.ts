import { corrupt, unlessCorrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import { EXTENT_KIND, type Extents, MAX_EXTENT_BLOCKS, makeExtents } from '../format/extent-page.ts';
import { isPageRef, type PageRef, type TreeRoot } from '../format/page.ts';
import { extentLayout } from './layouts.ts';
import { encodeNode, isLeaf, type TreeNode } from './node.ts';
import type { PageStore } from './pages.ts';
import { PersistentTree } from './tree.ts';

export interface MapMender {
  /** Generation that the new pages are given; those above them must not be older. */
  readonly birth: number;
  writePage(bytes: Uint8Array): number;
  /** What pages have become, so that those that several maps share stay shared. Empty at first. */
  readonly mended: Map<string, PageRef>;
}

/**
 * The root of a map like that of `root`, in which extents of the kind 'lost' stand for what pages that cannot be
 * read may have mapped, up to guest block `endBlock`. Pages are copied where that changes them or what is below.
 */
export function mendMap(pages: PageStore, root: TreeRoot, endBlock: number, mender: MapMender): TreeRoot {
  if (root === null || !isPageRef(root)) return root;
  const tree = new PersistentTree(extentLayout, pages, root);
  const write = (node: TreeNode<number, Extents>): PageRef => {
    const bytes = encodeNode(extentLayout, node, mender.birth);
    return { place: mender.writePage(bytes), lengthBytes: bytes.length, checksum: checksum(bytes) };
  };
  const lost = (from: number, to: number, level: number): PageRef => {
    let ref = write({ level: 0, birth: mender.birth, leaf: lostExtents(from, Math.max(to, from + 1)) });
    // A page stands at the level that its parent expects.
    for (let above = 1; above <= level; above++)
      ref = write({ level: above, birth: mender.birth, keys: [from], children: [ref], sums: [] });
    return ref;
  };
  const mend = (ref: PageRef, node: TreeNode<number, Extents>, upper: number | undefined): PageRef => {
    if (isLeaf(node)) return ref;
    const name = `${ref.place} ${upper ?? endBlock}`;
    const known = mender.mended.get(name);
    if (known !== undefined) return known;
    let isChanged = false;
    const children = node.children.map((child, index) => {
      const key = node.keys[index] as number;
      const limit = node.keys[index + 1] ?? upper;
      const below = unlessCorrupt(() => tree.childNode(node, index, upper));
      const next =
        below === undefined ? lost(key, limit ?? endBlock, node.level - 1) : mend(child as PageRef, below, limit);
      if (next !== child) isChanged = true;
      return next;
    });
    const result = isChanged ? write({ ...node, birth: mender.birth, children }) : ref;
    mender.mended.set(name, result);
    return result;
  };
  const top = unlessCorrupt(() => tree.topNode() as TreeNode<number, Extents>);
  if (top !== undefined) return mend(root, top, undefined);
  if (endBlock === 0) return null;
  const name = `${root.place} ${endBlock}`;
  const known = mender.mended.get(name) ?? lost(0, endBlock, 0);
  mender.mended.set(name, known);
  return known;
}

/** So many extents fit into a page whatever they say. */
const MAX_LOST_EXTENTS = 4000;

function lostExtents(from: number, to: number): Extents {
  if (to - from > MAX_LOST_EXTENTS * MAX_EXTENT_BLOCKS)
    throw corrupt(`interval map: ${to - from} blocks are too many to be marked as lost`);
  const extents = [];
  for (let start = from; start < to; start += MAX_EXTENT_BLOCKS)
    extents.push({ start, length: Math.min(MAX_EXTENT_BLOCKS, to - start), log: 0, kind: EXTENT_KIND.lost });
  return makeExtents(extents);
}
