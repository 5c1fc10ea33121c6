import { chunkBlocksOf, HASH_BYTES } from '../format/chunk-table.ts';
import type { Compression } from '../format/header.ts';
import { Sealer } from '../log/seal.ts';
import { isZeroRange } from '../storage/zero.ts';

export const CHECKSUM_BYTES = 4;

/** What data comes to in a container. */
export interface Packed {
  /** Blocks that are not zeros, which alone are stored. */
  readonly blockCount: number;
  /** Of their chunks. */
  readonly storedBytes: number;
  readonly chunkCount: number;
  /** Hashes and checksums of the chunks. */
  readonly sumBytes: number;
  /** Runs of such blocks. */
  readonly runCount: number;
}

/** Packs the blocks of one segment as an import does, and keeps nothing but what they come to. */
export class Packing implements Packed {
  blockCount = 0;
  storedBytes = 0;
  chunkCount = 0;
  sumBytes = 0;
  runCount = 0;
  readonly #blockBytes: number;
  readonly #sealer: Sealer;
  readonly #chunk: Uint8Array;
  readonly #room: Uint8Array;
  #filled = 0;
  /** Where the run would go on. */
  #next = -1;

  constructor(options: { readonly blockBytes: number; readonly compression: Compression }) {
    this.#blockBytes = options.blockBytes;
    this.#sealer = new Sealer({ ...options, amount: 'many' });
    this.#chunk = new Uint8Array(chunkBlocksOf(options.blockBytes) * options.blockBytes);
    this.#room = new Uint8Array(this.#chunk.length);
  }

  /** Bytes of the disk from a multiple of the block size on; zeros follow the last ones to the end of their block. */
  add(start: number, bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += this.#blockBytes) {
      const to = Math.min(bytes.length, from + this.#blockBytes);
      if (isZeroRange(bytes, from, to)) continue;
      if (start + from !== this.#next) this.runCount++;
      this.#next = start + from + this.#blockBytes;
      this.#chunk.set(bytes.subarray(from, to), this.#filled);
      this.#chunk.fill(0, this.#filled + to - from, this.#filled + this.#blockBytes);
      this.#filled += this.#blockBytes;
      this.blockCount++;
      if (this.#filled === this.#chunk.length) this.end();
    }
  }

  /** Seals what is begun. */
  end(): void {
    if (this.#filled === 0) return;
    const seal = this.#sealer.seal(this.#chunk.subarray(0, this.#filled), this.#room.subarray(0, this.#filled));
    this.#filled = 0;
    this.chunkCount++;
    this.storedBytes += seal.storedBytes;
    this.sumBytes += HASH_BYTES + seal.checksums.length * CHECKSUM_BYTES;
  }
}
