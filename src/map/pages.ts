import { corrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import { MAX_PAGE_BYTES } from '../format/layout.ts';
import type { PageRef } from '../format/page.ts';
import type { Storage } from '../storage/storage.ts';
import { decodeNode, isLeaf, memoryBytes, type TreeLayout, type TreeNode } from './node.ts';

interface CachedNode {
  readonly ref: PageRef;
  readonly kind: number;
  readonly node: unknown;
  readonly memoryBytes: number;
}

/** Reads and verifies pages; keeps the nodes it decoded last, within a fixed number of bytes of memory. */
export class PageStore {
  private readonly storage: Storage;
  private readonly cacheBytes: number;
  private readonly cache = new Map<number, CachedNode>();
  private cachedBytes = 0;
  /** For a page that nobody keeps. */
  private room: Uint8Array | undefined;

  constructor(storage: Storage, options: { readonly cacheBytes?: number } = {}) {
    this.storage = storage;
    this.cacheBytes = options.cacheBytes ?? 16 * 1024 * 1024;
  }

  /** The verified bytes of a page, in `into` if that is given. Errors: 'corrupt' with the place. */
  bytes(ref: PageRef, what: string, into?: Uint8Array): Uint8Array {
    if (ref.lengthBytes > MAX_PAGE_BYTES) throw corrupt(`${what}: page of ${ref.lengthBytes} bytes`, ref.place);
    const bytes = into?.subarray(0, ref.lengthBytes) ?? new Uint8Array(ref.lengthBytes);
    const count = this.storage.read(bytes, ref.place);
    if (count < bytes.length) throw corrupt(`${what}: page at ${ref.place} lies beyond the end of the file`, ref.place);
    if (checksum(bytes) !== ref.checksum)
      throw corrupt(`${what}: page at ${ref.place} has a wrong checksum`, ref.place);
    return bytes;
  }

  node<K, L>(layout: TreeLayout<K, L>, ref: PageRef): TreeNode<K, L> {
    const cached = this.cache.get(ref.place);
    if (
      cached !== undefined &&
      cached.kind === layout.kind &&
      cached.ref.checksum === ref.checksum &&
      cached.ref.lengthBytes === ref.lengthBytes
    ) {
      // Re-inserting keeps the map in order of use; only worth it once something may have to go.
      if (this.cachedBytes > this.cacheBytes / 2) {
        this.cache.delete(ref.place);
        this.cache.set(ref.place, cached);
      }
      return cached.node as TreeNode<K, L>;
    }
    const node = decodeNode(layout, this.bytes(ref, layout.name), ref.place);
    this.remember(layout, ref, node);
    return node;
  }

  /** As `node`, for whoever looks at many leaves, each once: they are not kept, and the next one may lie where this one did. */
  passingNode<K, L>(layout: TreeLayout<K, L>, ref: PageRef): TreeNode<K, L> {
    if (layout.room === undefined || this.cache.has(ref.place)) return this.node(layout, ref);
    this.room ??= new Uint8Array(MAX_PAGE_BYTES);
    const node = decodeNode(layout, this.bytes(ref, layout.name, this.room), ref.place, layout.room);
    if (!isLeaf(node)) this.remember(layout, ref, node);
    return node;
  }

  remember<K, L>(layout: TreeLayout<K, L>, ref: PageRef, node: TreeNode<K, L>): void {
    this.forget(ref.place);
    const bytes = memoryBytes(layout, node);
    this.cache.set(ref.place, { ref, kind: layout.kind, node, memoryBytes: bytes });
    this.cachedBytes += bytes;
    for (const place of this.cache.keys()) {
      if (this.cachedBytes <= this.cacheBytes) break;
      this.forget(place);
    }
  }

  forget(place: number): void {
    const entry = this.cache.get(place);
    if (entry === undefined) return;
    this.cache.delete(place);
    this.cachedBytes -= entry.memoryBytes;
  }
}
