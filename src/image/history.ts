import type { ByteRange } from '../storage/transfer.ts';
import { Ancestry } from './ancestry.ts';
import type { BlameRange, DiskPart, HeatMap, HeatOptions, PlacedRange } from './api.ts';
import { type BlameOptions, blame } from './blame.ts';
import { workingView } from './commit.ts';
import { heatMap } from './heat.ts';
import { Lineage } from './lineage.ts';
import type { Looks } from './looks.ts';
import { placedRanges } from './placed.ts';
import { resolve } from './resolve.ts';
import { checkRange, type View, versionView } from './view.ts';

interface Found {
  readonly version: number | null;
  readonly view: View;
  readonly range: ByteRange;
}

/** Which version wrote which part of the disk. Errors of all: 'not-found' for the revision, 'refused' behind the end of the disk. */
export class History {
  readonly #looks: Looks;
  #lineage: Lineage | undefined;

  constructor(looks: Looks) {
    this.#looks = looks;
  }

  /** What changed each part last, in order. */
  async *blame(part: DiskPart, options: BlameOptions = {}): AsyncIterableIterator<BlameRange> {
    const letGo = this.#looks.hold('required');
    try {
      const { version, range } = this.#find(part);
      const found = blame(new Ancestry(new Lineage(this.#looks.container), version), range, options);
      for await (const ranges of found) for (const known of ranges) yield known;
    } finally {
      letGo();
    }
  }

  /** The same, and where the data lies. */
  async *places(part: DiskPart, options: BlameOptions = {}): AsyncIterableIterator<PlacedRange> {
    const letGo = this.#looks.hold('required');
    try {
      const { container } = this.#looks;
      const { version, view, range } = this.#find(part);
      const found = blame(new Ancestry(new Lineage(container), version), range, options);
      for await (const placed of placedRanges(container, view, found)) yield placed;
    } finally {
      letGo();
    }
  }

  /** A picture of it through time. */
  heatMap(part: DiskPart, options: HeatOptions): Promise<HeatMap> {
    return this.#whileHeld(() => {
      const { version, range } = this.#find(part);
      return heatMap(new Lineage(this.#looks.container), version, { ...options, range });
    });
  }

  /** True if version `number` differs from the one it was made from anywhere in `ranges`. */
  changed(number: number, ranges: readonly ByteRange[]): boolean {
    return this.#looks.look(() => {
      const { container } = this.#looks;
      // Whoever asks for one version asks for its neighbours next.
      if (this.#lineage?.container !== container) this.#lineage = new Lineage(container);
      const lineage = this.#lineage;
      const step = lineage.stepTo(number);
      return ranges.some((range) => lineage.changes(step, range).next().done !== true);
    });
  }

  async #whileHeld<T>(action: () => Promise<T>): Promise<T> {
    const letGo = this.#looks.hold('required');
    try {
      return await action();
    } finally {
      letGo();
    }
  }

  #find({ rev, start, end }: DiskPart): Found {
    const { container } = this.#looks;
    const version = rev === null ? null : resolve(container, rev);
    const view = version === null ? workingView(container) : versionView(container, version);
    const range = { start, end: end ?? Math.max(start, view.sizeBytes) };
    checkRange(range.start, range.end, view.sizeBytes);
    return { version, view, range };
  }
}
