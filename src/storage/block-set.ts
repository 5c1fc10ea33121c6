/** Blocks of one part of a disk or file, a bit each. */
const PART_BLOCKS = 32_768;

/** Runs of blocks `[start, end)`. */
export interface BlockRun {
  readonly start: number;
  readonly end: number;
  readonly isMember: boolean;
}

/** A set of block numbers that takes memory only for parts that have members. */
export class BlockSet {
  readonly #parts = new Map<number, Uint8Array>();

  has(block: number): boolean {
    const part = this.#parts.get(Math.floor(block / PART_BLOCKS));
    const bit = block % PART_BLOCKS;
    return part !== undefined && ((part[bit >> 3] as number) & (1 << (bit & 7))) !== 0;
  }

  /** Adds `[start, end)`. */
  add(start: number, end: number): void {
    for (let block = start; block < end; ) {
      const index = Math.floor(block / PART_BLOCKS);
      let part = this.#parts.get(index);
      if (part === undefined) {
        part = new Uint8Array(PART_BLOCKS / 8);
        this.#parts.set(index, part);
      }
      const stop = Math.min(end, (index + 1) * PART_BLOCKS);
      if (block % PART_BLOCKS === 0 && stop - block === PART_BLOCKS) part.fill(0xff);
      else
        for (let bit = block % PART_BLOCKS; bit < stop - index * PART_BLOCKS; bit++)
          part[bit >> 3] = (part[bit >> 3] as number) | (1 << (bit & 7));
      block = stop;
    }
  }

  /** All of `[start, end)`, in runs of members and others. */
  *runs(start: number, end: number): Generator<BlockRun> {
    let from = start;
    let isMember = this.has(start);
    for (let block = start; block < end; ) {
      const index = Math.floor(block / PART_BLOCKS);
      // A part without members is one step.
      const isEmpty = !this.#parts.has(index);
      const next = isEmpty ? false : this.has(block);
      if (next !== isMember) {
        yield { start: from, end: block, isMember };
        from = block;
        isMember = next;
      }
      block = isEmpty ? Math.min(end, (index + 1) * PART_BLOCKS) : block + 1;
    }
    if (from < end) yield { start: from, end, isMember };
  }
}
