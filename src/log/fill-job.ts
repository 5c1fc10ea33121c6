import { VsimgError } from '../errors.ts';
import { CODEC, chunkBlocksOf } from '../format/chunk-table.ts';
import type { Compression, HostRange } from '../format/header.ts';
import { type Descriptor, readAt, writeAt } from '../storage/descriptor.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { isZeroRange } from '../storage/zero.ts';
import { ChunkPlacer } from './placer.ts';
import { type Seal, type SealColumns, Sealer, sealColumns } from './seal.ts';

/** Reads parts of a raw disk and seals what is not zero, as one segment. */
export interface FillJob {
  readonly kind: 'fill';
  readonly source: Descriptor;
  /** Guest bytes, apart and ascending; they begin at multiples of a block, and only the end of the disk is none. */
  readonly ranges: readonly ByteRange[];
  readonly blockBytes: number;
  readonly compression: Compression;
  /** Stored bytes go here, one behind the other: to memory or, if they are not compressed, to a place in a file. */
  readonly into: { readonly memory: Uint8Array } | { readonly file: Descriptor; readonly spans: readonly HostRange[] };
}

export interface FillResult extends SealColumns {
  /** One bit for each block of all ranges, least significant first: 1 is zeros, which are not stored. */
  readonly zeros: Uint8Array;
  readonly storedBlocks: number;
}

/**
 * What is read, hashed and written at a time: so little that it is still in the cache of the processor when it is written,
 * which is 2 times faster than writing segments of 4 MiB.
 */
const STEP_BYTES = 256 * 1024;

let buffer: Uint8Array | undefined;

/** Errors: 'io' when the source ends early, and those of reading and writing. */
export function runFillJob(job: FillJob): FillResult {
  const { blockBytes, compression, ranges, into } = job;
  const chunkBytes = chunkBlocksOf(blockBytes) * blockBytes;
  buffer ??= new Uint8Array(STEP_BYTES);
  const step = buffer;
  const sealer = new Sealer({ blockBytes, compression, amount: 'many' });
  const zeros = new Uint8Array(Math.ceil(ranges.reduce((total, range) => total + blocksOf(range, blockBytes), 0) / 8));
  const seals: Seal[] = [];
  let storedBytes = 0;
  let filled = 0;
  let block = 0;
  let storedBlocks = 0;
  const placer = 'file' in into ? new ChunkPlacer(into.spans) : undefined;
  /** Seals `[0, end)` of the buffer. */
  const sealChunks = (end: number): void => {
    for (let start = 0; start < end; start += chunkBytes) {
      const raw = step.subarray(start, Math.min(end, start + chunkBytes));
      const room = 'memory' in into ? into.memory.subarray(storedBytes, storedBytes + raw.length) : raw;
      const seal = sealer.seal(raw, room);
      if (room !== raw && seal.codec === CODEC.raw) room.set(raw);
      storedBytes += seal.storedBytes;
      seals.push(seal);
    }
    if (placer !== undefined && 'file' in into) writeChunks(into.file, step.subarray(0, end), placer, chunkBytes);
    storedBlocks += end / blockBytes;
    step.copyWithin(0, end, filled);
    filled -= end;
  };
  for (const { start, end } of ranges) {
    for (let from = start; from < end; ) {
      const to = Math.min(end, from + step.length - filled);
      if (readAt(job.source, step.subarray(filled, filled + to - from), from) < to - from)
        throw new VsimgError('io', `'${job.source.name}' ends before byte ${to}`, {
          path: job.source.name,
          hint: 'import it again while nothing makes it shorter',
        });
      const blocks = Math.ceil((to - from) / blockBytes);
      step.fill(0, filled + to - from, filled + blocks * blockBytes);
      let kept = filled;
      for (let at = 0; at < blocks; at++, block++) {
        const first = filled + at * blockBytes;
        if (isZeroRange(step, first, first + blockBytes)) {
          zeros[block >>> 3] = (zeros[block >>> 3] as number) | (1 << (block & 7));
          continue;
        }
        if (kept !== first) step.copyWithin(kept, first, first + blockBytes);
        kept += blockBytes;
      }
      filled = kept;
      from = to;
      // Not only when it is full: zeros that follow are to be read many at a time too.
      if (filled > step.length / 2) sealChunks(filled - (filled % chunkBytes));
    }
  }
  sealChunks(filled);
  return { ...sealColumns(seals), zeros, storedBlocks };
}

function blocksOf({ start, end }: ByteRange, blockBytes: number): number {
  return Math.ceil((end - start) / blockBytes);
}

/** Chunks whose places follow each other are written with one call. */
function writeChunks(file: Descriptor, bytes: Uint8Array, placer: ChunkPlacer, chunkBytes: number): void {
  let from = 0;
  let place = 0;
  let end = 0;
  const write = (): void => {
    if (end > from) writeAt(file, bytes.subarray(from, end), place);
    from = end;
  };
  while (end < bytes.length) {
    const length = Math.min(chunkBytes, bytes.length - end);
    const next = placer.place(length);
    if (next !== place + end - from) {
      write();
      place = next;
    }
    end += length;
  }
  write();
}
