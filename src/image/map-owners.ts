import { EXTENT_KIND, extentCount, extentKind, extentLength, extentLog } from '../format/extent-page.ts';
import type { PageRef, TreeRoot } from '../format/page.ts';
import { extentLayout } from '../map/layouts.ts';
import type { PageStore } from '../map/pages.ts';
import { walkTree } from '../map/walk.ts';
import { OwnedRanges, SHARED } from './owned-ranges.ts';

interface OwnedPage {
  readonly lengthBytes: number;
  readonly owner: number;
}

/**
 * Which pages and log blocks one map alone refers to. A page is gone through once, and once more when a second map turns out
 * to have it, which makes all below it shared; never again, however many maps have it.
 */
export class MapOwners {
  /** Log blocks of data. */
  readonly blocks = new OwnedRanges();
  private readonly pages = new Map<number, OwnedPage>();

  /** Errors: 'corrupt'. */
  add(store: PageStore, root: TreeRoot, owner: number, youngest: number): void {
    let current = owner;
    walkTree(extentLayout, store, root, {
      youngest,
      page: (ref) => {
        const known = this.pages.get(ref.place)?.owner;
        if (known === owner || known === SHARED) return false;
        current = known === undefined ? owner : SHARED;
        this.note(ref, current);
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

  private note({ place, lengthBytes }: PageRef, owner: number): void {
    this.pages.set(place, { lengthBytes, owner });
  }

  /** Bytes of the pages of each owner. */
  pageBytes(): Map<number, number> {
    const bytes = new Map<number, number>();
    for (const { lengthBytes, owner } of this.pages.values()) bytes.set(owner, (bytes.get(owner) ?? 0) + lengthBytes);
    return bytes;
  }
}
