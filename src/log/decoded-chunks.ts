import { type Chunk, presentCount } from '../format/chunk-table.ts';
import { CHUNK_BYTES } from '../format/layout.ts';

interface Decoded {
  readonly checksum: number;
  readonly memory: Uint8Array;
  readonly lengthBytes: number;
}

/**
 * Chunks that were decoded last, by their place. Memory is used again and not given up, because the collector would have
 * to run after every few chunks: so what is handed out is valid only until the next chunk is asked for.
 */
export class DecodedChunks {
  readonly #blockBytes: number;
  readonly #most: number;
  readonly #chunks = new Map<number, Decoded>();
  readonly #spares: Uint8Array[] = [];
  #lentCount = 0;
  /** Shared by threads. */
  #all: Uint8Array | undefined;
  #usedBytes = 0;

  constructor(blockBytes: number, capacityBytes: number) {
    this.#blockBytes = blockBytes;
    this.#most = Math.max(1, Math.floor(capacityBytes / CHUNK_BYTES));
  }

  /** The raw bytes of `chunk`, filled by `decode` if they are not there. Errors: those of `decode`. */
  get(chunk: Chunk, decode: (into: Uint8Array) => void): Uint8Array {
    const known = this.#known(chunk);
    if (known !== undefined) {
      this.#chunks.delete(chunk.place);
      this.#chunks.set(chunk.place, known);
      return known.memory.subarray(0, known.lengthBytes);
    }
    const memory = this.#memory();
    const raw = memory.subarray(0, this.rawBytes(chunk));
    try {
      decode(raw);
    } catch (error) {
      this.#spares.push(memory);
      throw error;
    }
    this.#put(chunk, memory);
    return raw;
  }

  /** How long a chunk is decoded. */
  rawBytes(chunk: Chunk): number {
    return presentCount(chunk) * this.#blockBytes;
  }

  has(chunk: Chunk): boolean {
    return this.#known(chunk) !== undefined;
  }

  /** All memory that there is; only what is touched takes any. */
  get memory(): Uint8Array {
    this.#all ??= new Uint8Array(new SharedArrayBuffer(this.#most * CHUNK_BYTES));
    return this.#all;
  }

  /** A part of `memory` to decode a chunk in elsewhere; undefined when half of all is lent already. */
  lend(): Uint8Array | undefined {
    if (this.#lentCount >= Math.floor(this.#most / 2)) return undefined;
    this.#lentCount++;
    return this.#memory();
  }

  /** Takes it back, with `chunk` decoded at its beginning if that went well. */
  takeBack(memory: Uint8Array, chunk?: Chunk): void {
    this.#lentCount--;
    if (chunk === undefined) this.#spares.push(memory);
    else this.#put(chunk, memory);
  }

  #known(chunk: Chunk): Decoded | undefined {
    const known = this.#chunks.get(chunk.place);
    if (known?.checksum !== chunk.checksums[0] || known?.lengthBytes !== this.rawBytes(chunk)) return undefined;
    return known;
  }

  #put(chunk: Chunk, memory: Uint8Array): void {
    const replaced = this.#chunks.get(chunk.place);
    if (replaced !== undefined) this.#spares.push(replaced.memory);
    this.#chunks.delete(chunk.place);
    const lengthBytes = this.rawBytes(chunk);
    this.#chunks.set(chunk.place, { checksum: chunk.checksums[0] as number, memory, lengthBytes });
  }

  /** Of a spare, or of what was asked for longest ago if there is no room for one more. */
  #memory(): Uint8Array {
    const spare = this.#spares.pop();
    if (spare !== undefined) return spare;
    if (this.#usedBytes === this.memory.length) {
      for (const [place, { memory }] of this.#chunks) {
        this.#chunks.delete(place);
        return memory;
      }
    }
    const start = this.#usedBytes;
    this.#usedBytes += CHUNK_BYTES;
    return this.memory.subarray(start, this.#usedBytes);
  }
}
