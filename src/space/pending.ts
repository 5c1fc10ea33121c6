import { ByteReader, ByteWriter } from '../format/cursor.ts';
import type { TreeRoot } from '../format/page.ts';
import { NO_RECORDS, NUMBER_KEY_BYTES, numberInKey, numberKey } from '../format/record-page.ts';
import { recordLayout } from '../map/layouts.ts';
import type { PageStore } from '../map/pages.ts';
import { putRecord, type RecordEntry, type RecordTree, records } from '../map/records.ts';
import { PersistentTree } from '../map/tree.ts';
import { type HostRange, joinRanges, totalOf } from './host-range.ts';

/** Generations `first` to `last`, both included. */
export interface GenerationRange {
  readonly first: number;
  readonly last: number;
}

/** A range and the generation that wrote it, or an earlier one: older states have nothing there. */
export interface BornRange extends HostRange {
  readonly birth: number;
}

/** Space that states from `birth` on and before `givenUp` refer to, and no others. */
export interface PendingRange extends BornRange {
  /** The first generation that was published without it. */
  readonly givenUp: number;
}

/** Birth of a range of which it is not known: every older state may need it. */
export const UNKNOWN_BIRTH = 0;

/** Bounds the memory of one transaction; what is left over is looked at in the next one. */
const MAX_EXAMINED = 100_000;

/** So many records that belong together, up to the greatest number, are entered at once. */
const MANY = 100;
const MAX_ENTERED = 10_000;

/**
 * Space that the newest state does not need, but an older one that somebody may still read: one of the two slots
 * after a cut, or a reader.
 *
 * Every range waits for one generation in which it was alive, and is looked at again when nobody holds that one
 * any more: then it is free, or waits for another. At first that is the last generation that had it, which the
 * slots hold, then the oldest one that a reader holds. So what a long reader pins is not looked at while that
 * reader lives, and what was written after it began, or given up before, does not wait for it.
 */
export class PendingSpace {
  readonly tree: RecordTree;
  private total: number;
  /** Generations that may still be read, as far as this transaction knows: no others can come to be, but new ones. */
  private held: readonly GenerationRange[] = [];

  constructor(pages: PageStore, root: TreeRoot, totalBytes: number) {
    this.tree = new PersistentTree(recordLayout('pending space'), pages, root);
    this.total = totalBytes;
  }

  get totalBytes(): number {
    return this.total;
  }

  /** `generation` is published without these ranges, as the first. */
  add(ranges: readonly BornRange[], generation: number): void {
    const alike = ranges.map(({ start, end, birth }): PendingRange => {
      // What claims to be born later than now is not to be believed.
      const first = birth > generation ? UNKNOWN_BIRTH : firstAlike(birth, this.held);
      return { start, end, birth: first, givenUp: generation };
    });
    const joined = joinRanges(alike, ({ birth }) => birth);
    this.total += totalOf(joined);
    // What no generation ever had waits for none that may be held.
    this.put(joined, ({ birth }) => (birth === generation ? 0 : generation - 1));
  }

  /** Takes out what nobody needs when only the generations in `held` (ascending and apart) may still be read. */
  takeFree(held: readonly GenerationRange[]): HostRange[] {
    this.held = held;
    if (this.total === 0) return [];
    const free: HostRange[] = [];
    const pinned: PendingRange[] = [];
    let left = MAX_EXAMINED;
    let first = 0;
    for (const { first: end, last } of held) {
      const found = this.take(first, end, left);
      left -= found.length;
      first = last + 1;
      for (const { key, value } of found) {
        const range = pendingRange(key, value);
        if (oldestHolder(range, held) !== undefined) pinned.push(range);
        else free.push({ start: range.start, end: range.end });
      }
    }
    this.put(pinned, (range) => oldestHolder(range, held) as number);
    this.total -= totalOf(free);
    return free;
  }

  /** Removes at most `limit` records that wait for a generation of `[first, end)`. */
  private take(first: number, end: number, limit: number): RecordEntry[] {
    const found: RecordEntry[] = [];
    if (first >= end) return found;
    for (const record of records(this.tree, numberKey(first), numberKey(end))) {
      if (found.length === limit) break;
      found.push(record);
    }
    const last = found[found.length - 1];
    if (last !== undefined) this.tree.replaceRange(numberKey(first), `${last.key}\0`, NO_RECORDS);
    return found;
  }

  private put(ranges: readonly PendingRange[], waitsForOf: (range: PendingRange) => number): void {
    for (let at = 0; at < ranges.length; at += MAX_ENTERED) {
      const groups = new Map<string, Map<string, Uint8Array>>();
      for (const range of ranges.slice(at, at + MAX_ENTERED)) {
        const prefix = numberKey(waitsForOf(range), range.givenUp);
        const group = groups.get(prefix) ?? new Map<string, Uint8Array>();
        groups.set(prefix, group.set(prefix + numberKey(range.start), encodeRange(range)));
      }
      for (const group of groups.values()) {
        if (group.size < MANY) for (const [key, value] of group) putRecord(this.tree, key, value);
        else this.putMany(group);
      }
    }
  }

  /** Enters records that stand side by side with one change of the tree, with those that are between them already. */
  private putMany(group: Map<string, Uint8Array>): void {
    const keys = [...group.keys()].sort();
    const [first, end] = [keys[0] as string, `${keys[keys.length - 1]}\0`];
    const there = [...records(this.tree, first, end)];
    for (const { key, value } of there) group.set(key, value);
    const all = there.length === 0 ? keys : [...group.keys()].sort();
    this.tree.replaceRange(first, end, { keys: all, values: all.map((key) => group.get(key) as Uint8Array) });
  }
}

function encodeRange({ start, end, birth }: PendingRange): Uint8Array {
  const value = new ByteWriter(18);
  value.varint(end - start);
  value.varint(birth);
  return value.finish();
}

/** The earliest birth that is needed by the same generations in `held` as `birth` is: one for many, so that ranges can be joined. */
function firstAlike(birth: number, held: readonly GenerationRange[]): number {
  const before = held.findLast(({ first }) => first < birth);
  return before === undefined ? 0 : Math.min(birth, before.last + 1);
}

/** The oldest generation in `held` that needs the range, if one does. */
function oldestHolder({ birth, givenUp }: PendingRange, held: readonly GenerationRange[]): number | undefined {
  for (const { first, last } of held) {
    if (last < birth) continue;
    const holder = Math.max(first, birth);
    return holder < givenUp ? holder : undefined;
  }
  return undefined;
}

/** What a record of pending space says. Errors: 'corrupt'. */
export function pendingRange(key: string, value: Uint8Array): PendingRange {
  const reader = new ByteReader(value, 'pending space');
  const [lengthBytes, birth] = [reader.varint(), reader.varint()];
  reader.end();
  const [waitsFor, givenUp, start] = [0, 1, 2].map((index) => numberInKey(key, index * NUMBER_KEY_BYTES)) as [
    number,
    number,
    number,
  ];
  // Written so that it also refuses what is no number, as a key of the wrong length gives.
  const isSound = key.length === 3 * NUMBER_KEY_BYTES && waitsFor < givenUp && birth <= givenUp && lengthBytes > 0;
  if (!isSound) reader.fail('is malformed');
  return { start, end: start + lengthBytes, birth, givenUp };
}
