import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import type { Lineage, Step } from './lineage.ts';

/**
 * The steps from a state (null: the working state) back to its first version, newest first. Numbers and sizes of versions are
 * kept, so that history can be gone through many times, and in leaps.
 */
export class Ancestry {
  readonly lineage: Lineage;
  /** Of the states that steps lead to. */
  readonly #versions: (number | null)[] = [];
  readonly #sizes: number[] = [];
  /** What comes behind them. */
  #next: number | null;

  constructor(lineage: Lineage, from: number | null) {
    const { head, workingSizeBytes } = lineage.container;
    this.lineage = lineage;
    this.#next = from;
    if (from !== null) return;
    this.#versions.push(null);
    this.#sizes.push(workingSizeBytes);
    this.#next = head.version;
  }

  /** Undefined behind the first version. */
  async step(index: number): Promise<Step | undefined> {
    await this.#reach(index);
    const version = this.#versions[index];
    return version === undefined ? undefined : this.lineage.stepTo(version);
  }

  /**
   * How many steps from `index` on are known to have changed nothing in `range`, after one look at most: stretches that are
   * passed over double as long as that goes well, so that few of many steps are looked at.
   */
  async unchangedFrom(index: number, range: ByteRange): Promise<number> {
    // The greatest power of two that divides the index; none for the first step, which may be that to the working state.
    const count = index & -index;
    if (count < 2) return 0;
    await this.#reach(index + count);
    return this.#isUnchanged(index, index + count, range) ? count : 0;
  }

  /** Where the first `count` extents of the newest state in `range` end, or the range if it has fewer. */
  async endOfExtents(range: ByteRange, count: number): Promise<number> {
    const giveTurn = turnGiver();
    const step = await this.step(0);
    let left = count;
    for (const { end } of step === undefined ? [] : this.lineage.extents(step.after, range)) {
      left--;
      if (left <= 0) return end;
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
    return range.end;
  }

  async #reach(index: number): Promise<void> {
    const giveTurn = turnGiver();
    while (this.#versions.length <= index && this.#next !== null) {
      const { number, parent, sizeBytes } = this.lineage.container.versions.need(this.#next);
      this.#versions.push(number);
      this.#sizes.push(sizeBytes);
      this.#next = parent;
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
  }

  #isUnchanged(newer: number, older: number, range: ByteRange): boolean {
    const [a, b] = [this.#versions[newer], this.#versions[older]];
    if (typeof a !== 'number' || typeof b !== 'number') return false;
    // A disk that became shorter and longer again has other zeros, but may have the same pages.
    const sizeOf = (index: number): number => Math.min(range.end, this.#sizes[index] as number);
    const size = sizeOf(newer);
    for (let index = newer + 1; index <= older; index++) if (sizeOf(index) !== size) return false;
    return this.lineage.haveSamePages(a, b, range);
  }
}
