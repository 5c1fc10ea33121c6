import { type Chunk, CODEC } from '../format/chunk-table.ts';
import type { Descriptor } from '../storage/descriptor.ts';
import type { Storage } from '../storage/storage.ts';
import type { Crew } from './crew.ts';
import type { DecodedChunks } from './decoded-chunks.ts';
import type { FetchJob } from './fetch-job.ts';

/** Chunks that are one message to a thread: with two or three, 13,000 random reads a second were answered, with four 15,000. */
const CHUNKS_A_JOB = 4;

interface Waiting {
  readonly chunk: Chunk;
  readonly memory: Uint8Array;
  readonly done: () => void;
}

/**
 * Decodes compressed chunks on several threads before they are asked for. What can not be read, or changed its place meanwhile,
 * is left out: whoever asks for it reads it then, and tells of what is wrong.
 */
export class DecodeAhead {
  readonly #storage: Storage;
  readonly #decoded: DecodedChunks;
  readonly #blockBytes: number;
  /** By place. */
  readonly #underWay = new Map<number, Promise<void>>();
  #waiting: Waiting[] = [];
  #crew: Promise<Crew> | undefined;

  constructor(storage: Storage, decoded: DecodedChunks, blockBytes: number) {
    this.#storage = storage;
    this.#decoded = decoded;
    this.#blockBytes = blockBytes;
  }

  /** Resolves when the chunk is decoded, well or not; undefined where there is nothing to wait for. Never fails. */
  start(chunk: Chunk): Promise<void> | undefined {
    if (chunk.codec === CODEC.raw || this.#decoded.has(chunk)) return undefined;
    const known = this.#underWay.get(chunk.place);
    if (known !== undefined) return known;
    const { descriptor } = this.#storage;
    const memory = descriptor === undefined ? undefined : this.#decoded.lend();
    if (descriptor === undefined || memory === undefined) return undefined;
    const going = new Promise<void>((done) => {
      // What is asked for in one go is handed out together.
      if (this.#waiting.push({ chunk, memory, done }) === 1) queueMicrotask(() => this.#handOut(descriptor));
    });
    this.#underWay.set(chunk.place, going);
    return going;
  }

  #handOut(container: Descriptor): void {
    this.#crew ??= import('./crew.ts').then(({ sharedCrew }) => sharedCrew());
    for (let left = this.#waiting.splice(0); left.length > 0; left = left.slice(CHUNKS_A_JOB)) {
      const part = left.slice(0, CHUNKS_A_JOB);
      const job = this.#job(container, part);
      void this.#crew
        .then((crew) => crew.run(job))
        .then(
          ({ isWhole }) => this.#end(part, isWhole),
          () => this.#end(part, false),
        );
    }
  }

  #end(part: readonly Waiting[], isDecoded: boolean): void {
    for (const { chunk, memory, done } of part) {
      this.#decoded.takeBack(memory, isDecoded ? chunk : undefined);
      this.#underWay.delete(chunk.place);
      done();
    }
  }

  #job(container: Descriptor, part: readonly Waiting[]): FetchJob {
    const loads = part.map(({ chunk, memory }) => {
      const rawBytes = this.#decoded.rawBytes(chunk);
      return {
        codec: CODEC.zstd,
        place: chunk.place,
        storedBytes: chunk.storedBytes,
        checksum: chunk.checksums[0] as number,
        rawBytes,
        takes: [{ from: 0, to: rawBytes, at: memory.byteOffset }],
      };
    });
    return { kind: 'fetch', container, blockBytes: this.#blockBytes, loads, into: { memory: this.#decoded.memory } };
  }
}
