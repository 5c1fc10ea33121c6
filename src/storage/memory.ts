import { VsimgError } from '../errors.ts';
import type { LockableStorage } from './storage.ts';

const PAGE_BYTES = 65_536;

interface HeldLock {
  readonly owner: object;
  readonly start: number;
  readonly end: number;
  readonly mode: 'shared' | 'exclusive';
}

/**
 * A file's bytes and locks in memory. Several `MemoryStorage` handles may be opened over one disk, as
 * several processes open one file. Pages that were never written take no memory.
 */
export class MemoryDisk {
  readonly #pages = new Map<number, Uint8Array>();
  /** Pages that no clone shares, so that they may be changed in place. */
  readonly #ownPages = new Set<number>();
  #sizeBytes = 0;
  #locks: HeldLock[] = [];

  /** A disk that holds a copy of `bytes`. */
  static from(bytes: Uint8Array): MemoryDisk {
    const disk = new MemoryDisk();
    disk.write(bytes, 0);
    return disk;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Memory the pages take, in bytes. */
  get allocatedBytes(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  /** A copy of the whole content. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.#sizeBytes);
    this.read(all, 0);
    return all;
  }

  /** An independent disk with the same bytes and no locks; pages are copied when either disk changes them. */
  clone(): MemoryDisk {
    const copy = new MemoryDisk();
    copy.#sizeBytes = this.#sizeBytes;
    for (const [number, page] of this.#pages) copy.#pages.set(number, page);
    this.#ownPages.clear();
    return copy;
  }

  read(buffer: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(buffer.length, this.#sizeBytes - position));
    for (const part of pageParts(position, position + length)) {
      const page = this.#pages.get(part.page);
      const to = part.start - position;
      if (page === undefined) buffer.fill(0, to, to + part.length);
      else buffer.set(page.subarray(part.offset, part.offset + part.length), to);
    }
    return length;
  }

  write(buffer: Uint8Array, position: number): void {
    if (buffer.length === 0) return; // As pwrite(2): no bytes, no growth.
    for (const part of pageParts(position, position + buffer.length)) {
      const from = part.start - position;
      this.#ownPage(part.page).set(buffer.subarray(from, from + part.length), part.offset);
    }
    this.#sizeBytes = Math.max(this.#sizeBytes, position + buffer.length);
  }

  truncate(lengthBytes: number): void {
    this.punch(lengthBytes, this.#sizeBytes);
    this.#sizeBytes = lengthBytes;
  }

  punch(start: number, end: number): void {
    // The last page holds zeros behind the end, so it may go as a whole.
    if (start < end)
      this.#clear(start, end < this.#sizeBytes ? end : Math.ceil(this.#sizeBytes / PAGE_BYTES) * PAGE_BYTES);
  }

  tryLock(owner: object, start: number, length: number, mode: 'shared' | 'exclusive'): boolean {
    const end = start + length;
    for (const held of this.#locks) {
      const overlaps = held.start < end && start < held.end;
      if (overlaps && held.owner !== owner && (mode === 'exclusive' || held.mode === 'exclusive')) return false;
    }
    // As fcntl(2): a new lock replaces what the same owner held there.
    this.unlock(owner, start, length);
    this.#locks.push({ owner, start, end, mode });
    return true;
  }

  unlock(owner: object, start: number, length: number): void {
    const end = start + length;
    this.#locks = this.#locks.flatMap((held) => {
      if (held.owner !== owner || held.end <= start || end <= held.start) return [held];
      const rest: HeldLock[] = [];
      if (held.start < start) rest.push({ ...held, end: start });
      if (end < held.end) rest.push({ ...held, start: end });
      return rest;
    });
  }

  unlockAll(owner: object): void {
    this.#locks = this.#locks.filter((held) => held.owner !== owner);
  }

  #clear(start: number, end: number): void {
    const firstPage = Math.floor(start / PAGE_BYTES);
    const pageCount = Math.ceil(end / PAGE_BYTES) - firstPage;
    // A range of terabytes may hold a handful of pages, so visit the fewer of the two.
    const numbers =
      pageCount > this.#pages.size
        ? [...this.#pages.keys()]
        : Array.from({ length: Math.max(0, pageCount) }, (_, index) => firstPage + index);
    for (const number of numbers) {
      const from = Math.max(0, start - number * PAGE_BYTES);
      const to = Math.min(PAGE_BYTES, end - number * PAGE_BYTES);
      if (!this.#pages.has(number) || from >= to) continue;
      if (from === 0 && to === PAGE_BYTES) {
        this.#pages.delete(number);
        this.#ownPages.delete(number);
      } else {
        this.#ownPage(number).fill(0, from, to);
      }
    }
  }

  /** The page, made or copied if need be, for changing. */
  #ownPage(number: number): Uint8Array {
    const old = this.#pages.get(number);
    if (old !== undefined && this.#ownPages.has(number)) return old;
    const page = old === undefined ? new Uint8Array(PAGE_BYTES) : old.slice();
    this.#pages.set(number, page);
    this.#ownPages.add(number);
    return page;
  }
}

/** A handle on a `MemoryDisk`; its locks conflict with those of the other handles and go when it is closed. */
export class MemoryStorage implements LockableStorage {
  readonly name: string;
  readonly readOnly: boolean;
  readonly disk: MemoryDisk;
  #closed = false;

  constructor(
    disk: MemoryDisk = new MemoryDisk(),
    options: { readonly name?: string; readonly readOnly?: boolean } = {},
  ) {
    this.disk = disk;
    this.name = options.name ?? 'memory';
    this.readOnly = options.readOnly ?? false;
  }

  size(): number {
    this.#assertOpen();
    return this.disk.sizeBytes;
  }

  read(buffer: Uint8Array, position: number): number {
    this.#assertOpen();
    return this.disk.read(buffer, position);
  }

  write(buffer: Uint8Array, position: number): void {
    this.#assertWritable();
    this.disk.write(buffer, position);
  }

  truncate(lengthBytes: number): void {
    this.#assertWritable();
    this.disk.truncate(lengthBytes);
  }

  sync(): void {
    this.#assertOpen();
  }

  punch(start: number, end: number): void {
    this.#assertWritable();
    this.disk.punch(start, end);
  }

  tryLock(start: number, length: number, mode: 'shared' | 'exclusive'): boolean {
    this.#assertOpen();
    this.#assertLockRange(start, length);
    if (mode === 'exclusive' && this.readOnly) {
      throw new VsimgError('permission', `cannot lock '${this.name}' for writing: it is open for reading`, {
        path: this.name,
      });
    }
    return this.disk.tryLock(this, start, length, mode);
  }

  unlock(start: number, length: number): void {
    this.#assertOpen();
    this.#assertLockRange(start, length);
    this.disk.unlock(this, start, length);
  }

  close(): void {
    this.#closed = true;
    this.disk.unlockAll(this);
  }

  #assertOpen(): void {
    if (this.#closed)
      throw new VsimgError('internal', `'${this.name}' is used after it was closed`, { path: this.name });
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (this.readOnly)
      throw new VsimgError('permission', `cannot write '${this.name}': it is open for reading`, { path: this.name });
  }

  #assertLockRange(start: number, length: number): void {
    if (start >= 0 && length > 0 && Number.isSafeInteger(start + length)) return;
    throw new VsimgError('internal', `bad lock range: ${length} bytes at ${start}`, { path: this.name });
  }
}

interface PagePart {
  readonly page: number;
  /** Where the part begins, in the disk and within the page. */
  readonly start: number;
  readonly offset: number;
  readonly length: number;
}

/** `[start, end)` cut at page borders. */
function* pageParts(start: number, end: number): Generator<PagePart> {
  let at = start;
  while (at < end) {
    const page = Math.floor(at / PAGE_BYTES);
    const offset = at - page * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES - offset, end - at);
    yield { page, start: at, offset, length };
    at += length;
  }
}
