import type { VersionRecord } from '../format/version-record.ts';
import { haveSamePages } from '../map/compare.ts';
import { ExtentMap } from '../map/extent-map.ts';
import { PageStore } from '../map/pages.ts';
import type { ByteRange } from '../storage/transfer.ts';
import type { DiffRange } from './api.ts';
import { headView, workingView } from './commit.ts';
import type { Container } from './container.ts';
import { diffViews } from './diff.ts';
import type { View } from './view.ts';

/** One state of the disk and the one it was made from. */
export interface Step {
  /** Null for the working state. */
  readonly version: number | null;
  /** Of a first version: an empty disk of its size. */
  readonly before: View;
  readonly after: View;
}

/**
 * Memory for pages that are kept. Neighbours in the history share the pages around what they changed, and hardly any page is
 * met again after that: more would fill the memory with what is never asked for.
 */
const CACHED_PAGE_BYTES = 1024 * 1024;

/** The steps that lead from one state of the disk to the next. */
export class Lineage {
  readonly container: Container;
  readonly #pages: PageStore;

  constructor(container: Container) {
    this.container = container;
    this.#pages = new PageStore(container.storage, { cacheBytes: CACHED_PAGE_BYTES });
  }

  /** From a state (null: the working state) back to its first version. */
  *back(from: number | null): Generator<Step> {
    const { versions, head } = this.container;
    if (from === null) yield this.stepTo(null);
    let next = from ?? head.version;
    while (next !== null) {
      yield this.stepTo(next);
      next = versions.need(next).parent;
    }
  }

  /** To a version, or null for the working state. Errors: 'corrupt' if there is no such version. */
  stepTo(number: number | null): Step {
    const { container } = this;
    if (number === null) return { version: null, before: headView(container), after: workingView(container) };
    const version = container.versions.need(number);
    const origin = version.parent === null ? { ...version, map: null } : container.versions.need(version.parent);
    return { version: number, before: this.#view(origin), after: this.#view(version) };
  }

  #view({ map, sizeBytes }: VersionRecord): View {
    return { map: new ExtentMap(this.#pages, map), sizeBytes };
  }

  /** True if two versions hold all of a range in the same pages: then nothing between them in one history changed it. */
  haveSamePages(a: number, b: number, { start, end }: ByteRange): boolean {
    const { versions, blockBytes } = this.container;
    const [left, right] = [this.#view(versions.need(a)), this.#view(versions.need(b))];
    return haveSamePages(left.map, right.map, {
      start: Math.floor(start / blockBytes),
      end: Math.ceil(end / blockBytes),
    });
  }

  /** Stretches of a range that a state maps as a whole, ascending. */
  *extents({ map }: View, within: ByteRange): Generator<ByteRange> {
    const { blockBytes } = this.container;
    const extents = map.extents(Math.floor(within.start / blockBytes), Math.ceil(within.end / blockBytes));
    for (const { start, length } of extents)
      yield { start: start * blockBytes, end: Math.min(within.end, (start + length) * blockBytes) };
  }

  /** What a step changed within a range, ascending. */
  changes({ before, after }: Step, within: ByteRange): Generator<DiffRange> {
    return diffViews(before, after, this.container.blockBytes, within);
  }
}
