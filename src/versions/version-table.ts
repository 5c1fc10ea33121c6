import { corrupt } from '../errors.ts';
import type { TreeName } from '../format/header.ts';
import { NUMBER_KEY_BYTES, numberInKey, numberKey } from '../format/record-page.ts';
import { decodeVersion, encodeVersion, type VersionRecord } from '../format/version-record.ts';
import { getRecord, putRecord, type RecordTree, records, recordsBackward, removeRecord } from '../map/records.ts';

export type VersionTrees = { readonly [name in TreeName]: RecordTree };

export interface NumberedVersion extends VersionRecord {
  readonly number: number;
}

const NOTHING = new Uint8Array(0);

/** All versions: by number, by id, and by parent. */
export class VersionTable {
  private readonly trees: VersionTrees;
  private nextNumber: number;
  private total: number;
  private editCount = 0;

  constructor(trees: VersionTrees, state: { readonly next: number; readonly count: number }) {
    this.trees = trees;
    this.nextNumber = state.next;
    this.total = state.count;
  }

  /** Number the next version gets. */
  get next(): number {
    return this.nextNumber;
  }

  get count(): number {
    return this.total;
  }

  get(number: number): NumberedVersion | undefined {
    const value = getRecord(this.trees.versions, numberKey(number));
    return value === undefined ? undefined : { number, ...decodeVersion(value, number) };
  }

  /** How often records changed since the table was opened: whoever keeps one looks again when it did. */
  get edits(): number {
    return this.editCount;
  }

  /** As `get`, for a number that the container itself names. */
  need(number: number): NumberedVersion {
    const version = this.get(number);
    if (version === undefined) throw corrupt(`version ${number} is referred to but not in the version table`);
    return version;
  }

  /** Adds a version under the next number. */
  add(record: VersionRecord): NumberedVersion {
    const number = this.nextNumber++;
    this.total++;
    this.put(number, record);
    if (record.parent !== null) putRecord(this.trees.children, numberKey(record.parent, number), NOTHING);
    return { number, ...record };
  }

  /** Writes the record of a version again, for a map that moved or a parent that is gone. */
  put(number: number, record: VersionRecord): void {
    this.editCount++;
    putRecord(this.trees.versions, numberKey(number), encodeVersion(record));
  }

  /** Removes a version; its children become children of its parent. */
  remove(version: NumberedVersion): void {
    this.editCount++;
    const { trees } = this;
    for (const child of this.childrenOf(version.number)) {
      this.put(child, { ...this.need(child), parent: version.parent });
      removeRecord(trees.children, numberKey(version.number, child));
      if (version.parent !== null) putRecord(trees.children, numberKey(version.parent, child), NOTHING);
    }
    if (version.parent !== null) removeRecord(trees.children, numberKey(version.parent, version.number));
    removeRecord(trees.versions, numberKey(version.number));
    this.total--;
  }

  childrenOf(number: number): number[] {
    const children: number[] = [];
    for (const { key } of records(this.trees.children, numberKey(number), numberKey(number + 1)))
      children.push(numberInKey(key, NUMBER_KEY_BYTES));
    return children;
  }

  /** The next version in time order, or undefined. */
  after(number: number): number | undefined {
    for (const { key } of records(this.trees.versions, numberKey(number + 1))) return numberInKey(key);
    return undefined;
  }

  /** From version `from` (or the newest) down. */
  *newestFirst(from?: number): Generator<NumberedVersion> {
    for (const { key, value } of recordsBackward(
      this.trees.versions,
      from === undefined ? undefined : numberKey(from),
    )) {
      const number = numberInKey(key);
      yield { number, ...decodeVersion(value, number) };
    }
  }

  *oldestFirst(): Generator<NumberedVersion> {
    for (const { key, value } of records(this.trees.versions)) {
      const number = numberInKey(key);
      yield { number, ...decodeVersion(value, number) };
    }
  }

  /**
   * Versions whose id starts with these hex digits, at most `limit`. Goes through the whole table: an index by
   * id would make every commit change pages all over the file, for a look-up that only people ask for.
   */
  withIdPrefix(digits: string, limit: number): number[] {
    const numbers: number[] = [];
    for (const { number, id } of this.oldestFirst()) {
      if (!hex(id).startsWith(digits)) continue;
      numbers.push(number);
      if (numbers.length === limit) break;
    }
    return numbers;
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
