import type { Loose, Num } from './loose-writer.ts';

/** A container taken apart into what a fuzzer may change; `compile` puts it together again, with right checksums. */
export interface Model {
  readonly name: string;
  /** What it was taken from: records that are not changed stay where they were. */
  readonly base: Uint8Array;
  readonly blockBytes: number;
  readonly slot: {
    generation: Num;
    /** Length of the header, if it is to be a lie. */
    length: Num | undefined;
    /** What slot B holds: the same, zeros, or the header under this generation. */
    second: 'same' | 'zeros' | Num;
  };
  /** Pairs of the header's document; a value may be a `Root`, in maps below it too. */
  readonly header: Field[];
  readonly pages: Page[];
  readonly tables: Table[];
  readonly chunks: StoredChunk[];
  /** Bytes to add behind the end, or to cut off if negative. */
  growth: number;
}

export interface Field {
  key: Loose;
  value: FieldValue;
}

export type FieldValue = Loose | Root | Fields;

export interface Fields {
  readonly fields: Field[];
}

/** Where a record lies now, and where it came from. */
export interface Placed {
  at: number;
  size: number;
  readonly home: { readonly at: number; readonly size: number };
  /** Bytes that stand there instead of the record's own. */
  raw: Uint8Array | undefined;
  /** Number of the compilation that placed it last. */
  stamp: number;
}

/** A pointer, with lies told about its target. */
export interface Ref<T extends Placed> {
  target: T;
  place: Num | undefined;
  length: Num | undefined;
  sum: number | undefined;
}

export interface Root extends Ref<Page> {
  readonly isRoot: true;
  inline: boolean;
}

export interface Page extends Placed {
  kind: Num;
  level: Num;
  birth: Num;
  /** Number of entries, if it is to be a lie. */
  count: Num | undefined;
  /** What keys are written as. */
  readonly keyed: 'blocks' | 'strings';
  readonly hasSums: boolean;
  entries: Entry[];
}

export type Entry = ExtentEntry | InnerEntry | RecordEntry;

export interface ExtentEntry {
  readonly type: 'extent';
  gap: Num;
  length: Num;
  kind: Num;
  /** Log block less the end of the log run before. */
  log: Num;
}

export interface InnerEntry {
  readonly type: 'inner';
  /** A guest block, or a string of bytes. */
  key: Num | string;
  ref: Ref<Page>;
  sum: Num | undefined;
}

export interface RecordEntry {
  readonly type: 'record';
  key: string;
  value: RecordValue;
}

export type RecordValue = { bytes: Uint8Array } | { numbers: Num[] } | Fields | Segment;

export interface Segment {
  blocks: Num;
  table: Ref<Table>;
  dead: Num;
}

export interface Table extends Placed {
  first: Num;
  blocks: Num;
  born: Num;
  birth: Num;
  runCount: Num | undefined;
  runs: { start: Num; length: Num }[];
  chunks: (ChunkModel | undefined)[];
}

export interface ChunkModel {
  stored: Num;
  codec: Num;
  present: Uint8Array | undefined;
  hash: Uint8Array;
  ref: Ref<StoredChunk>;
  /** undefined: the right ones. */
  sums: number[] | undefined;
  sumCount: number;
}

export interface StoredChunk extends Placed {
  bytes: Uint8Array;
}

export function isRoot(value: FieldValue): value is Root {
  return typeof value === 'object' && value !== null && 'isRoot' in value;
}

export function isFields(value: FieldValue | RecordValue): value is Fields {
  return typeof value === 'object' && value !== null && 'fields' in value;
}
