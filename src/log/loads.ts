import { CODEC, presentBefore, presentCount } from '../format/chunk-table.ts';
import type { Load, PackedLoad, Take } from './fetch-job.ts';
import type { ChunkPart } from './reader.ts';

/** Gathers parts of chunks that are to be fetched; a compressed chunk that is needed in several places is fetched once. */
export class Loads {
  readonly list: Load[] = [];
  readonly #blockBytes: number;
  #last: { readonly load: PackedLoad; readonly takes: Take[] } | undefined;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** The blocks of `part` are wanted at byte `at` of wherever they go. */
  add({ chunk, first, count }: ChunkPart, at: number): void {
    const blockBytes = this.#blockBytes;
    const before = presentBefore(chunk, first);
    if (chunk.codec === CODEC.raw) {
      // A copy of the part, because a view would take everything around it along to another thread.
      const checksums = chunk.checksums.slice(before, before + count);
      this.list.push({ codec: CODEC.raw, place: chunk.place + before * blockBytes, checksums, at });
      return;
    }
    const take = { from: before * blockBytes, to: (before + count) * blockBytes, at };
    if (this.#last?.load.place === chunk.place) {
      this.#last.takes.push(take);
      return;
    }
    const takes = [take];
    const load: PackedLoad = {
      codec: CODEC.zstd,
      place: chunk.place,
      storedBytes: chunk.storedBytes,
      checksum: chunk.checksums[0] as number,
      rawBytes: presentCount(chunk) * blockBytes,
      takes,
    };
    this.#last = { load, takes };
    this.list.push(load);
  }
}
