import type { ByteRange } from '../storage/transfer.ts';
import type { Container } from './container.ts';

/** A range of a disk, and whether it may hold anything but zeros. */
export interface DiskRun extends ByteRange {
  readonly kind: 'data' | 'hole';
}

/** One state of the disk for those that read and write anywhere in it, for as long as they like. Ranges are of bytes. */
export interface Disk {
  readonly sizeBytes: number;
  /** Undefined for a state that never changes. */
  readonly writing: DiskWriting | undefined;
  /** Fills `into` from `guestOffset` on. Errors: 'corrupt', 'io', 'refused' beyond the end. */
  read(guestOffset: number, into: Uint8Array): void;
  /** For who has other things to do meanwhile: what makes `read` of the range shorter; undefined where nothing does. Errors: as `read`. */
  prepare(guestOffset: number, lengthBytes: number): Promise<unknown> | undefined;
  /** Every byte of `[start, end)` once, ascending; what is next to each other and alike may come apart. */
  runs(range: ByteRange): Iterable<DiskRun>;
  /** What of `[start, end)` differs, or may differ, from a version; ascending and apart. Errors: 'not-found'. */
  changesSince(rev: string, range: ByteRange): Iterable<ByteRange>;
  /** To be called before `runs` and `changesSince`: those do not know of what was just written. */
  settle(): Promise<void>;
}

/** Changes are visible at once, and lasting after `flush`. */
export interface DiskWriting {
  /** A promise only where there is something to wait for; until it is done `bytes` must stay as they are. */
  write(guestOffset: number, bytes: Uint8Array): Promise<void> | undefined;
  /** The range reads as zeros. */
  zero(guestOffset: number, lengthBytes: number): Promise<void>;
  /** All that was written before the call survives a power cut when it ends. */
  flush(): Promise<void>;
}

/** Changes the container when nobody else does; what it throws spoils the image. */
export type Change = <T>(action: (container: Container) => Promise<T>) => Promise<T>;
