import { checksum } from '../../../src/format/checksum.ts';
import { MAGIC, RECORDS_OFFSET, SLOT_BYTES } from '../../../src/format/layout.ts';
import { type Loose, LooseWriter, type Num } from './loose-writer.ts';
import {
  type ChunkModel,
  type Entry,
  type Field,
  type Fields,
  type FieldValue,
  isFields,
  isRoot,
  type Model,
  type Page,
  type Placed,
  type RecordValue,
  type Ref,
  type Root,
  type StoredChunk,
  type Table,
} from './model.ts';

/** Containers do not become longer than this by what is added to them. */
const MAX_BYTES = 512 * 1024;

const MAX_SUMS = 1000;
const MAX_NESTED = 8;
const MAX_ENCODED = 2000;

let stamps = 0;

/** The bytes of a container, every checksum right unless the model says otherwise. */
export function compile(model: Model): Uint8Array {
  return new Compiler(model).run();
}

/** The bytes of one page, as they are compiled. */
export function encodePage(model: Model, page: Page): Uint8Array {
  return new Compiler(model).page(page);
}

export function encodeTable(model: Model, table: Table): Uint8Array {
  return new Compiler(model).table(table);
}

export function encodeHeaderOf(model: Model): Uint8Array {
  const compiler = new Compiler(model);
  return compiler.document(model.header);
}

class Compiler {
  private readonly model: Model;
  private readonly stamp = ++stamps;
  private depth = 0;
  private encoded = 0;
  private out: Uint8Array;
  private end: number;

  constructor(model: Model) {
    this.model = model;
    this.out = model.base.slice();
    this.end = model.base.length;
  }

  run(): Uint8Array {
    const { model } = this;
    const header = this.document(model.header);
    this.slot(header, model.slot.generation, 0);
    const { second, generation } = model.slot;
    if (second === 'zeros') this.out.fill(0, SLOT_BYTES, RECORDS_OFFSET);
    else this.slot(header, second === 'same' ? generation : second, SLOT_BYTES);
    const length = Math.max(0, this.end + model.growth);
    if (length <= this.end) return this.out.subarray(0, length);
    this.room(length - this.end);
    return this.out.subarray(0, length);
  }

  private slot(header: Uint8Array, generation: Num, offset: number): void {
    const slot = new Uint8Array(SLOT_BYTES);
    slot.set(MAGIC);
    const view = new DataView(slot.buffer);
    view.setBigUint64(8, BigInt.asUintN(64, BigInt(generation)), true);
    const fitting = header.subarray(0, SLOT_BYTES - 24);
    view.setUint32(16, Number(BigInt.asUintN(32, BigInt(this.model.slot.length ?? fitting.length))), true);
    slot.set(fitting, 24);
    const covered = Math.min(view.getUint32(16, true), SLOT_BYTES - 24);
    const bytes = new Uint8Array(20 + covered);
    bytes.set(slot.subarray(0, 20));
    bytes.set(slot.subarray(24, 24 + covered), 20);
    view.setUint32(20, checksum(bytes), true);
    this.out.set(slot, offset);
  }

  private room(count: number): void {
    if (this.end + count <= this.out.length) return;
    const grown = new Uint8Array(Math.max(this.end + count, this.out.length + 65_536));
    grown.set(this.out);
    this.out = grown;
  }

  /** Puts the bytes of a record where it was, if they fit there, and else behind everything. */
  private put(record: Placed, bytes: Uint8Array): void {
    const { home } = record;
    record.at = home.at;
    if (bytes.length > home.size || home.at < RECORDS_OFFSET || home.at + home.size > this.model.base.length) {
      if (this.end + bytes.length > MAX_BYTES) {
        record.at = RECORDS_OFFSET;
        return;
      }
      this.room(bytes.length);
      record.at = this.end;
      this.end += bytes.length;
    }
    record.size = bytes.length;
    this.out.set(bytes.subarray(0, this.out.length - record.at), record.at);
  }

  private place<T extends Placed>(record: T, encode: (record: T) => Uint8Array): void {
    if (record.stamp === this.stamp) return;
    record.stamp = this.stamp;
    this.put(record, record.raw ?? encode(record));
  }

  private readonly placePage = (page: Page): void => this.place(page, (it) => this.page(it));

  private sum(ref: Ref<Placed>): number {
    const { at, size } = ref.target;
    return ref.sum ?? checksum(this.out.subarray(at, at + size));
  }

  page(page: Page): Uint8Array {
    // Pages within pages may be many more than there are.
    if (++this.encoded > MAX_ENCODED) return new Uint8Array(1);
    for (const entry of page.entries) {
      if (entry.type === 'inner') this.placePage(entry.ref.target);
      if (entry.type === 'record') this.placeValue(entry.value);
    }
    const writer = new LooseWriter();
    writer.byte(Number(BigInt.asUintN(8, BigInt(page.kind))));
    writer.byte(Number(BigInt.asUintN(8, BigInt(page.level))));
    writer.varint(page.birth);
    writer.varint(page.count ?? page.entries.length);
    let before: Entry | undefined;
    let expected: Num = 0;
    for (const entry of page.entries) {
      if (entry.type === 'extent') writeExtent(writer, entry);
      else {
        writeKey(writer, entry.key, before === undefined || before.type === 'extent' ? undefined : before.key);
        if (entry.type === 'inner') {
          const { ref } = entry;
          const [place, length] = [ref.place ?? ref.target.at, ref.length ?? ref.target.size];
          writer.signed(less(place, expected));
          writer.varint(length);
          writer.uint32(this.sum(ref));
          if (entry.sum !== undefined) writer.varint(entry.sum);
          expected = plus(place, length);
        } else {
          const value = this.recordValue(entry.value);
          writer.varint(value.length);
          writer.raw(value);
        }
      }
      before = entry;
    }
    return writer.finish();
  }

  private placeValue(value: RecordValue): void {
    if ('table' in value) this.place(value.table.target, (it) => this.table(it));
  }

  private recordValue(value: RecordValue): Uint8Array {
    if ('bytes' in value) return value.bytes;
    if (isFields(value)) return this.document(value.fields);
    const writer = new LooseWriter();
    if ('numbers' in value) for (const number of value.numbers) writer.varint(number);
    else {
      writer.varint(value.blocks);
      writer.varint(value.table.place ?? value.table.target.at);
      writer.varint(value.table.length ?? value.table.target.size);
      writer.uint32(this.sum(value.table));
      writer.varint(value.dead);
    }
    return writer.finish();
  }

  table(table: Table): Uint8Array {
    for (const chunk of table.chunks) if (chunk !== undefined) this.place(chunk.ref.target, chunkBytes);
    const writer = new LooseWriter();
    writer.byte(0x54);
    const first = table.chunks.find((chunk) => chunk !== undefined);
    writer.uint64(first === undefined ? 0 : (first.ref.place ?? first.ref.target.at));
    writer.varint(table.first);
    writer.varint(table.blocks);
    writer.varint(table.born);
    writer.varint(table.birth);
    writer.varint(table.runCount ?? table.runs.length);
    for (const run of table.runs) {
      writer.signed(run.start);
      writer.varint(run.length);
    }
    let expected: Num = 0;
    for (const chunk of table.chunks) {
      if (chunk === undefined) {
        writer.varint(0);
        continue;
      }
      const place = chunk.ref.place ?? chunk.ref.target.at;
      writer.varint(plus(times(chunk.stored, 16), plus(chunk.codec, chunk.present === undefined ? 0 : 8)));
      if (chunk !== first) writer.signed(less(place, expected));
      expected = plus(place, chunk.stored);
      if (chunk.present !== undefined) writer.raw(chunk.present);
      writer.raw(chunk.hash);
      for (const sum of chunk.sums ?? this.sumsOf(chunk)) writer.uint32(sum);
    }
    return writer.finish();
  }

  private sumsOf(chunk: ChunkModel): number[] {
    const { bytes } = chunk.ref.target;
    if (chunk.codec !== 0) return [checksum(bytes)];
    const { blockBytes } = this.model;
    return Array.from({ length: Math.max(0, Math.min(Number(chunk.sumCount), MAX_SUMS)) }, (_, index) =>
      checksum(bytes.subarray(index * blockBytes, (index + 1) * blockBytes)),
    );
  }

  document(fields: readonly Field[]): Uint8Array {
    const writer = new LooseWriter();
    writer.value({ pairs: fields.map(({ key, value }) => [key, this.fieldValue(key, value)]) });
    return writer.finish();
  }

  private fieldValue(key: Loose, value: FieldValue): Loose {
    if (isRoot(value) || isFields(value)) return this.nested(value);
    // What was added lies inside, unless the end is to be a lie.
    if (key === 'end' && value === this.model.base.length) return this.end;
    return value;
  }

  private nested(value: Root | Fields): Loose {
    // What was put into itself has no end.
    if (this.depth > MAX_NESTED) return null;
    this.depth++;
    const result = isRoot(value)
      ? this.root(value)
      : { pairs: value.fields.map((field): [Loose, Loose] => [field.key, this.fieldValue(field.key, field.value)]) };
    this.depth--;
    return result;
  }

  private root(root: Root): Loose {
    if (root.inline) return root.target.raw ?? this.page(root.target);
    this.placePage(root.target);
    return [root.place ?? root.target.at, root.length ?? root.target.size, this.sum(root)];
  }
}

function chunkBytes(chunk: StoredChunk): Uint8Array {
  return chunk.bytes;
}

function writeKey(writer: LooseWriter, key: Num | string, before: Num | string | undefined): void {
  if (typeof key !== 'string') {
    writer.varint(typeof before === 'string' || before === undefined ? key : less(key, before));
    return;
  }
  const previous = typeof before === 'string' ? before : '';
  let shared = 0;
  while (shared < key.length && shared < previous.length && key[shared] === previous[shared]) shared++;
  writer.varint(shared);
  writer.varint(key.length - shared);
  writer.raw(Buffer.from(key.slice(shared), 'latin1'));
}

function writeExtent(writer: LooseWriter, entry: { gap: Num; length: Num; kind: Num; log: Num }): void {
  const isShort = entry.length === 1 && entry.kind === 0;
  writer.varint(plus(times(entry.gap, 4), (isShort ? 0 : 1) + (entry.log === 0 ? 0 : 2)));
  if (!isShort) writer.varint(plus(times(entry.length, 2), entry.kind === 0 ? 0 : 1));
  if (entry.kind !== 0) writer.varint(entry.kind);
  if (entry.log !== 0) writer.signed(entry.log);
}

function exact(value: number): boolean {
  return Math.abs(value) < 2 ** 52;
}

function plus(a: Num, b: Num): Num {
  if (typeof a === 'number' && typeof b === 'number' && exact(a + b)) return a + b;
  return BigInt(a) + BigInt(b);
}

function less(a: Num, b: Num): Num {
  if (typeof a === 'number' && typeof b === 'number' && exact(a - b)) return a - b;
  return BigInt(a) - BigInt(b);
}

function times(a: Num, factor: number): Num {
  if (typeof a === 'number' && exact(a * factor)) return a * factor;
  return BigInt(a) * BigInt(factor);
}
