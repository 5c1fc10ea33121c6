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

  write(buffer: Uint8Array, position: number): void {
    this.guard(() => this.inner.write(buffer, position));
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

  async syncMeanwhile(): Promise<void> {
    if (this.inner.syncMeanwhile === undefined) return;
    this.guard(() => {});
    try {
      await this.inner.syncMeanwhile();
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
