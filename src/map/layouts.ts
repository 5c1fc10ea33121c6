import { ByteReader } from '../format/cursor.ts';
import {
  blockKeys,
  type Extents,
  extentBytes,
  extentCount,
  extentEnd,
  extentStart,
  readExtents,
  sliceExtents,
  spliceExtents,
  writeExtents,
} from '../format/extent-page.ts';
import { EXTENT_PAGE_BYTES, RECORD_PAGE_BYTES, SPACE_PAGE_BYTES } from '../format/layout.ts';
import { PAGE_KIND } from '../format/page.ts';
import { NO_RECORDS, type Records, readRecords, recordBytes, stringKeys, writeRecords } from '../format/record-page.ts';
import type { TreeLayout } from './node.ts';

/** For the extents of a usual page; more of them get memory of their own. */
const ROOM_WORDS = 16 * 1024;

/** Guest block -> log run. */
export const extentLayout: TreeLayout<number, Extents> = {
  kind: PAGE_KIND.extents,
  name: 'interval map',
  pageBytes: EXTENT_PAGE_BYTES,
  keys: blockKeys,
  empty: new Uint32Array(0),
  count: extentCount,
  keyAt: extentStart,
  end: (leaf) => extentEnd(leaf, extentCount(leaf) - 1),
  entryBytes: extentBytes,
  memoryBytes: (leaf) => leaf.byteLength,
  slice: sliceExtents,
  splice: spliceExtents,
  write: writeExtents,
  read: readExtents,
  room: new Uint32Array(ROOM_WORDS),
};

/** A string, a view and what it is a view of, and their places in arrays: several times what a record takes in a page. */
const RECORD_MEMORY_BYTES = 320;

/** Byte-string keys and byte values. */
export function recordLayout(name: string): TreeLayout<string, Records> {
  return {
    kind: PAGE_KIND.records,
    name,
    pageBytes: RECORD_PAGE_BYTES,
    keys: stringKeys,
    empty: NO_RECORDS,
    count: (leaf) => leaf.keys.length,
    keyAt: (leaf, index) => leaf.keys[index] as string,
    entryBytes: recordBytes,
    memoryBytes: (leaf) => leaf.keys.length * RECORD_MEMORY_BYTES,
    slice: (leaf, from, to) => ({ keys: leaf.keys.slice(from, to), values: leaf.values.slice(from, to) }),
    splice: (leaf, from, to, inserted) => ({
      keys: [...leaf.keys.slice(0, from), ...inserted.keys, ...leaf.keys.slice(to)],
      values: [...leaf.values.slice(0, from), ...inserted.values, ...leaf.values.slice(to)],
    }),
    write: writeRecords,
    read: readRecords,
  };
}

/** Place -> length of free space; inner pages know the longest free run below them. */
export const spaceLayout: TreeLayout<string, Records> = {
  ...recordLayout('free space'),
  kind: PAGE_KIND.space,
  pageBytes: SPACE_PAGE_BYTES,
  sum: (leaf) => {
    let longest = 0;
    for (const value of leaf.values) longest = Math.max(longest, new ByteReader(value, 'free space').varint());
    return longest;
  },
};
