import { checksum } from '../format/checksum.ts';
import { type Chunk, CODEC, type Codec, HASH_BYTES } from '../format/chunk-table.ts';
import type { Compression } from '../format/header.ts';
import { type Amount, compress } from './codec.ts';
import { blake3 } from './hash.ts';

/** A chunk as it will be stored; its place is given later. */
export interface SealedChunk {
  readonly chunk: Chunk;
  readonly stored: Uint8Array;
}

/** What is known of a chunk when its stored bytes are. */
export interface Seal {
  readonly codec: Codec;
  readonly storedBytes: number;
  readonly hash: Uint8Array;
  readonly checksums: Uint32Array;
}

export interface SealOptions {
  readonly blockBytes: number;
  readonly compression: Compression;
  readonly amount: Amount;
}

/** Less saved than this part is not worth decoding a whole chunk for every small read. */
const LEAST_SAVED = 1 / 16;
/** What is looked at of a chunk that follows others that did not shrink. */
const PROBE_BYTES = 4096;
/** So many chunks in a row that did not shrink make the next ones be probed. */
const VAIN_CHUNKS = 2;

/**
 * Seals chunks one after the other. After a few that did not get smaller, as in compressed files, only a small part of
 * each is tried until one does.
 */
export class Sealer {
  readonly #options: SealOptions;
  readonly #probe = new Uint8Array(PROBE_BYTES);
  #vain = 0;

  constructor(options: SealOptions) {
    this.#options = options;
  }

  /**
   * Packs `raw`, the present blocks of a chunk, into `into`, which is as long; undefined stored bytes in the result mean
   * that they are `raw` itself.
   */
  seal(raw: Uint8Array, into: Uint8Array): Seal {
    const hash = blake3(raw);
    const packed = this.#pack(raw, into);
    if (packed !== undefined) {
      const checksums = Uint32Array.of(checksum(into.subarray(0, packed)));
      return { codec: CODEC.zstd, storedBytes: packed, hash, checksums };
    }
    const { blockBytes } = this.#options;
    const checksums = new Uint32Array(raw.length / blockBytes);
    for (let block = 0; block < checksums.length; block++)
      checksums[block] = checksum(raw.subarray(block * blockBytes, (block + 1) * blockBytes));
    return { codec: CODEC.raw, storedBytes: raw.length, hash, checksums };
  }

  #pack(raw: Uint8Array, into: Uint8Array): number | undefined {
    const { compression, amount } = this.#options;
    if (compression.codec === 'none') return undefined;
    if (this.#vain >= VAIN_CHUNKS && raw.length > 2 * PROBE_BYTES) {
      const middle = Math.floor((raw.length - PROBE_BYTES) / 2);
      const sample = raw.subarray(middle, middle + PROBE_BYTES);
      if (compress(sample, this.#probe.subarray(0, roomFor(PROBE_BYTES)), 1, amount) === undefined) return undefined;
    }
    const packed = compress(raw, into.subarray(0, roomFor(raw.length)), compression.level, amount);
    this.#vain = packed === undefined ? this.#vain + 1 : 0;
    return packed;
  }
}

function roomFor(rawBytes: number): number {
  return Math.max(1, Math.ceil(rawBytes - rawBytes * LEAST_SAVED) - 1);
}

/** One chunk; `raw` holds the present blocks one behind the other. */
export function sealChunk(
  raw: Uint8Array,
  blockCount: number,
  present: Uint8Array | undefined,
  options: SealOptions,
): SealedChunk {
  const into = new Uint8Array(raw.length);
  const seal = new Sealer(options).seal(raw, into);
  const stored = seal.codec === CODEC.raw ? raw : into.slice(0, seal.storedBytes);
  return { chunk: { place: 0, blockCount, present, ...seal }, stored };
}

/** Seals of several chunks in few arrays, because each takes its time from thread to thread. */
export interface SealColumns {
  readonly codecs: readonly Codec[];
  /** 0: nothing of the chunk is to be stored. */
  readonly storedBytes: readonly number[];
  /** Of the chunks that are stored, one behind the other. */
  readonly hashes: Uint8Array;
  readonly checksums: Uint32Array;
}

/** undefined: nothing of the chunk is to be stored. */
export function sealColumns(seals: readonly (Seal | undefined)[]): SealColumns {
  const stored = seals.filter((seal) => seal !== undefined);
  const hashes = new Uint8Array(stored.length * HASH_BYTES);
  const checksums = new Uint32Array(stored.reduce((total, seal) => total + seal.checksums.length, 0));
  let end = 0;
  stored.forEach((seal, index) => {
    hashes.set(seal.hash, index * HASH_BYTES);
    checksums.set(seal.checksums, end);
    end += seal.checksums.length;
  });
  return {
    codecs: seals.map((seal) => seal?.codec ?? CODEC.raw),
    storedBytes: seals.map((seal) => seal?.storedBytes ?? 0),
    hashes,
    checksums,
  };
}

/** Takes apart what `sealColumns` put together. */
export function sealsOf(
  { codecs, storedBytes, hashes, checksums }: SealColumns,
  blockBytes: number,
): (Seal | undefined)[] {
  let [hashStart, checksumStart] = [0, 0];
  return codecs.map((codec, index): Seal | undefined => {
    const bytes = storedBytes[index] as number;
    if (bytes === 0) return undefined;
    const hash = hashes.subarray(hashStart, hashStart + HASH_BYTES);
    const checksumEnd = checksumStart + (codec === CODEC.raw ? bytes / blockBytes : 1);
    const seal = { codec, storedBytes: bytes, hash, checksums: checksums.subarray(checksumStart, checksumEnd) };
    hashStart += HASH_BYTES;
    checksumStart = checksumEnd;
    return seal;
  });
}
