import { BlockSet } from './block-set.ts';
import { MemoryStorage } from './memory.ts';
import type { Storage } from './storage.ts';

const PAGE_BYTES = 4096;
/** From then on, what is written goes to a storage that takes no memory. */
const MEMORY_BYTES = 8 * 1024 * 1024;
const COPY_BYTES = 1024 * 1024;

/**
 * A storage that begins as another one is and leaves it untouched: what is written is kept aside, and gone when it is
 * closed. Up to some MiB of it are in memory; `spill` makes the storage for more.
 */
export class Overlay implements Storage {
  readonly name: string;
  readonly readOnly = false;
  readonly #base: Storage;
  readonly #spill: () => Storage;
  #upper: Storage;
  #memory: MemoryStorage | undefined;
  #sizeBytes: number;
  /** What lies behind it in the base is not part of this storage any more. */
  #baseEnd: number;
  /** Pages that are in `#upper`. */
  readonly #pages = new BlockSet();

  constructor(base: Storage, spill: () => Storage) {
    this.name = base.name;
    this.#base = base;
    this.#spill = spill;
    this.#memory = new MemoryStorage();
    this.#upper = this.#memory;
    this.#sizeBytes = base.size();
    this.#baseEnd = this.#sizeBytes;
  }

  size(): number {
    return this.#sizeBytes;
  }

  read(buffer: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(buffer.length, this.#sizeBytes - position));
    for (let at = position; at < position + length; ) {
      const { end, isWritten } = this.#runFrom(at, position + length);
      const part = buffer.subarray(at - position, end - position);
      if (isWritten) fill(this.#upper, part, at);
      else this.#readBase(part, at);
      at = end;
    }
    return length;
  }

  write(buffer: Uint8Array, position: number): void {
    if (buffer.length === 0) return;
    const end = position + buffer.length;
    if (this.#memory !== undefined && this.#memory.disk.allocatedBytes + buffer.length > MEMORY_BYTES)
      this.#leaveMemory();
    const [first, last] = [Math.floor(position / PAGE_BYTES), Math.floor((end - 1) / PAGE_BYTES)];
    if (position % PAGE_BYTES !== 0) this.#copyUp(first);
    if (end % PAGE_BYTES !== 0) this.#copyUp(last);
    this.#upper.write(buffer, position);
    this.#pages.add(first, last + 1);
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
  }

  truncate(lengthBytes: number): void {
    if (this.#upper.size() > lengthBytes) this.#upper.truncate(lengthBytes);
    this.#baseEnd = Math.min(this.#baseEnd, lengthBytes);
    this.#sizeBytes = lengthBytes;
  }

  sync(): void {}

  punch(): void {}

  /** The base stays open. */
  close(): void {
    this.#upper.close();
  }

  #readBase(buffer: Uint8Array, position: number): void {
    const inside = Math.max(0, Math.min(buffer.length, this.#baseEnd - position));
    if (inside > 0) fill(this.#base, buffer.subarray(0, inside), position);
    buffer.fill(0, inside);
  }

  /** The pages from `at` on that are all written, or all not, as far as `limit`. */
  #runFrom(at: number, limit: number): { readonly end: number; readonly isWritten: boolean } {
    let page = Math.floor(at / PAGE_BYTES);
    const isWritten = this.#pages.has(page);
    do page++;
    while (page * PAGE_BYTES < limit && this.#pages.has(page) === isWritten);
    return { end: Math.min(limit, page * PAGE_BYTES), isWritten };
  }

  /** Of a page that is written in part the rest comes from the base. */
  #copyUp(page: number): void {
    if (this.#pages.has(page)) return;
    const bytes = new Uint8Array(PAGE_BYTES);
    this.#readBase(bytes, page * PAGE_BYTES);
    this.#upper.write(bytes, page * PAGE_BYTES);
    this.#pages.add(page, page + 1);
  }

  #leaveMemory(): void {
    const [from, to] = [this.#upper, this.#spill()];
    this.#upper = to;
    this.#memory = undefined;
    const end = from.size();
    const buffer = new Uint8Array(COPY_BYTES);
    for (let at = 0; at < end; ) {
      const run = this.#runFrom(at, Math.min(end, at + COPY_BYTES));
      if (run.isWritten) {
        const part = buffer.subarray(0, run.end - at);
        fill(from, part, at);
        to.write(part, at);
      }
      at = run.end;
    }
    from.close();
  }
}

/** Behind the end of a storage there are zeros. */
function fill(storage: Storage, buffer: Uint8Array, position: number): void {
  buffer.fill(0, storage.read(buffer, position));
}
