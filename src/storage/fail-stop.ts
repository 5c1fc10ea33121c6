import { VsimgError } from '../errors.ts';
import type { Descriptor } from './descriptor.ts';
import type { Storage } from './storage.ts';

/**
 * Refuses to write after a write, truncate or sync failed: what the system kept of it is not known, so
 * nothing may be built on it until the storage is opened, and read, again.
 */
export class FailStopStorage implements Storage {
  readonly name: string;
  readonly readOnly: boolean;
  private readonly inner: Storage;
  private failure: unknown;
  /** Something failed beside writes for want of room, of which it is known what they leave behind. */
  private isInDoubt = false;
  /** Writes and waits that other threads do. */
  private readonly underWay = new Set<Promise<void>>();
  /** What they have to be done for. */
  private atEnd: (() => void) | undefined;

  constructor(inner: Storage) {
    this.inner = inner;
    this.name = inner.name;
    this.readOnly = inner.readOnly;
  }

  get descriptor(): Descriptor | undefined {
    return this.inner.descriptor;
  }

  private guard(call: 'write' | 'other', action: () => void): void {
    this.refuseAfterFailure();
    try {
      action();
    } catch (error) {
      throw this.failed(call, error);
    }
  }

  private refuseAfterFailure(): void {
    if (this.failure === undefined) return;
    // Whoever is not the first to fail must be able to tell why, too.
    throw new VsimgError(
      !this.isInDoubt && isForWantOfRoom(this.failure) ? 'no-space' : 'io',
      `cannot write '${this.name}' after an earlier failure`,
      {
        path: this.name,
        hint: 'open it again',
        cause: this.failure,
      },
    );
  }

  private failed(call: 'write' | 'other', error: unknown): unknown {
    this.failure = error;
    if (call !== 'write' || !isForWantOfRoom(error)) this.isInDoubt = true;
    return error;
  }

  size(): number {
    return this.inner.size();
  }

  allocatedBytes(): number | undefined {
    return this.inner.allocatedBytes?.();
  }

  read(buffer: Uint8Array, position: number): number {
    return this.inner.read(buffer, position);
  }

  /**
   * The storage to begin anew with, after all that was written since the last sync is given up; undefined after a failure that leaves in
   * doubt what is there: then only another process can tell.
   */
  get renewed(): Storage | undefined {
    return this.isInDoubt ? undefined : this.inner;
  }

  write(buffer: Uint8Array, position: number): void {
    this.guard('write', () => this.inner.write(buffer, position));
  }

  truncate(lengthBytes: number): void {
    this.guard('other', () => this.inner.truncate(lengthBytes));
  }

  /** Resolves when nothing is written any more that was begun. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.underWay);
  }

  /**
   * Closes; before that cuts off bytes that nothing refers to, from `lengthBytes` on if that is given: also after a failure, when that is
   * all that may be done. At the end of what is under way, which could make the file longer again. Never fails.
   */
  closeAt(lengthBytes: number | undefined): void {
    const close = (): void => {
      try {
        if (lengthBytes !== undefined && this.inner.size() > lengthBytes) this.inner.truncate(lengthBytes);
      } catch {
        // The next gc cuts the file.
      }
      this.inner.close();
    };
    if (this.underWay.size === 0) close();
    else this.atEnd = close;
  }

  sync(): void {
    this.guard('other', () => this.inner.sync());
  }

  writeMeanwhile(buffer: Uint8Array, position: number): Promise<void> {
    const { inner } = this;
    return this.guardMeanwhile('write', async () =>
      inner.writeMeanwhile === undefined ? inner.write(buffer, position) : inner.writeMeanwhile(buffer, position),
    );
  }

  syncMeanwhile(): Promise<void> {
    const { inner } = this;
    return this.guardMeanwhile('other', async () =>
      inner.syncMeanwhile === undefined ? inner.sync() : inner.syncMeanwhile(),
    );
  }

  private async guardMeanwhile(call: 'write' | 'other', action: () => Promise<void>): Promise<void> {
    this.refuseAfterFailure();
    const going = action().catch((error: unknown) => {
      throw this.failed(call, error);
    });
    this.underWay.add(going);
    try {
      await going;
    } finally {
      this.underWay.delete(going);
      if (this.underWay.size === 0) this.atEnd?.();
    }
  }

  punch(start: number, end: number): void {
    this.guard('other', () => this.inner.punch(start, end));
  }

  close(): void {
    this.inner.close();
  }
}

function isForWantOfRoom(error: unknown): boolean {
  return error instanceof VsimgError && error.code === 'no-space';
}
