import { corrupt } from '../errors.ts';
import { ByteReader, ByteWriter } from '../format/cursor.ts';
import {
  innerEntryBytes,
  type KeyCodec,
  type PageRef,
  pageHeadBytes,
  readInner,
  readPageHead,
  writeInner,
  writePageHead,
} from '../format/page.ts';

/** What a tree needs to know of its leaves: everything else is the same for all trees. */
export interface TreeLayout<K, L> {
  /** First byte of every page. */
  readonly kind: number;
  /** For messages: "interval map", "version table". */
  readonly name: string;
  /** Pages split when they would be longer. */
  readonly pageBytes: number;
  readonly keys: KeyCodec<K>;
  readonly empty: L;
  count(leaf: L): number;
  keyAt(leaf: L, index: number): K;
  /** Encoded bytes of entry `index` in a page whose first entry is `first`. */
  entryBytes(leaf: L, index: number, first: number): number;
  slice(leaf: L, from: number, to: number): L;
  splice(leaf: L, from: number, to: number, inserted: L): L;
  write(writer: ByteWriter, leaf: L): void;
  /** Memory for a leaf that is only looked at. */
  readonly room?: L;
  /** The result may lie in `into`, if that is given. */
  read(reader: ByteReader, count: number, into?: L): L;
  /** What the leaf takes in memory, about. */
  memoryBytes(leaf: L): number;
  /** First key behind all that the leaf covers, where an entry covers more than its key. */
  end?(leaf: L): K;
  /** A number of each leaf whose maximum is kept in the inner pages, if the tree has one. */
  sum?(leaf: L): number;
}

interface AnyNode {
  /** Generation that wrote the page; Infinity while it is only in memory. */
  readonly birth: number;
  /** What `nodeBytes` found. */
  bytes?: number | undefined;
}

export interface LeafNode<L> extends AnyNode {
  readonly level: 0;
  readonly leaf: L;
}

export interface InnerNode<K, L> extends AnyNode {
  readonly level: number;
  readonly keys: readonly K[];
  readonly children: Child<K, L>[];
  readonly sums: readonly number[];
}

export type TreeNode<K, L> = LeafNode<L> | InnerNode<K, L>;
/** A page on the storage, or a node that is not written yet. */
export type Child<K, L> = PageRef | TreeNode<K, L>;

export function isLeaf<K, L>(node: TreeNode<K, L>): node is LeafNode<L> {
  return node.level === 0;
}

export function isStored<K, L>(child: Child<K, L>): child is PageRef {
  return (child as PageRef).place !== undefined;
}

export function firstKey<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>): K {
  return isLeaf(node) ? layout.keyAt(node.leaf, 0) : (node.keys[0] as K);
}

export function lastKey<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>): K {
  return isLeaf(node) ? layout.keyAt(node.leaf, layout.count(node.leaf) - 1) : (node.keys[node.keys.length - 1] as K);
}

export function nodeSum<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>): number | undefined {
  if (layout.sum === undefined) return undefined;
  return isLeaf(node) ? layout.sum(node.leaf) : Math.max(...node.sums);
}

/** A node that is not written yet has pointers of unknown length: this is their usual size. */
const UNWRITTEN: PageRef = { place: 2 ** 20, lengthBytes: 512, checksum: 0 };

/** Sizes of the entries of a node, each as if it stood behind the one before it, or first. */
export function entryBytes<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>, index: number, first: number): number {
  if (isLeaf(node)) return layout.entryBytes(node.leaf, index, first);
  const at = (position: number): PageRef => {
    const child = node.children[position] as Child<K, L>;
    return isStored(child) ? child : UNWRITTEN;
  };
  const before = index === first ? undefined : at(index - 1);
  const ref = at(index);
  const expected = before === undefined ? 0 : before.place + before.lengthBytes;
  const previous = index === first ? undefined : node.keys[index - 1];
  return innerEntryBytes(layout.keys, node.keys[index] as K, previous, ref, expected, node.sums[index]);
}

export function nodeCount<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>): number {
  return isLeaf(node) ? layout.count(node.leaf) : node.keys.length;
}

/** Generations have three bytes as varint for the first two million publications: a page's head is about this long. */
const HEAD_BYTES = pageHeadBytes(2 ** 20, 128);

/** Length of its page, about. Each node is measured once; a leaf that is changed entry by entry not even that. */
export function nodeBytes<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>): number {
  if (node.bytes !== undefined) return node.bytes;
  let total = HEAD_BYTES;
  for (let index = 0; index < nodeCount(layout, node); index++) total += entryBytes(layout, node, index, 0);
  node.bytes = total;
  return total;
}

/** Of a node in memory: objects, the arrays in them, and for each child of an inner one its key and its pointer. */
const NODE_BYTES = 300;
const CHILD_BYTES = 120;

/** What a node takes in memory, about, without those below it. */
export function memoryBytes<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>): number {
  return NODE_BYTES + (isLeaf(node) ? layout.memoryBytes(node.leaf) : node.keys.length * CHILD_BYTES);
}

/** The leaf with entries `[from, to)` replaced, measured by what changes: each entry's length depends on the one before it only. */
export function spliceLeaf<K, L>(
  layout: TreeLayout<K, L>,
  node: LeafNode<L>,
  { from, to, inserted }: { readonly from: number; readonly to: number; readonly inserted: L },
): LeafNode<L> {
  const leaf = layout.splice(node.leaf, from, to, inserted);
  const stop = from + layout.count(inserted);
  // Up to the first entry behind, which has another one before it now.
  const length = (entries: L, end: number): number => {
    let total = 0;
    for (let index = from; index < Math.min(end + 1, layout.count(entries)); index++)
      total += layout.entryBytes(entries, index, 0);
    return total;
  };
  const bytes = nodeBytes(layout, node) - length(node.leaf, to) + length(leaf, stop);
  return { level: 0, birth: Number.POSITIVE_INFINITY, leaf, bytes };
}

export function sliceNode<K, L>(
  layout: TreeLayout<K, L>,
  node: TreeNode<K, L>,
  from: number,
  to: number,
): TreeNode<K, L> {
  if (isLeaf(node)) return { level: 0, birth: Number.POSITIVE_INFINITY, leaf: layout.slice(node.leaf, from, to) };
  return {
    level: node.level,
    birth: Number.POSITIVE_INFINITY,
    keys: node.keys.slice(from, to),
    children: node.children.slice(from, to),
    sums: node.sums.slice(from, to),
  };
}

export function joinNodes<K, L>(layout: TreeLayout<K, L>, left: TreeNode<K, L>, right: TreeNode<K, L>): TreeNode<K, L> {
  if (isLeaf(left) && isLeaf(right)) {
    const count = layout.count(left.leaf);
    return { level: 0, birth: Number.POSITIVE_INFINITY, leaf: layout.splice(left.leaf, count, count, right.leaf) };
  }
  const a = left as InnerNode<K, L>;
  const b = right as InnerNode<K, L>;
  return {
    level: a.level,
    birth: Number.POSITIVE_INFINITY,
    keys: [...a.keys, ...b.keys],
    children: [...a.children, ...b.children],
    sums: [...a.sums, ...b.sums],
  };
}

/** The page of a node whose children are all written. */
export function encodeNode<K, L>(layout: TreeLayout<K, L>, node: TreeNode<K, L>, birth: number): Uint8Array {
  const writer = new ByteWriter(layout.pageBytes + 64);
  writePageHead(writer, { kind: layout.kind, level: node.level, birth, count: nodeCount(layout, node) });
  if (isLeaf(node)) layout.write(writer, node.leaf);
  else writeInner(writer, layout.keys, { keys: node.keys, refs: node.children as PageRef[], sums: node.sums });
  return writer.finish();
}

export function decodeNode<K, L>(
  layout: TreeLayout<K, L>,
  bytes: Uint8Array,
  place: number | undefined,
  into?: L,
): TreeNode<K, L> {
  const where = place === undefined ? `${layout.name} (inline)` : `${layout.name}, page at ${place}`;
  const reader = new ByteReader(bytes, where);
  const head = readPageHead(reader);
  if (head.kind !== layout.kind) throw corrupt(`${where}: is a page of another kind`, place);
  if (head.level === 0) return { level: 0, birth: head.birth, leaf: layout.read(reader, head.count, into) };
  const columns = readInner(reader, layout.keys, head.count, { sums: layout.sum !== undefined });
  return { level: head.level, birth: head.birth, keys: columns.keys, children: columns.refs, sums: columns.sums };
}
