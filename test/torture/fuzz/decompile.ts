import { decodeChunkTable, decodeSegmentEntry, presentCount } from '../../../src/format/chunk-table.ts';
import { ByteReader } from '../../../src/format/cursor.ts';
import { blockKeys } from '../../../src/format/extent-page.ts';
import { SLOT_BYTES } from '../../../src/format/layout.ts';
import { type Document, decodeDocument } from '../../../src/format/msgpack.ts';
import { PAGE_KIND, type PageRef, readInner, readPageHead, rootFromValue } from '../../../src/format/page.ts';
import { readRecords, stringKeys } from '../../../src/format/record-page.ts';
import { readSlot } from '../../../src/format/slot.ts';
import type { Loose } from './loose-writer.ts';
import type {
  Entry,
  Field,
  FieldValue,
  Model,
  Page,
  Placed,
  RecordValue,
  Ref,
  Root,
  Segment,
  StoredChunk,
  Table,
} from './model.ts';

const MAPS = new Set(['map', 'r']);
const TREES = new Set(['versions', 'children', 'refs', 'marks', 'log', 'free', 'by-size', 'pending']);

/** Takes a container without damage apart. */
export function decompile(name: string, bytes: Uint8Array): Model {
  return new Decompiler(name, bytes).model;
}

class Decompiler {
  readonly model: Model;
  private readonly bytes: Uint8Array;
  private readonly seen = new Map<number, Placed>();

  constructor(name: string, bytes: Uint8Array) {
    this.bytes = bytes;
    const slot = readSlot(bytes.subarray(0, SLOT_BYTES));
    if (slot === undefined) throw new Error(`${name} has no header`);
    const document = decodeDocument(slot.headerBytes, name);
    this.model = {
      name,
      base: bytes,
      blockBytes: document['block-size'] as number,
      slot: { generation: slot.generation, length: undefined, second: 'same' },
      header: [],
      pages: [],
      tables: [],
      chunks: [],
      growth: 0,
    };
    this.model.header.push(...this.fields(document));
  }

  private fields(document: Document): Field[] {
    return Object.entries(document).map(([key, value]) => ({ key, value: this.fieldValue(key, value) }));
  }

  private fieldValue(key: string, value: unknown): FieldValue {
    if (value !== null && (TREES.has(key) || MAPS.has(key)) && (Array.isArray(value) || value instanceof Uint8Array))
      return this.root(key, value);
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array))
      return { fields: this.fields(value as Document) };
    return value as Loose;
  }

  private root(tree: string, value: unknown): Root {
    const root = rootFromValue(value, tree);
    if (root === null) throw new Error('a root that is there is none');
    const inline = root instanceof Uint8Array;
    const target = inline ? this.decodePage(tree, root, { at: -1, size: 0 }) : this.page(tree, root);
    return { isRoot: true, inline, target, place: undefined, length: undefined, sum: undefined };
  }

  private page(tree: string, ref: PageRef): Page {
    const known = this.seen.get(ref.place);
    if (known !== undefined) return known as Page;
    const bytes = this.bytes.subarray(ref.place, ref.place + ref.lengthBytes);
    return this.decodePage(tree, bytes, { at: ref.place, size: ref.lengthBytes });
  }

  private decodePage(tree: string, bytes: Uint8Array, place: { readonly at: number; readonly size: number }): Page {
    const reader = new ByteReader(bytes, tree);
    const { kind, level, birth, count } = readPageHead(reader);
    const isMap = kind === PAGE_KIND.extents;
    const page: Page = {
      ...place,
      home: place,
      raw: undefined,
      stamp: 0,
      kind,
      level,
      birth,
      count: undefined,
      keyed: isMap ? 'blocks' : 'strings',
      hasSums: kind === PAGE_KIND.space,
      entries: [],
    };
    if (place.at >= 0) this.seen.set(place.at, page);
    if (level > 0) page.entries = this.innerEntries(tree, reader, page, count);
    else if (isMap) page.entries = Array.from({ length: count }, () => extentEntry(reader));
    else {
      const { keys, values } = readRecords(reader, count);
      page.entries = keys.map((key, index) => ({
        type: 'record',
        key,
        value: this.recordValue(tree, values[index] as Uint8Array),
      }));
    }
    this.model.pages.push(page);
    return page;
  }

  private innerEntries(tree: string, reader: ByteReader, page: Page, count: number): Entry[] {
    const options = { sums: page.hasSums };
    const { keys, refs, sums } =
      page.keyed === 'blocks'
        ? readInner(reader, blockKeys, count, options)
        : readInner(reader, stringKeys, count, options);
    return refs.map((ref, index) => ({
      type: 'inner',
      key: keys[index] as number | string,
      ref: pointer(this.page(tree, ref)),
      sum: sums[index],
    }));
  }

  private recordValue(tree: string, bytes: Uint8Array): RecordValue {
    if (tree === 'versions') return { fields: this.fields(decodeDocument(bytes, tree)) };
    if (tree === 'log') return this.segment(bytes);
    if (tree === 'free' || tree === 'pending') return { numbers: varints(bytes, tree) };
    return { bytes: bytes.slice() };
  }

  private segment(bytes: Uint8Array): Segment {
    const entry = decodeSegmentEntry(bytes);
    const stored = this.bytes.subarray(entry.place, entry.place + entry.lengthBytes);
    const { firstLog, blockCount, bornVersion, birth, runs, chunks } = decodeChunkTable(
      stored,
      this.model.blockBytes,
      'table',
    );
    let guestEnd = 0;
    const table: Table = {
      at: entry.place,
      size: entry.lengthBytes,
      home: { at: entry.place, size: entry.lengthBytes },
      raw: undefined,
      stamp: 0,
      first: firstLog,
      blocks: blockCount,
      born: bornVersion,
      birth,
      runCount: undefined,
      runs: [...runs].map(({ start, length }) => {
        const difference = start - guestEnd;
        guestEnd = start + length;
        return { start: difference, length };
      }),
      chunks: chunks.map((chunk) =>
        chunk === undefined
          ? undefined
          : {
              stored: chunk.storedBytes,
              codec: chunk.codec,
              present: chunk.present?.slice(),
              hash: chunk.hash.slice(),
              ref: pointer(this.chunk(chunk.place, chunk.storedBytes)),
              sums: undefined,
              sumCount: chunk.codec === 0 ? presentCount(chunk) : 1,
            },
      ),
    };
    this.model.tables.push(table);
    return { blocks: entry.blockCount, table: pointer(table), dead: entry.deadBlocks };
  }

  private chunk(at: number, size: number): StoredChunk {
    const chunk: StoredChunk = {
      at,
      size,
      home: { at, size },
      raw: undefined,
      stamp: 0,
      bytes: this.bytes.slice(at, at + size),
    };
    this.model.chunks.push(chunk);
    return chunk;
  }
}

function pointer<T extends Placed>(target: T): Ref<T> {
  return { target, place: undefined, length: undefined, sum: undefined };
}

function varints(bytes: Uint8Array, what: string): number[] {
  const reader = new ByteReader(bytes, what);
  const numbers: number[] = [];
  while (reader.remaining > 0) numbers.push(reader.varint());
  return numbers;
}

function extentEntry(reader: ByteReader): Entry {
  const word = reader.varint();
  const lengthWord = word % 2 === 1 ? reader.varint() : 2;
  const kind = lengthWord % 2 === 1 ? reader.varint() : 0;
  const log = word % 4 >= 2 ? reader.signed() : 0;
  return { type: 'extent', gap: Math.floor(word / 4), length: Math.floor(lengthWord / 2), kind, log };
}
