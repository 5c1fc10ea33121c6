import type { Descriptor } from './descriptor.ts';

/** Where bytes come from at `import` and go to at `export`: raw files, block devices, pipes. */

/**
 * Pieces of a source begin at multiples of this (the largest block size a container may have), provided that
 * `maxPieceBytes` is a multiple of it: so no block is spread over two pieces, and only the last piece may
 * end within a block.
 */
export const PIECE_ALIGNMENT_BYTES = 65_536;

/** A run of guest bytes, in ascending order and without overlap. A hole reads as zeros. */
export type Piece =
  | { readonly kind: 'data'; readonly start: number; readonly bytes: Uint8Array }
  | { readonly kind: 'hole'; readonly start: number; readonly end: number };

export interface DataSource {
  /** Total length in bytes, or undefined when only the end of the stream tells. */
  readonly sizeBytes: number | undefined;
  /**
   * Every byte of the source once, in order, as data of at most `maxPieceBytes` and as holes of any
   * length. The bytes of a data piece are only valid until the next piece is asked for. Errors: 'io', 'permission'.
   */
  pieces(maxPieceBytes: number): AsyncIterable<Piece>;
  /** For a file, which need not be read from front to back. */
  readonly file?: SourceFile;
  /** Closing twice is allowed. */
  close(): void;
}

/** A source that other threads may read beside it. */
export interface SourceFile {
  /** Errors: 'internal' when it is closed. */
  readonly descriptor: Descriptor;
  /**
   * Where data may be, in ascending order, without reading it; all else is holes. Runs begin and end at multiples of
   * `unitBytes`, a power of two up to `PIECE_ALIGNMENT_BYTES`, or at the end.
   */
  runs(unitBytes: number): Iterable<ByteRange>;
  /** As `DataSource.pieces`, of a part. */
  pieces(maxPieceBytes: number, range: ByteRange): AsyncIterable<Piece>;
}

/** Bytes `[start, end)`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface DataTarget {
  /**
   * Bytes at `start`; calls come in ascending order without overlap, one at a time. The caller may
   * reuse `bytes` when the promise is fulfilled. Errors: 'no-space', 'permission', 'io'.
   */
  data(start: number, bytes: Uint8Array): Promise<void>;
  /**
   * For a file: whoever asks writes `[start, end)` to it, from any thread and in any order, before `finish`. Counts as a call of
   * `data`. Errors: as `data`.
   */
  direct?(start: number, end: number): Promise<Descriptor>;
  /** `[start, end)` reads as zeros. */
  hole(start: number, end: number): Promise<void>;
  /** All is written: the target has exactly `sizeBytes` now, under its final name. */
  finish(sizeBytes: number): Promise<void>;
  /** Something failed: leaves nothing half-made under the final name. Never throws; does nothing after `finish`. */
  abort(): void;
}
