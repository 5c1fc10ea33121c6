import { chunkBlocksOf, HASH_BYTES } from '../format/chunk-table.ts';
import { CHUNK_BYTES, DEFAULT_BLOCK_BYTES, RECORDS_OFFSET } from '../format/layout.ts';
import type { ByteRange, SourceFile } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import type { Compression, OnProgress } from './api.ts';
import { JOBS_UNDER_WAY, WINDOW_BYTES } from './fill.ts';
import { checkBlockSize } from './new-header.ts';
import { CHECKSUM_BYTES, type Packed, Packing } from './packing.ts';
import { Random } from './random.ts';

/** Data of one sample: a few chunks, so that reading it takes little longer than finding it. */
const SAMPLE_BYTES = 256 * 1024;
const SAMPLE_COUNT = 512;
const SEED = 1;
const PIECE_BYTES = 1024 * 1024;

/** Of a normal distribution 99 in 100 lie within so many standard errors. */
const STANDARD_ERRORS = 2.58;
/** The part by which compression may differ because samples do not begin and end where the chunks of an import do. */
const BORDER_ERROR = 0.005;

/** What metadata takes besides hashes and checksums. */
const BYTES_A_SEGMENT = 64;
const BYTES_A_CHUNK = 4;
/** In the interval map and in the table of its segment. */
const BYTES_A_RUN = 12;
const FIXED_BYTES = RECORDS_OFFSET + 1024;

/** A disk whose bytes can be read from anywhere, and that knows where it has none. */
export interface MeasuredDisk extends Omit<SourceFile, 'descriptor'> {
  readonly sizeBytes: number;
}

export interface MeasureOptions {
  readonly compression: Compression;
  /** Default 4096. */
  readonly blockSizeBytes?: number;
  /** 'samples': at most 128 MiB of data, from all over the disk; 'all': as much as an import reads. */
  readonly read: 'samples' | 'all';
  readonly onProgress?: OnProgress;
}

export interface Measurement {
  /** Length of a new container after an import of the disk. */
  readonly estimatedBytes: number;
  /** By how much that may be wrong, in 99 of 100 cases. */
  readonly errorBytes: number;
  /** What suffices, in as many cases: the sum of both. */
  readonly requiredBytes: number;
  /** What suffices without compression. */
  readonly uncompressedBytes: number;
  /** For a disk of this size without zeros, with data that does not compress. */
  readonly fullyAllocatedBytes: number;
  /** Of blocks that are not zeros, in the disk; as good as the estimate. */
  readonly dataBytes: number;
  /** 0: all data was read. */
  readonly sampleCount: number;
  readonly sampledBytes: number;
  /** What of the disk is not known to be holes. */
  readonly mappedBytes: number;
}

/**
 * What an import of `disk` into a new container comes to; the same at every call. Errors: those of reading, and 'usage' for
 * an impossible block size.
 */
export async function measure(disk: MeasuredDisk, options: MeasureOptions): Promise<Measurement> {
  const blockBytes = options.blockSizeBytes ?? DEFAULT_BLOCK_BYTES;
  checkBlockSize(blockBytes);
  const { compression, onProgress } = options;
  const survey = surveyDisk(disk, blockBytes);
  const isWhole = options.read === 'all' || survey.mappedBytes <= SAMPLE_COUNT * SAMPLE_BYTES;
  const parts = isWhole ? windowParts(disk, blockBytes) : sampleParts(disk, { ...survey, blockBytes });
  const totalBytes = isWhole ? survey.mappedBytes : SAMPLE_COUNT * SAMPLE_BYTES;
  const sums = new Sums();
  const giveTurn = turnGiver();
  let group: { readonly number: number; readonly packing: Packing; partCount: number; partBytes: number } | undefined;
  const endGroup = (): void => {
    group?.packing.end();
    if (group !== undefined) sums.add(group.packing, { ...group, blockBytes });
  };
  let doneBytes = 0;
  for (const part of parts) {
    if (group?.number !== part.group) {
      endGroup();
      group = { number: part.group, packing: new Packing({ blockBytes, compression }), partCount: 0, partBytes: 0 };
    }
    group.partCount++;
    group.partBytes += part.end - part.start;
    for await (const piece of disk.pieces(PIECE_BYTES, part)) {
      if (piece.kind === 'data') group.packing.add(piece.start, piece.bytes);
      doneBytes += (piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end) - piece.start;
      onProgress?.(doneBytes, totalBytes);
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
  }
  endGroup();
  return conclude(sums, {
    ...survey,
    sizeBytes: disk.sizeBytes,
    blockBytes,
    compression,
    isWhole,
    sampledBytes: doneBytes,
  });
}

interface Survey {
  readonly mappedBytes: number;
  readonly rangeCount: number;
  /** Each becomes a segment. */
  readonly windowCount: number;
}

function surveyDisk(disk: MeasuredDisk, blockBytes: number): Survey {
  let [mappedBytes, rangeCount, windowCount, nextWindow] = [0, 0, 0, 0];
  for (const { start, end } of disk.runs(blockBytes)) {
    mappedBytes += end - start;
    rangeCount++;
    const first = Math.max(nextWindow, Math.floor(start / WINDOW_BYTES));
    nextWindow = Math.ceil(end / WINDOW_BYTES);
    windowCount += nextWindow - first;
  }
  return { mappedBytes, rangeCount, windowCount };
}

/** A range of the disk; those of one group are packed together. */
interface Part extends ByteRange {
  readonly group: number;
}

function* windowParts(disk: MeasuredDisk, blockBytes: number): Generator<Part> {
  for (const range of disk.runs(blockBytes)) {
    for (let start = range.start; start < range.end; ) {
      const group = Math.floor(start / WINDOW_BYTES);
      const end = Math.min(range.end, (group + 1) * WINDOW_BYTES);
      yield { group, start, end };
      start = end;
    }
  }
}

/** The data, taken as if it had no holes, is divided into as many equal strata as there are samples, with one anywhere in each. */
function* sampleParts(
  disk: MeasuredDisk,
  { mappedBytes, blockBytes }: { readonly mappedBytes: number; readonly blockBytes: number },
): Generator<Part> {
  const random = new Random(SEED);
  const stratumBytes = mappedBytes / SAMPLE_COUNT;
  const placeOf = (group: number): number => {
    const place = group * stratumBytes + random.below(Math.floor(stratumBytes - SAMPLE_BYTES) + 1);
    return Math.floor(place / blockBytes) * blockBytes;
  };
  let group = 0;
  let place = placeOf(0);
  let before = 0;
  for (const range of disk.runs(blockBytes)) {
    const after = before + range.end - range.start;
    while (group < SAMPLE_COUNT && place < after) {
      const from = Math.max(place, before);
      const to = Math.min(place + SAMPLE_BYTES, after);
      if (from < to) yield { group, start: range.start + from - before, end: range.start + to - before };
      if (place + SAMPLE_BYTES > after) break;
      group++;
      place = placeOf(group);
    }
    before = after;
  }
}

/** Of all groups, and how much neighbouring ones differ. */
class Sums {
  groupCount = 0;
  blockCount = 0;
  storedBytes = 0;
  chunkCount = 0;
  sumBytes = 0;
  /** Runs that zeros make of the parts. */
  splitCount = 0;
  /** Sums of the squares of differences. */
  storedSquares = 0;
  blockSquares = 0;
  readonly leftOver = new LeftOver();
  #last: Packed | undefined;

  add(
    packed: Packed,
    group: { readonly partCount: number; readonly partBytes: number; readonly blockBytes: number },
  ): void {
    this.leftOver.add(group.partBytes, packed.blockCount * group.blockBytes);
    this.groupCount++;
    this.blockCount += packed.blockCount;
    this.storedBytes += packed.storedBytes;
    this.chunkCount += packed.chunkCount;
    this.sumBytes += packed.sumBytes;
    this.splitCount += packed.runCount - group.partCount;
    if (this.#last !== undefined) {
      this.storedSquares += (packed.storedBytes - this.#last.storedBytes) ** 2;
      this.blockSquares += (packed.blockCount - this.#last.blockCount) ** 2;
    }
    this.#last = packed;
  }
}

/**
 * Free space that an import without compression leaves: the jobs that are under way at a time have room for all that their
 * ranges may hold, and what they do not need for zeros is for those that come after them.
 */
class LeftOver {
  readonly #underWay: number[] = [];
  #bytes = 0;

  add(roomBytes: number, dataBytes: number): void {
    this.#bytes -= Math.min(this.#bytes, roomBytes);
    this.#underWay.push(Math.max(0, roomBytes - dataBytes));
    if (this.#underWay.length > JOBS_UNDER_WAY) this.#bytes += this.#underWay.shift() ?? 0;
  }

  get bytes(): number {
    return this.#underWay.reduce((sum, bytes) => sum + bytes, this.#bytes);
  }
}

/** The most that may be left over, where the order of zeros and data is not known. */
const MAX_LEFT_OVER_BYTES = (JOBS_UNDER_WAY + 1) * WINDOW_BYTES;

interface Circumstances extends Survey {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly compression: Compression;
  readonly isWhole: boolean;
  readonly sampledBytes: number;
}

function conclude(sums: Sums, all: Circumstances): Measurement {
  const { blockBytes, isWhole, mappedBytes, sampledBytes } = all;
  const scale = sampledBytes === 0 ? 0 : mappedBytes / sampledBytes;
  const errorOf = (squares: number): number =>
    isWhole ? 0 : scale * standardError(squares, sums.groupCount, scale) * STANDARD_ERRORS;
  const runCount = Math.max(0, all.rangeCount + scale * sums.splitCount);
  const tables = FIXED_BYTES + all.windowCount * BYTES_A_SEGMENT + runCount * BYTES_A_RUN;
  const chunkCount = scale * sums.chunkCount;
  const dataBytes = scale * sums.blockCount * blockBytes;
  const mostLeftOver = Math.min(MAX_LEFT_OVER_BYTES, Math.max(0, mappedBytes - dataBytes));
  // What chunks do not fill of the room that was set aside is not known exactly.
  const leftOver = isWhole
    ? { bytes: sums.leftOver.bytes, error: Math.min(sums.leftOver.bytes, (JOBS_UNDER_WAY + 1) * CHUNK_BYTES) }
    : { bytes: mostLeftOver / 2, error: mostLeftOver / 2 };
  const raw = {
    bytes:
      tables +
      dataBytes +
      chunkCount * (HASH_BYTES + BYTES_A_CHUNK) +
      (dataBytes / blockBytes) * CHECKSUM_BYTES +
      leftOver.bytes,
    error: errorOf(sums.blockSquares) * blockBytes + leftOver.error,
  };
  const storedBytes = scale * sums.storedBytes;
  const packed = {
    bytes: tables + storedBytes + chunkCount * BYTES_A_CHUNK + scale * sums.sumBytes,
    error: errorOf(sums.storedSquares) + (isWhole ? 0 : storedBytes * BORDER_ERROR),
  };
  const asked = all.compression.codec === 'none' ? raw : packed;
  const [estimatedBytes, errorBytes] = [Math.ceil(asked.bytes), Math.ceil(asked.error)];
  const uncompressedBytes = Math.ceil(raw.bytes) + Math.ceil(raw.error);
  return {
    estimatedBytes,
    errorBytes,
    requiredBytes: estimatedBytes + errorBytes,
    uncompressedBytes,
    fullyAllocatedBytes: Math.max(fullyAllocated(all), estimatedBytes + errorBytes, uncompressedBytes),
    dataBytes: Math.round(dataBytes),
    sampleCount: isWhole ? 0 : sums.groupCount,
    sampledBytes,
    mappedBytes,
  };
}

/** Of the sum of the samples, where each comes from a stratum of its own: from what neighbours differ by. */
function standardError(squares: number, count: number, scale: number): number {
  if (count < 2) return 0;
  return Math.sqrt((1 - 1 / scale) * (squares / (2 * (count - 1))) * count);
}

function fullyAllocated({ sizeBytes, blockBytes }: Circumstances): number {
  const blocks = Math.ceil(sizeBytes / blockBytes);
  const segments = Math.ceil(sizeBytes / WINDOW_BYTES);
  const chunks = Math.ceil(blocks / chunkBlocksOf(blockBytes));
  return (
    FIXED_BYTES +
    blocks * (blockBytes + CHECKSUM_BYTES) +
    chunks * (HASH_BYTES + BYTES_A_CHUNK) +
    segments * (BYTES_A_SEGMENT + BYTES_A_RUN)
  );
}
