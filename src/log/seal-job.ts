import { CODEC } from '../format/chunk-table.ts';
import type { Compression } from '../format/header.ts';
import { type Seal, type SealColumns, Sealer, sealColumns } from './seal.ts';

/** Seals the chunks of one segment. */
export interface SealJob {
  readonly kind: 'seal';
  readonly raw: Uint8Array;
  /** As long as `raw` at least; where `isSealedInPlace`, `raw` itself. */
  readonly into: Uint8Array;
  readonly blockBytes: number;
  readonly compression: Compression;
  readonly chunks: readonly RawChunk[];
}

/** A chunk in the buffer of its segment. */
export interface RawChunk {
  readonly start: number;
  readonly blockCount: number;
  /** One bit a block, least significant first, for those that are to be stored; undefined: all. */
  readonly present: Uint8Array | undefined;
  /** Of a chunk that is sealed already: its stored bytes are at `start`. */
  readonly seal?: Seal | undefined;
}

/** True if the stored bytes of all chunks stand where the raw ones do. */
export function isSealedInPlace({ compression, chunks }: Pick<SealJob, 'compression' | 'chunks'>): boolean {
  return (
    compression.codec === 'none' &&
    chunks.every(({ present, seal }) => present === undefined && (seal?.codec ?? CODEC.raw) === CODEC.raw)
  );
}

/** Stored bytes stand one behind the other from the start of `into` on. */
export function runSealJob({ raw, into, blockBytes, compression, chunks }: SealJob): SealColumns {
  const amount = chunks.length > 1 ? 'many' : 'few';
  const sealer = new Sealer({ blockBytes, compression, amount });
  const isInPlace = isSealedInPlace({ compression, chunks });
  const seals: (Seal | undefined)[] = [];
  let end = 0;
  for (const chunk of chunks) {
    if (chunk.seal !== undefined) {
      const { storedBytes } = chunk.seal;
      if (!isInPlace) into.set(raw.subarray(chunk.start, chunk.start + storedBytes), end);
      end += storedBytes;
      seals.push(chunk.seal);
      continue;
    }
    const whole = raw.subarray(chunk.start, chunk.start + chunk.blockCount * blockBytes);
    const live = chunk.present === undefined ? whole : packPresent(whole, chunk.present, blockBytes);
    if (live.length === 0) {
      seals.push(undefined);
      continue;
    }
    const room = into.subarray(end, end + live.length);
    const seal = sealer.seal(live, room);
    if (seal.codec === CODEC.raw && !isInPlace) room.set(live);
    end += seal.storedBytes;
    seals.push(seal);
  }
  return sealColumns(seals);
}

/** A copy: others still read what is being sealed. */
function packPresent(whole: Uint8Array, present: Uint8Array, blockBytes: number): Uint8Array {
  const packed = new Uint8Array(whole.length);
  let end = 0;
  for (let start = 0; start < whole.length; start += blockBytes) {
    const block = start / blockBytes;
    if ((((present[block >>> 3] as number) >>> (block & 7)) & 1) === 0) continue;
    packed.set(whole.subarray(start, start + blockBytes), end);
    end += blockBytes;
  }
  return packed.subarray(0, end);
}
