import type { Descriptor } from './descriptor.ts';

/**
 * The interface under everything: a flat, growable array of bytes. Calls are synchronous: small reads
 * from the page cache are 5 to 20 times faster so, and the engine above stays free of interleaving.
 * A storage knows nothing of the format.
 *
 * Errors: every method throws `VsimgError` ('io', 'no-space', 'permission'); no other class escapes.
 */
export interface Storage {
  /** What to call this storage in messages, usually the file's path. */
  readonly name: string;
  readonly readOnly: boolean;

  /** The open file, if this is one: other threads of this process may read and write it beside this object. */
  readonly descriptor?: Descriptor | undefined;

  /** Current length in bytes. */
  size(): number;

  /** What it takes on its file system, in bytes, where that is known. */
  allocatedBytes?(): number | undefined;

  /**
   * Fills `buffer` from byte `position` on and returns the number of bytes read, which is smaller
   * than `buffer.length` only at the end of the storage.
   */
  read(buffer: Uint8Array, position: number): number;

  /** Writes all of `buffer` at byte `position`, growing the storage (with zeros between) if needed. */
  write(buffer: Uint8Array, position: number): void;

  /** Sets the length in bytes; new bytes read as zeros. */
  truncate(lengthBytes: number): void;

  /** Returns when everything written so far would survive a power cut. */
  sync(): void;

  /** The same while others go on; the storage must stay open meanwhile. Absent where nothing is to be waited for. */
  syncMeanwhile?(): Promise<void>;

  /** Gives the bytes of `[start, end)` back to the file system where that is possible; they read as zeros or as before. */
  punch(start: number, end: number): void;

  /** Releases the file and all its locks; closing twice is allowed. */
  close(): void;
}

/** Byte-range locks that die with the process; positions far behind any data. */
export interface LockableStorage extends Storage {
  /** Tries once to lock bytes `[start, start + length)`; true if this storage holds it now. */
  tryLock(start: number, length: number, mode: 'shared' | 'exclusive'): boolean;
  unlock(start: number, length: number): void;
}
