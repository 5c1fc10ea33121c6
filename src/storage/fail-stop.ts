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
  private isWriteRefused = false;

  constructor(inner: Storage) {
    this.inner = inner;
    this.name = inner.name;
    this.readOnly = inner.readOnly;
  }

  get descriptor(): Descriptor | undefined {
    return this.inner.descriptor;
  }

  private guard(action: () => void): void {
    if (this.failure !== undefined) {
      throw new VsimgError('io', `cannot write '${this.name}' after an earlier failure`, {
        path: this.name,
        hint: 'open it again',
        cause: this.failure,
      });
    }
    try {
      action();
    } catch (error) {
      this.failure = error;
      throw error;
    }
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
    return this.failure === undefined || this.isWriteRefused ? this.inner : undefined;
  }

  write(buffer: Uint8Array, position: number): void {
    this.guard(() => {
      try {
        this.inner.write(buffer, position);
      } catch (error) {
        this.isWriteRefused = isForWantOfRoom(error);
        throw error;
      }
    });
  }

  truncate(lengthBytes: number): void {
    this.guard(() => this.inner.truncate(lengthBytes));
  }

  /** Cuts off bytes that nothing refers to: also after a failure, when that is all that may be done. */
  cutBack(lengthBytes: number): void {
    this.inner.truncate(lengthBytes);
  }

  sync(): void {
    this.guard(() => this.inner.sync());
  }

  writeMeanwhile(buffer: Uint8Array, position: number): Promise<void> {
    const { inner } = this;
    return this.guardMeanwhile(async () => {
      try {
        await (inner.writeMeanwhile === undefined
          ? inner.write(buffer, position)
          : inner.writeMeanwhile(buffer, position));
      } catch (error) {
        if (this.failure === undefined) this.isWriteRefused = isForWantOfRoom(error);
        throw error;
      }
    });
  }

  syncMeanwhile(): Promise<void> {
    const { inner } = this;
    return this.guardMeanwhile(async () => (inner.syncMeanwhile === undefined ? inner.sync() : inner.syncMeanwhile()));
  }

  private async guardMeanwhile(action: () => Promise<void>): Promise<void> {
    this.guard(() => {});
    try {
      await action();
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  punch(start: number, end: number): void {
    this.guard(() => this.inner.punch(start, end));
  }

  close(): void {
    this.inner.close();
  }
}

function isForWantOfRoom(error: unknown): boolean {
  return error instanceof VsimgError && error.code === 'no-space';
}
