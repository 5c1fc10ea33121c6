import { EXTENT_KIND, extentCount, extentKind, extentLength, extentLog } from '../format/extent-page.ts';
import type { TreeRoot } from '../format/page.ts';
import { extentLayout } from '../map/layouts.ts';
import type { PageStore } from '../map/pages.ts';
import { walkTree } from '../map/walk.ts';
import { OwnedRanges, SHARED } from './owned-ranges.ts';

/**
 * Which pages and log blocks one map alone refers to. A page is gone through once, and once more when a second map turns out
 * to have it, which makes all below it shared; never again, however many maps have it.
 */
export class MapOwners {
  /** Log blocks of data. */
  readonly blocks = new OwnedRanges();
  /** By place. */
  private readonly pages = new Map<number, number>();
  private readonly bytes = new Map<number, number>();

  /** Errors: 'corrupt'. */
  add(store: PageStore, root: TreeRoot, owner: number, youngest: number): void {
    let current = owner;
    walkTree(extentLayout, store, root, {
      youngest,
      page: (ref) => {
        const known = this.pages.get(ref.place);
        if (known === owner || known === SHARED) return false;
        current = known === undefined ? owner : SHARED;
        this.pages.set(ref.place, current);
        this.count(current, ref.lengthBytes);
        if (known !== undefined) this.count(known, -ref.lengthBytes);
        return true;
      },
      // Comes right after the page that holds it, if any page does.
      leaf: (leaf) => {
        for (let index = 0; index < extentCount(leaf); index++) {
          if (extentKind(leaf, index) !== EXTENT_KIND.data) continue;
          const log = extentLog(leaf, index);
          this.blocks.add(log, log + extentLength(leaf, index), current);
        }
      },
    });
  }

  private count(owner: number, lengthBytes: number): void {
    this.bytes.set(owner, this.pageBytes(owner) + lengthBytes);
  }

  /** Bytes of the pages that are the owner's. */
  pageBytes(owner: number): number {
    return this.bytes.get(owner) ?? 0;
  }
}
