import { NO_RECORDS, type Records } from '../format/record-page.ts';
import type { PersistentTree } from './tree.ts';

export type RecordTree = PersistentTree<string, Records>;

export interface RecordEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

export function getRecord(tree: RecordTree, key: string): Uint8Array | undefined {
  const entry = floorRecord(tree, key);
  return entry?.key === key ? entry.value : undefined;
}

/** The record with the greatest key not above `key`. */
export function floorRecord(tree: RecordTree, key: string): RecordEntry | undefined {
  const position = tree.floor(key);
  return position === undefined ? undefined : recordAt(position.leaf, position.index);
}

export function putRecord(tree: RecordTree, key: string, value: Uint8Array): void {
  tree.replaceRange(key, `${key}\0`, { keys: [key], values: [value] });
}

export function removeRecord(tree: RecordTree, key: string): void {
  tree.replaceRange(key, `${key}\0`, NO_RECORDS);
}

/** Records with `from <= key < to`, ascending; the tree must not change meanwhile. */
export function* records(tree: RecordTree, from?: string, to?: string): Generator<RecordEntry> {
  for (const { leaf, index } of tree.leaves(from)) {
    for (let at = index; at < leaf.keys.length; at++) {
      const entry = recordAt(leaf, at);
      if (to !== undefined && entry.key >= to) return;
      yield entry;
    }
  }
}

/** Records from the greatest key not above `from` down. */
export function* recordsBackward(tree: RecordTree, from?: string): Generator<RecordEntry> {
  for (const { leaf, index } of tree.leavesBackward(from)) {
    for (let at = index; at >= 0; at--) yield recordAt(leaf, at);
  }
}

function recordAt(leaf: Records, index: number): RecordEntry {
  return { key: leaf.keys[index] as string, value: leaf.values[index] as Uint8Array };
}
