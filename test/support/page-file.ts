import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { isPageRef, type PageRef, type TreeRoot } from '../../src/format/page.ts';
import type { TreeLayout } from '../../src/map/node.ts';
import { PageStore } from '../../src/map/pages.ts';
import type { PageSink } from '../../src/map/tree.ts';
import { walkTree } from '../../src/map/walk.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { CountingStorage } from './storages.ts';

/** A storage that tree pages are appended to and that is never written twice; it remembers what came and went. */
export class PageFile {
  readonly storage = new CountingStorage(new MemoryStorage());
  /** Places of the pages written since the last `forgetHistory`, with their lengths. */
  readonly written = new Map<number, number>();
  readonly released: PageRef[] = [];
  private end = RECORDS_OFFSET;
  private generation = 0;

  /** A store with nothing in its cache. */
  store(): PageStore {
    return new PageStore(this.storage);
  }

  append(bytes: Uint8Array): number {
    const place = this.reserve(bytes.length);
    this.write(bytes, place);
    return place;
  }

  /** A place that nobody else gets. */
  reserve(lengthBytes: number): number {
    this.end += lengthBytes;
    return this.end - lengthBytes;
  }

  write(bytes: Uint8Array, place: number): void {
    this.storage.write(bytes, place);
    this.written.set(place, bytes.length);
  }

  /** A sink of the next generation. */
  sink(): PageSink {
    return {
      generation: ++this.generation,
      writePage: (bytes) => this.append(bytes),
      releasePage: (ref) => this.released.push(ref),
    };
  }

  forgetHistory(): void {
    this.written.clear();
    this.released.length = 0;
  }

  /** Places of all pages below `root`. */
  reachable<K, L>(layout: TreeLayout<K, L>, root: TreeRoot): Set<number> {
    const places = new Set<number>();
    walkTree(layout, this.store(), root, {
      page: (ref) => !places.has(ref.place) && places.add(ref.place) !== undefined,
      leaf: () => {},
    });
    return places;
  }
}

/** Levels of a stored tree, 0 for none. */
export function levelsOf<K, L>(layout: TreeLayout<K, L>, pages: PageStore, root: TreeRoot): number {
  if (root === null) return 0;
  return isPageRef(root) ? pages.node(layout, root).level + 1 : 1;
}
