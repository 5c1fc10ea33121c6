import { corrupt, VsimgError } from '../errors.ts';
import { ByteReader, ByteWriter } from '../format/cursor.ts';
import { type Header, MAX_RESERVE_RANGES } from '../format/header.ts';
import { MAX_CONTAINER_BYTES, RECORDS_OFFSET, SPACE_PAGE_BYTES } from '../format/layout.ts';
import { NO_RECORDS, NUMBER_KEY_BYTES, numberInKey, numberKey, type Records } from '../format/record-page.ts';
import { recordLayout, spaceLayout } from '../map/layouts.ts';
import { isLeaf, type TreeNode } from '../map/node.ts';
import type { PageStore } from '../map/pages.ts';
import { floorRecord, putRecord, type RecordTree, records, recordsBackward, removeRecord } from '../map/records.ts';
import { PersistentTree } from '../map/tree.ts';
import { type HostRange, joinRanges, totalOf } from './host-range.ts';
import { type BornRange, type GenerationRange, PendingSpace } from './pending.ts';

/** What the header keeps of the space. */
export type SpaceState = Header['space'];

/** From this length on, a record counts as data, and a free run may hold some. */
export const DATA_BYTES = 2048;
/** Data fits a free run that is at most so many times as long. */
const FIT_FACTOR = 1.02;
/** Free runs from this length on are broken up for records that last, of any length. */
const LASTING_RUN_BYTES = 32 * 1024;
const PASSING_RUN_BYTES = 12 * 1024;
const EMPTY: HostRange = { start: 0, end: 0 };
const NO_VALUE = new Uint8Array(0);
const RESERVE_BYTES = 24 * 1024;
const LOW_RESERVE_BYTES = 10 * 1024;
const MOST_RESERVE_BYTES = 64 * 1024;

/**
 * Gives out and takes back the bytes of the container behind the slots.
 *
 * Space given back in generation g is pending: generation g - 1 still needs it, and a cut before the next
 * sync may bring that back. It is free for the transaction that publishes g + 2, when no reader is left of a
 * generation that had it; what was allocated in the same transaction is free at once. The pages of the three
 * trees kept here go to the reserve or to the end of the file, never to space taken out of the trees, so that
 * writing them does not change them.
 */
export class Space {
  readonly free: RecordTree;
  /** The ranges of `free` that are long enough for data, by length: keys only. */
  readonly bySize: RecordTree;
  private readonly pendingSpace: PendingSpace;
  private readonly windows: { lasting: HostRange; passing: HostRange } = { lasting: EMPTY, passing: EMPTY };
  private reserve: HostRange[];
  private endOffset: number;
  private freeTotal: number;
  private released: BornRange[] = [];
  private isOrderKept = false;

  constructor(pages: PageStore, state: SpaceState) {
    this.free = new PersistentTree(spaceLayout, pages, state.free);
    this.bySize = new PersistentTree(recordLayout('free space by length'), pages, state.bySize);
    this.pendingSpace = new PendingSpace(pages, state.pending, state.pendingBytes);
    this.reserve = [...state.reserve];
    this.endOffset = state.end;
    this.freeTotal = state.freeBytes;
  }

  /** Everything behind it belongs to nobody. */
  get end(): number {
    return this.endOffset;
  }

  get freeBytes(): number {
    const { lasting, passing } = this.windows;
    return this.freeTotal + totalOf([lasting, passing]);
  }

  /** Bytes before `end` that the state as it is now, published or not, has no use for: free, pending or set aside. */
  get unusedBytes(): number {
    return this.freeBytes + this.pendingBytes + totalOf(this.reserve) + totalOf(this.released);
  }

  get pending(): RecordTree {
    return this.pendingSpace.tree;
  }

  get pendingBytes(): number {
    return this.pendingSpace.totalBytes;
  }

  /** Starts a transaction: what no generation in `held` (ascending and apart) needs becomes free. */
  begin(held: readonly GenerationRange[]): void {
    for (const range of joinRanges(this.pendingSpace.takeFree(held))) this.addFree(range);
    const reservedBytes = totalOf(this.reserve);
    if (reservedBytes < LOW_RESERVE_BYTES || reservedBytes > MOST_RESERVE_BYTES) {
      this.emptyReserve();
      this.lowerEnd();
      this.fillReserve();
    } else {
      this.lowerEnd();
    }
  }

  /** Makes the reserve ordinary free space. */
  emptyReserve(): void {
    for (const range of this.reserve) this.addFree(range);
    this.reserve = [];
  }

  /** `lengthBytes`: what the pages of the trees will take, where more of them than usual are written anew. */
  fillReserve(lengthBytes = 0): void {
    const run = lengthBytes > RESERVE_BYTES ? this.firstFit(lengthBytes) : undefined;
    if (run !== undefined) this.reserve.push(this.take(run, lengthBytes));
    while (this.reserve.length < MAX_RESERVE_RANGES && totalOf(this.reserve) < RESERVE_BYTES) {
      const run = this.passingRun(SPACE_PAGE_BYTES);
      if (run === undefined) return;
      this.reserve.push(this.take(run, Math.min(run.end - run.start, RESERVE_BYTES)));
    }
  }

  /** Free space that touches the end of the file is no longer part of it. */
  private lowerEnd(): void {
    for (const { key, value } of recordsBackward(this.free)) {
      const start = numberInKey(key);
      const length = lengthOf(value);
      if (start + length !== this.endOffset) return;
      this.checked(start, length);
      removeRecord(this.free, key);
      this.unlist(start, length);
      this.freeTotal -= length;
      this.endOffset = start;
      return;
    }
  }

  /**
   * A place for a record of `lengthBytes`. Records that last (data, tables, map pages) and records that the
   * next publications replace (pages of the header's trees) keep apart, or every passing one would leave a
   * small hole beside one that stays. Small records go one behind the other into windows, so that what was
   * written together and is given back together becomes one free run again; data takes a run of about its
   * own size, as data like it left behind, or a part of a long one.
   */
  allocate(lengthBytes: number, life: 'lasting' | 'passing'): number {
    if (this.isOrderKept && life === 'lasting') return this.extend(lengthBytes);
    if (lengthBytes >= DATA_BYTES) return this.allocateInside(lengthBytes) ?? this.extend(lengthBytes);
    const window = this.windows[life];
    if (lengthBytes > window.end - window.start) {
      const run = life === 'lasting' ? this.bestFit(LASTING_RUN_BYTES) : this.passingRun(lengthBytes);
      if (run === undefined) return this.extend(lengthBytes);
      const next = this.take(
        run,
        Math.min(run.end - run.start, life === 'lasting' ? LASTING_RUN_BYTES : RESERVE_BYTES),
      );
      this.addFree(window);
      this.windows[life] = next;
    }
    const { start, end } = this.windows[life];
    this.windows[life] = { start: start + lengthBytes, end };
    return start;
  }

  /** A place for data that does not make the file longer, or undefined: a run of about its own length, or a part of a long one. */
  allocateInside(lengthBytes: number): number | undefined {
    const near = this.bestFit(lengthBytes);
    const run =
      near !== undefined && near.end - near.start <= lengthBytes * FIT_FACTOR
        ? near
        : this.bestFit(Math.max(lengthBytes, LASTING_RUN_BYTES));
    return run === undefined ? undefined : this.take(run, lengthBytes).start;
  }

  /** A free run for pages that pass: one for many of them if there is one, so that few records of free space change. */
  private passingRun(lengthBytes: number): HostRange | undefined {
    return (
      this.firstFit(Math.max(lengthBytes, PASSING_RUN_BYTES)) ??
      this.firstFit(Math.max(lengthBytes, PASSING_RUN_BYTES / 4)) ??
      this.firstFit(lengthBytes)
    );
  }

  /** For the rest of this transaction, records that last go to the end of the file, in the order in which they come. */
  keepOrder(): void {
    this.isOrderKept = true;
  }

  /** True if any of `range` is free. */
  isFreeWithin(range: HostRange): boolean {
    for (const { key } of records(this.free, numberKey(range.start))) return numberInKey(key) < range.end;
    return false;
  }

  /** Takes back what was allocated in this transaction and never written. */
  giveBack(place: number, lengthBytes: number): void {
    this.addFree({ start: place, end: place + lengthBytes });
  }

  /** The lowest place in `range`, or undefined; none either where more than `skippedBytes` would stay free before it. */
  allocateWithin(
    lengthBytes: number,
    range: HostRange,
    { skippedBytes = Number.POSITIVE_INFINITY }: { readonly skippedBytes?: number } = {},
  ): number | undefined {
    let skipped = 0;
    for (const { key, value } of records(this.free, numberKey(range.start))) {
      const run = this.checked(numberInKey(key), lengthOf(value));
      if (run.start + lengthBytes > range.end || skipped > skippedBytes) return undefined;
      if (run.end - run.start >= lengthBytes) return this.take(run, lengthBytes).start;
      skipped += run.end - run.start;
    }
    return undefined;
  }

  /** A place below `limit`, or undefined when no free run there is long enough. */
  allocateBelow(lengthBytes: number, limit: number): number | undefined {
    const run = this.firstFit(lengthBytes);
    if (run === undefined || run.start + lengthBytes > limit) return undefined;
    return this.take(run, lengthBytes).start;
  }

  private extend(lengthBytes: number): number {
    const start = this.endOffset;
    this.endOffset += lengthBytes;
    if (this.endOffset > MAX_CONTAINER_BYTES)
      throw new VsimgError('no-space', 'the image would be larger than 2 PiB', {
        hint: 'run gc, or start a new image',
      });
    return start;
  }

  /** Takes back what was allocated since `begin` and is not used after all: nothing published can refer to it. */
  takeBack(place: number, lengthBytes: number): void {
    this.addFree({ start: place, end: place + lengthBytes });
    this.lowerEnd();
  }

  /**
   * `[place, place + lengthBytes)` is not needed by what is being published. What it holds was written for generation
   * `birth`, or later: a birth that is too small only keeps it longer, one that is too great takes it from a reader.
   */
  release(place: number, lengthBytes: number, birth: number): void {
    if (lengthBytes > 0) this.released.push({ start: place, end: place + lengthBytes, birth });
  }

  /** Ends the transaction that publishes `generation`: returns what the header has to say. */
  finish(generation: number, write: (bytes: Uint8Array, place: number) => void): SpaceState {
    this.isOrderKept = false;
    for (const life of ['lasting', 'passing'] as const) {
      this.addFree(this.windows[life]);
      this.windows[life] = EMPTY;
    }
    // The changed pages of the trees give up their old places, which changes the pending tree again;
    // a page is only given up once, so this ends.
    for (;;) {
      const given = [...this.free.takeReleased(), ...this.bySize.takeReleased(), ...this.pending.takeReleased()];
      for (const { ref, birth } of given) this.release(ref.place, ref.lengthBytes, birth);
      if (this.released.length === 0) break;
      this.pendingSpace.add(this.released, generation);
      this.released = [];
    }
    const sink = {
      generation,
      writePage: (bytes: Uint8Array): number => {
        const place = this.placeInReserve(bytes.length);
        write(bytes, place);
        return place;
      },
      releasePage: (): void => {
        throw corrupt('space trees changed while they were written');
      },
    };
    const free = this.free.flush(sink);
    const bySize = this.bySize.flush(sink);
    const pending = this.pending.flush(sink);
    return {
      free,
      bySize,
      pending,
      reserve: this.reserve,
      end: this.endOffset,
      freeBytes: this.freeTotal,
      pendingBytes: this.pendingBytes,
    };
  }

  private placeInReserve(lengthBytes: number): number {
    const index = this.reserve.findIndex(({ start, end }) => end - start >= lengthBytes);
    const range = this.reserve[index];
    if (range === undefined) return this.extend(lengthBytes);
    if (range.start + lengthBytes === range.end) this.reserve.splice(index, 1);
    else this.reserve[index] = { start: range.start + lengthBytes, end: range.end };
    return range.start;
  }

  private addFree(range: HostRange): void {
    if (range.start >= range.end) return;
    let { start, end } = range;
    this.freeTotal += end - start;
    const before = floorRecord(this.free, numberKey(start));
    if (before !== undefined) {
      const place = numberInKey(before.key);
      const beforeEnd = place + lengthOf(before.value);
      if (beforeEnd > start) throw corrupt(`free space at ${place} overlaps what is given back at ${start}`, place);
      if (beforeEnd === start) {
        this.unlist(place, start - place);
        start = place;
      }
    }
    const after = floorRecord(this.free, numberKey(end));
    let to = numberKey(end);
    if (after !== undefined && after.key === to) {
      const length = lengthOf(after.value);
      this.unlist(end, length);
      end += length;
      to = `${to}\0`;
    }
    this.free.replaceRange(numberKey(start), to, { keys: [numberKey(start)], values: [encodeLength(end - start)] });
    this.list(start, end - start);
  }

  private list(start: number, length: number): void {
    if (length >= DATA_BYTES) putRecord(this.bySize, numberKey(length, start), NO_VALUE);
  }

  private unlist(start: number, length: number): void {
    if (length >= DATA_BYTES) removeRecord(this.bySize, numberKey(length, start));
  }

  /** Takes the first `lengthBytes` of a free run. */
  private take(run: HostRange, lengthBytes: number): HostRange {
    const end = run.start + lengthBytes;
    const rest: Records =
      end < run.end ? { keys: [numberKey(end)], values: [encodeLength(run.end - end)] } : NO_RECORDS;
    this.free.replaceRange(numberKey(run.start), numberKey(run.end), rest);
    this.unlist(run.start, run.end - run.start);
    if (end < run.end) this.list(end, run.end - end);
    this.freeTotal -= lengthBytes;
    return { start: run.start, end };
  }

  /** The shortest free run of at least `lengthBytes`, which must be the length of data. */
  private bestFit(lengthBytes: number): HostRange | undefined {
    for (const { key } of records(this.bySize, numberKey(lengthBytes))) {
      return this.checked(numberInKey(key, NUMBER_KEY_BYTES), numberInKey(key));
    }
    return undefined;
  }

  private checked(start: number, length: number): HostRange {
    // Written so that it also refuses what is no number, as a key of the wrong length gives.
    const isInside = start >= RECORDS_OFFSET && length > 0 && start + length <= this.endOffset;
    if (!isInside) throw corrupt(`free space at ${start} lies outside the container's records`);
    return { start, end: start + length };
  }

  /** The lowest free run of at least `lengthBytes`. */
  private firstFit(lengthBytes: number): HostRange | undefined {
    let node = this.free.topNode();
    let upper: string | undefined;
    if (node === null) return undefined;
    while (!isLeaf<string, Records>(node)) {
      const index: number = node.sums.findIndex((longest) => longest >= lengthBytes);
      if (index < 0) return undefined;
      const limit: string | undefined = node.keys[index + 1] ?? upper;
      const child: TreeNode<string, Records> = this.free.childNode(node, index, upper);
      node = child;
      upper = limit;
    }
    const { keys, values } = node.leaf;
    for (let index = 0; index < keys.length; index++) {
      const length = lengthOf(values[index] as Uint8Array);
      if (length < lengthBytes) continue;
      return this.checked(numberInKey(keys[index] as string), length);
    }
    return undefined;
  }
}

/** Bytes that are free, pending or set aside. */
export function unusedSpace(state: SpaceState): number {
  return state.freeBytes + state.pendingBytes + totalOf(state.reserve);
}

/** The range that a record of free space lists. */
export function freeRange(key: string, value: Uint8Array): HostRange {
  const start = numberInKey(key);
  return { start, end: start + lengthOf(value) };
}

function lengthOf(value: Uint8Array): number {
  return new ByteReader(value, 'free space').varint();
}

function encodeLength(length: number): Uint8Array {
  const writer = new ByteWriter(9);
  writer.varint(length);
  return writer.finish();
}
