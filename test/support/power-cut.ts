import { type MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { SeededRandom } from './random.ts';
import { WrappedStorage } from './storages.ts';

export type StorageEvent =
  | { readonly kind: 'write'; readonly start: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly lengthBytes: number }
  | { readonly kind: 'punch'; readonly start: number; readonly end: number }
  | { readonly kind: 'sync' };

/**
 * What becomes of the events after the last sync before a cut. A random fate drops, keeps or tears each of them and
 * puts them in any order; it tears writes at multiples of 512 bytes or at any byte ('none': only whole writes).
 */
export type Fate =
  | 'all-kept'
  | 'all-lost'
  /** Exactly these events, by their number in `events`, and in order. */
  | { readonly keep: ReadonlySet<number> }
  | { readonly seed: number; readonly tearing: 'none' | 'sector' | 'byte' };

const SECTOR_BYTES = 512;

/**
 * Works as a `MemoryStorage` and records every change, so that afterwards the state of the disk can be had that a power cut
 * after any number of changes may leave: what was synced is there, all else in part, in any order, torn or not at all.
 */
export class PowerCutStorage extends WrappedStorage {
  readonly events: StorageEvent[] = [];
  /** The disk as running programs see it; further handles may be opened over it. */
  readonly disk: MemoryDisk;
  readonly #initial: MemoryDisk;
  /** What was durable after the sync at event number `at - 1`; cuts are mostly asked for in ascending order. */
  #durable: { readonly at: number; readonly disk: MemoryDisk };

  /** Takes a copy of `initial`, which counts as durable. */
  constructor(initial: MemoryDisk, options: { readonly name?: string } = {}) {
    const disk = initial.clone();
    super(new MemoryStorage(disk, { name: options.name ?? 'power-cut' }));
    this.disk = disk;
    this.#initial = initial.clone();
    this.#durable = { at: 0, disk: this.#initial };
  }

  override write(buffer: Uint8Array, position: number): void {
    super.write(buffer, position);
    if (buffer.length > 0) this.events.push({ kind: 'write', start: position, bytes: buffer.slice() });
  }

  override truncate(lengthBytes: number): void {
    super.truncate(lengthBytes);
    this.events.push({ kind: 'truncate', lengthBytes });
  }

  override punch(start: number, end: number): void {
    super.punch(start, end);
    this.events.push({ kind: 'punch', start, end });
  }

  override sync(): void {
    super.sync();
    this.events.push({ kind: 'sync' });
  }

  /** Numbers of the events that a cut after the first `eventCount` events may lose. */
  pending(eventCount: number): number[] {
    const numbers: number[] = [];
    for (let number = this.#lastSyncEnd(eventCount); number < eventCount; number++) numbers.push(number);
    return numbers;
  }

  /** The disk as it may be found after the power went when the first `eventCount` events had been issued. */
  afterCut(eventCount: number, fate: Fate): MemoryDisk {
    const disk = this.#durableAt(this.#lastSyncEnd(eventCount)).clone();
    const pending = this.pending(eventCount);
    if (fate === 'all-lost') return disk;
    if (fate === 'all-kept' || 'keep' in fate) {
      for (const number of pending) {
        if (fate === 'all-kept' || fate.keep.has(number)) apply(disk, this.#event(number));
      }
      return disk;
    }
    const random = new SeededRandom(fate.seed);
    for (const number of random.shuffled(pending)) applyInPart(disk, this.#event(number), fate.tearing, random);
    return disk;
  }

  #event(number: number): StorageEvent {
    const event = this.events[number];
    if (event === undefined) throw new RangeError(`no event ${number}`);
    return event;
  }

  #lastSyncEnd(eventCount: number): number {
    if (eventCount < 0 || eventCount > this.events.length)
      throw new RangeError(`no cut after ${eventCount} of ${this.events.length} events`);
    for (let number = eventCount; number > 0; number--) {
      if (this.#event(number - 1).kind === 'sync') return number;
    }
    return 0;
  }

  #durableAt(at: number): MemoryDisk {
    if (at < this.#durable.at) this.#durable = { at: 0, disk: this.#initial };
    if (at > this.#durable.at) {
      const disk = this.#durable.disk.clone();
      for (let number = this.#durable.at; number < at; number++) apply(disk, this.#event(number));
      this.#durable = { at, disk };
    }
    return this.#durable.disk;
  }
}

function apply(disk: MemoryDisk, event: StorageEvent): void {
  switch (event.kind) {
    case 'write':
      disk.write(event.bytes, event.start);
      break;
    case 'truncate':
      disk.truncate(event.lengthBytes);
      break;
    case 'punch':
      disk.punch(event.start, event.end);
      break;
    case 'sync':
      break;
  }
}

function applyInPart(
  disk: MemoryDisk,
  event: StorageEvent,
  tearing: 'none' | 'sector' | 'byte',
  random: SeededRandom,
): void {
  const lot = random.below(3);
  if (lot === 0) return;
  if (lot === 1 || event.kind !== 'write' || tearing === 'none') {
    apply(disk, event);
    return;
  }
  const end = event.start + event.bytes.length;
  // File systems may make the new length durable before the bytes, which read as zeros then.
  if (random.below(4) === 0 && disk.sizeBytes < end) disk.truncate(end);
  if (tearing === 'byte') {
    const from = random.below(2) === 0 ? 0 : random.below(event.bytes.length);
    const to = from + random.below(event.bytes.length - from + 1);
    disk.write(event.bytes.subarray(from, to), event.start + from);
    return;
  }
  for (let start = event.start; start < end; ) {
    const sectorEnd = Math.min(end, start - (start % SECTOR_BYTES) + SECTOR_BYTES);
    if (random.below(2) === 0) disk.write(event.bytes.subarray(start - event.start, sectorEnd - event.start), start);
    start = sectorEnd;
  }
}
