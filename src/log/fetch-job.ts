import { checksum } from '../format/checksum.ts';
import { CODEC } from '../format/chunk-table.ts';
import { type Descriptor, readAt, writeAt } from '../storage/descriptor.ts';
import { decompress } from './codec.ts';

/** Reads chunks of a container, verifies and decodes them. */
export interface FetchJob {
  readonly kind: 'fetch';
  readonly container: Descriptor;
  readonly blockBytes: number;
  readonly loads: readonly Load[];
  /** Positions of the loads are those of this memory, or of this file. */
  readonly into: { readonly memory: Uint8Array } | { readonly file: Descriptor };
}

/** Uncompressed blocks, one behind the other on both sides, or a compressed chunk and which parts of it go where. */
export type Load = RawLoad | PackedLoad;

export interface RawLoad {
  readonly codec: typeof CODEC.raw;
  readonly place: number;
  /** One for each block. */
  readonly checksums: Uint32Array;
  readonly at: number;
}

export interface PackedLoad {
  readonly codec: typeof CODEC.zstd;
  readonly place: number;
  readonly storedBytes: number;
  readonly checksum: number;
  readonly rawBytes: number;
  readonly takes: readonly Take[];
}

/** Bytes `[from, to)` of the decoded chunk go to `at`. */
export interface Take {
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

export interface FetchResult {
  /** False: something can not be read; whoever reads it once more finds out what. */
  readonly isWhole: boolean;
}

/** What is read, verified and written at a time is still in the cache of the processor then. */
const STEP_BYTES = 256 * 1024;

let stored: Uint8Array | undefined;
let decoded: Uint8Array | undefined;

/** Errors: those of writing. */
export function runFetchJob({ container, blockBytes, loads, into }: FetchJob): FetchResult {
  stored ??= new Uint8Array(STEP_BYTES);
  decoded ??= new Uint8Array(STEP_BYTES);
  const sink = 'memory' in into ? new MemorySink(into.memory) : new FileSink(into.file, decoded);
  for (let index = 0; index < loads.length; ) {
    const load = loads[index] as Load;
    if (load.codec === CODEC.raw) {
      const raws = rawTogether(loads, index, blockBytes);
      if (!fetchRaw(container, raws, blockBytes, sink)) return { isWhole: false };
      index += raws.length;
      continue;
    }
    const count = together(loads, index);
    const last = loads[index + count - 1] as PackedLoad;
    const bytes = stored.subarray(0, last.place + last.storedBytes - load.place);
    if (!isRead(container, bytes, load.place)) return { isWhole: false };
    for (const packed of loads.slice(index, index + count) as PackedLoad[]) {
      const frame = bytes.subarray(packed.place - load.place, packed.place - load.place + packed.storedBytes);
      if (!isUnpacked(packed, frame, sink)) return { isWhole: false };
    }
    index += count;
  }
  sink.flush();
  return { isWhole: true };
}

/** How many compressed chunks from `index` on lie one behind the other, so that they are read with one call. */
function together(loads: readonly Load[], index: number): number {
  const first = loads[index] as PackedLoad;
  let end = first.place + first.storedBytes;
  let count = 1;
  for (; index + count < loads.length; count++) {
    const next = loads[index + count] as Load;
    if (next.codec === CODEC.raw || next.place !== end || end + next.storedBytes - first.place > STEP_BYTES) break;
    end += next.storedBytes;
  }
  return count;
}

function isRead(container: Descriptor, into: Uint8Array, place: number): boolean {
  try {
    return readAt(container, into, place) === into.length;
  } catch {
    return false;
  }
}

/** Uncompressed blocks from `index` on that lie one behind the other on both sides; those of one chunk fit a step. */
function rawTogether(loads: readonly Load[], index: number, blockBytes: number): RawLoad[] {
  const first = loads[index] as RawLoad;
  const raws = [first];
  let lengthBytes = first.checksums.length * blockBytes;
  for (let next = loads[index + 1]; next?.codec === CODEC.raw; next = loads[index + raws.length]) {
    const isBehind = next.place === first.place + lengthBytes && next.at === first.at + lengthBytes;
    const nextBytes = next.checksums.length * blockBytes;
    if (!isBehind || lengthBytes + nextBytes > STEP_BYTES) break;
    raws.push(next);
    lengthBytes += nextBytes;
  }
  return raws;
}

function fetchRaw(container: Descriptor, raws: readonly RawLoad[], blockBytes: number, sink: Sink): boolean {
  const [{ at, place }] = raws as readonly [RawLoad];
  const lengthBytes = raws.reduce((total, { checksums }) => total + checksums.length, 0) * blockBytes;
  const room = sink.room(at, lengthBytes);
  if (!isRead(container, room, place)) return false;
  let start = 0;
  for (const { checksums } of raws) {
    for (const sum of checksums) {
      if (checksum(room.subarray(start, start + blockBytes)) !== sum) return false;
      start += blockBytes;
    }
  }
  return true;
}

let scratch: Uint8Array | undefined;

function isUnpacked({ checksum: sum, rawBytes, takes }: PackedLoad, frame: Uint8Array, sink: Sink): boolean {
  if (checksum(frame) !== sum) return false;
  const [first] = takes;
  const isAll = takes.length === 1 && first !== undefined && first.from === 0 && first.to === rawBytes;
  if (scratch === undefined || scratch.length < rawBytes) scratch = new Uint8Array(rawBytes);
  const raw = isAll ? sink.room(first.at, rawBytes) : scratch.subarray(0, rawBytes);
  try {
    decompress(frame, raw, 0, 'many');
  } catch {
    return false;
  }
  if (!isAll) for (const { from, to, at } of takes) sink.room(at, to - from).set(raw.subarray(from, to));
  return true;
}

/** Where blocks go: `room` is filled by the caller before the next call. */
interface Sink {
  room(at: number, lengthBytes: number): Uint8Array;
  flush(): void;
}

class MemorySink implements Sink {
  readonly #memory: Uint8Array;

  constructor(memory: Uint8Array) {
    this.#memory = memory;
  }

  room(at: number, lengthBytes: number): Uint8Array {
    return this.#memory.subarray(at, at + lengthBytes);
  }

  flush(): void {
    // It is all there.
  }
}

/** Gathers what goes one behind the other, and writes it with one call. */
class FileSink implements Sink {
  readonly #file: Descriptor;
  readonly #buffer: Uint8Array;
  #start = 0;
  #filled = 0;

  constructor(file: Descriptor, buffer: Uint8Array) {
    this.#file = file;
    this.#buffer = buffer;
  }

  room(at: number, lengthBytes: number): Uint8Array {
    if (at !== this.#start + this.#filled || this.#filled + lengthBytes > this.#buffer.length) {
      this.flush();
      this.#start = at;
    }
    this.#filled += lengthBytes;
    return this.#buffer.subarray(this.#filled - lengthBytes, this.#filled);
  }

  flush(): void {
    if (this.#filled > 0) writeAt(this.#file, this.#buffer.subarray(0, this.#filled), this.#start);
    this.#start += this.#filled;
    this.#filled = 0;
  }
}
