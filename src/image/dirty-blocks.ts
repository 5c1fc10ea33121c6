/** A run of blocks that lie one behind the other. */
export interface DirtyRun {
  readonly startBlock: number;
  /** Valid until the next run is asked for. */
  readonly bytes: Uint8Array;
}

const RUN_BYTES = 1024 * 1024;

/** Blocks that were written and did not reach the container yet, in memory of a fixed size. */
export class DirtyBlocks {
  readonly #blockBytes: number;
  readonly #memory: Uint8Array;
  /** Where in `#memory` each block is, in blocks. */
  readonly #slots = new Map<number, number>();

  constructor(blockBytes: number, blockCount: number) {
    this.#blockBytes = blockBytes;
    this.#memory = new Uint8Array(blockBytes * blockCount);
  }

  get count(): number {
    return this.#slots.size;
  }

  /** Blocks that there is room for. */
  get room(): number {
    return this.#memory.length / this.#blockBytes - this.#slots.size;
  }

  get(block: number): Uint8Array | undefined {
    const slot = this.#slots.get(block);
    return slot === undefined ? undefined : this.#at(slot);
  }

  /** The memory of a block, old or new, to be filled at once; there must be room. */
  put(block: number): Uint8Array {
    let slot = this.#slots.get(block);
    if (slot === undefined) {
      slot = this.#slots.size;
      this.#slots.set(block, slot);
    }
    return this.#at(slot);
  }

  reset(): void {
    this.#slots.clear();
  }

  /** Everything, ascending. */
  *runs(): Generator<DirtyRun> {
    const blocks = Float64Array.from(this.#slots.keys()).sort();
    const most = RUN_BYTES / this.#blockBytes;
    const gathered = new Uint8Array(RUN_BYTES);
    for (let from = 0; from < blocks.length; ) {
      const startBlock = blocks[from] as number;
      let count = 0;
      while (count < most && blocks[from + count] === startBlock + count) {
        gathered.set(this.get(startBlock + count) as Uint8Array, count * this.#blockBytes);
        count++;
      }
      yield { startBlock, bytes: gathered.subarray(0, count * this.#blockBytes) };
      from += count;
    }
  }

  #at(slot: number): Uint8Array {
    return this.#memory.subarray(slot * this.#blockBytes, (slot + 1) * this.#blockBytes);
  }
}
