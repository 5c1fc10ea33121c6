import type { Chunk } from '../format/chunk-table.ts';
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
  readonly #most: number;
  readonly #chunks = new Map<number, Decoded>();

  constructor(capacityBytes: number) {
    this.#most = Math.max(1, Math.floor(capacityBytes / CHUNK_BYTES));
  }

  /** The `lengthBytes` raw bytes of `chunk`, filled by `decode` if they are not there. Errors: those of `decode`. */
  get(chunk: Chunk, lengthBytes: number, decode: (into: Uint8Array) => void): Uint8Array {
    const checksum = chunk.checksums[0] as number;
    const known = this.#chunks.get(chunk.place);
    if (known !== undefined) this.#chunks.delete(chunk.place);
    if (known?.checksum === checksum && known.lengthBytes === lengthBytes) {
      this.#chunks.set(chunk.place, known);
      return known.memory.subarray(0, lengthBytes);
    }
    const memory = known?.memory ?? this.#oldest()?.memory ?? new Uint8Array(CHUNK_BYTES);
    const raw = memory.subarray(0, lengthBytes);
    decode(raw);
    this.#chunks.set(chunk.place, { checksum, memory, lengthBytes });
    return raw;
  }

  /** Taken out, if there is no room for one more. */
  #oldest(): Decoded | undefined {
    if (this.#chunks.size < this.#most) return undefined;
    for (const [place, chunk] of this.#chunks) {
      this.#chunks.delete(place);
      return chunk;
    }
    return undefined;
  }
}
