import { type ErrorCode, VsimgError } from '../../src/errors.ts';
import type { LockableStorage } from '../../src/storage/storage.ts';

/** Passes everything on to `inner`; the base of the storages that watch or disturb. */
export class WrappedStorage implements LockableStorage {
  readonly inner: LockableStorage;

  constructor(inner: LockableStorage) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get readOnly(): boolean {
    return this.inner.readOnly;
  }

  size(): number {
    return this.inner.size();
  }

  read(buffer: Uint8Array, position: number): number {
    return this.inner.read(buffer, position);
  }

  write(buffer: Uint8Array, position: number): void {
    this.inner.write(buffer, position);
  }

  truncate(lengthBytes: number): void {
    this.inner.truncate(lengthBytes);
  }

  sync(): void {
    this.inner.sync();
  }

  punch(start: number, end: number): void {
    this.inner.punch(start, end);
  }

  close(): void {
    this.inner.close();
  }

  tryLock(start: number, length: number, mode: 'shared' | 'exclusive'): boolean {
    return this.inner.tryLock(start, length, mode);
  }

  unlock(start: number, length: number): void {
    this.inner.unlock(start, length);
  }
}

export interface StorageCounts {
  sizes: number;
  reads: number;
  readBytes: number;
  writes: number;
  writtenBytes: number;
  truncates: number;
  punches: number;
  syncs: number;
  lockProbes: number;
}

const noCounts = (): StorageCounts => ({
  sizes: 0,
  reads: 0,
  readBytes: 0,
  writes: 0,
  writtenBytes: 0,
  truncates: 0,
  punches: 0,
  syncs: 0,
  lockProbes: 0,
});

/** Counts calls and bytes, including those of calls that fail. */
export class CountingStorage extends WrappedStorage {
  counts: StorageCounts = noCounts();

  /** Starts again at zero and returns what was counted so far. */
  reset(): StorageCounts {
    const before = this.counts;
    this.counts = noCounts();
    return before;
  }

  /** What `action` costs. */
  during(action: () => void): StorageCounts {
    this.reset();
    action();
    return this.reset();
  }

  override size(): number {
    this.counts.sizes++;
    return super.size();
  }

  override read(buffer: Uint8Array, position: number): number {
    this.counts.reads++;
    const length = super.read(buffer, position);
    this.counts.readBytes += length;
    return length;
  }

  override write(buffer: Uint8Array, position: number): void {
    this.counts.writes++;
    this.counts.writtenBytes += buffer.length;
    super.write(buffer, position);
  }

  override truncate(lengthBytes: number): void {
    this.counts.truncates++;
    super.truncate(lengthBytes);
  }

  override punch(start: number, end: number): void {
    this.counts.punches++;
    super.punch(start, end);
  }

  override sync(): void {
    this.counts.syncs++;
    super.sync();
  }

  override tryLock(start: number, length: number, mode: 'shared' | 'exclusive'): boolean {
    this.counts.lockProbes++;
    return super.tryLock(start, length, mode);
  }
}

export type CallKind = 'read' | 'write' | 'truncate' | 'sync' | 'punch';

export interface FailurePlan {
  /** 'change': any of write, truncate and sync; 'any': these and read. */
  readonly kind: CallKind | 'change' | 'any';
  /** Which call of that kind fails; the first is 1. */
  readonly call: number;
  readonly code: ErrorCode;
  /** What a failing write leaves behind: nothing (default), or the first half of its bytes. */
  readonly effect?: 'nothing' | 'half';
  /** True: all later calls of that kind fail too, as on a disk that is full or gone. */
  readonly lasting?: boolean;
}

const CHANGES: readonly CallKind[] = ['write', 'truncate', 'sync'];

/**
 * Fails at the n-th call. Run an action with n = 1, 2, 3 ... until `fired` stays false, and every failure
 * it may meet was tried.
 */
export class FailingStorage extends WrappedStorage {
  readonly plan: FailurePlan;
  /** True as soon as a call has failed. */
  fired = false;
  #calls = 0;

  constructor(inner: LockableStorage, plan: FailurePlan) {
    super(inner);
    this.plan = plan;
  }

  override read(buffer: Uint8Array, position: number): number {
    this.#meet('read');
    return super.read(buffer, position);
  }

  override write(buffer: Uint8Array, position: number): void {
    this.#meet('write', () => {
      if (this.plan.effect === 'half') super.write(buffer.subarray(0, buffer.length >>> 1), position);
    });
    super.write(buffer, position);
  }

  override truncate(lengthBytes: number): void {
    this.#meet('truncate');
    super.truncate(lengthBytes);
  }

  override sync(): void {
    this.#meet('sync');
    super.sync();
  }

  override punch(start: number, end: number): void {
    this.#meet('punch');
    super.punch(start, end);
  }

  #meet(kind: CallKind, beforeFailing?: () => void): void {
    const wanted = this.plan.kind;
    const counts =
      wanted === kind || (wanted === 'any' && kind !== 'punch') || (wanted === 'change' && CHANGES.includes(kind));
    if (!counts) return;
    this.#calls++;
    if (this.#calls !== this.plan.call && !(this.plan.lasting === true && this.#calls > this.plan.call)) return;
    this.fired = true;
    beforeFailing?.();
    throw new VsimgError(this.plan.code, `injected: ${kind} number ${this.#calls} of '${this.name}' fails`, {
      path: this.name,
    });
  }
}
