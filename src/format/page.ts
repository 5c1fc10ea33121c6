import { corrupt } from '../errors.ts';
import { type ByteReader, type ByteWriter, signedBytes, varintBytes } from './cursor.ts';
import { MAX_PAGE_BYTES, MAX_TREE_LEVELS, RECORDS_OFFSET } from './layout.ts';

/**
 * A page of a persistent tree, stored at its exact length:
 *
 *   byte     kind (what the tree holds)
 *   byte     level (0: leaf)
 *   varint   birth: the generation that wrote this content; a child is never younger than its parent
 *   varint   number of entries
 *   ...      leaf: as its layout says; inner: the columns below
 *
 * The checksum stands in the pointer to the page, together with its place and length.
 */

export interface PageRef {
  readonly place: number;
  readonly lengthBytes: number;
  readonly checksum: number;
}

/** How a record refers to a whole tree: nothing, its only page itself, or where its top page lies. */
export type TreeRoot = null | Uint8Array | PageRef;

export function isPageRef(value: object): value is PageRef {
  return 'place' in value;
}

export interface PageHead {
  readonly kind: number;
  readonly level: number;
  readonly birth: number;
  readonly count: number;
}

export const PAGE_KIND = { extents: 0x45, records: 0x52, space: 0x53 } as const;

export function readPageHead(reader: ByteReader): PageHead {
  const kind = reader.byte();
  const level = reader.byte();
  const birth = reader.varint();
  const count = reader.varint();
  if (level >= MAX_TREE_LEVELS) reader.fail(`level ${level} is too high`);
  // Every entry takes at least one byte, so a count can not ask for more memory than the page is long.
  if (count === 0 || count > reader.remaining) reader.fail(`claims ${count} entries`);
  return { kind, level, birth, count };
}

export function writePageHead(writer: ByteWriter, head: PageHead): void {
  writer.byte(head.kind);
  writer.byte(head.level);
  writer.varint(head.birth);
  writer.varint(head.count);
}

export function pageHeadBytes(birth: number, count: number): number {
  return 2 + varintBytes(birth) + varintBytes(count);
}

/** How the keys of a tree are written in its inner pages. */
export interface KeyCodec<K> {
  write(writer: ByteWriter, key: K, previous: K | undefined): void;
  /** Must refuse a key that is not above `previous`. */
  read(reader: ByteReader, previous: K | undefined): K;
  bytes(key: K, previous: K | undefined): number;
}

/** Columns of an inner page; `sums` is empty for trees without a summary. */
export interface InnerColumns<K> {
  readonly keys: readonly K[];
  readonly refs: PageRef[];
  readonly sums: readonly number[];
}

/** Inner entry: key, place as a difference to the end of the previous child, length, checksum, and the summary if the tree has one. */
export function writeInner<K>(writer: ByteWriter, codec: KeyCodec<K>, columns: InnerColumns<K>): void {
  let previous: K | undefined;
  let expected = 0;
  columns.refs.forEach((ref, index) => {
    const key = columns.keys[index] as K;
    codec.write(writer, key, previous);
    previous = key;
    writer.signed(ref.place - expected);
    writer.varint(ref.lengthBytes);
    expected = ref.place + ref.lengthBytes;
    writer.uint32(ref.checksum);
    const sum = columns.sums[index];
    if (sum !== undefined) writer.varint(sum);
  });
}

export function readInner<K>(
  reader: ByteReader,
  codec: KeyCodec<K>,
  count: number,
  options: { readonly sums: boolean },
): InnerColumns<K> {
  const keys: K[] = [];
  const refs: PageRef[] = [];
  const sums: number[] = [];
  let previous: K | undefined;
  let expected = 0;
  for (let index = 0; index < count; index++) {
    previous = codec.read(reader, previous);
    keys.push(previous);
    const ref = readPlaceAndLength(reader, expected);
    expected = ref.place + ref.lengthBytes;
    refs.push({ ...ref, checksum: reader.uint32() });
    if (options.sums) sums.push(reader.varint());
  }
  reader.end();
  return { keys, refs, sums };
}

function readPlaceAndLength(reader: ByteReader, expected: number): { place: number; lengthBytes: number } {
  const place = expected + reader.signed();
  const lengthBytes = reader.varint();
  checkPagePlace(place, lengthBytes, (reason) => reader.fail(reason));
  return { place, lengthBytes };
}

export function innerEntryBytes<K>(
  codec: KeyCodec<K>,
  key: K,
  previous: K | undefined,
  ref: PageRef,
  expected: number,
  sum: number | undefined,
): number {
  return (
    codec.bytes(key, previous) +
    signedBytes(ref.place - expected) +
    varintBytes(ref.lengthBytes) +
    4 +
    (sum === undefined ? 0 : varintBytes(sum))
  );
}

function checkPagePlace(place: number, lengthBytes: number, fail: (reason: string) => never): void {
  if (!Number.isSafeInteger(place) || place < RECORDS_OFFSET || lengthBytes === 0 || lengthBytes > MAX_PAGE_BYTES) {
    fail(`points to a page of ${lengthBytes} bytes at ${place}`);
  }
}

/** A root as a msgpack value: nil, bin (the page itself) or [place, length, checksum]. */
export function rootToValue(root: TreeRoot): null | Uint8Array | readonly [number, number, number] {
  if (root === null || root instanceof Uint8Array) return root;
  return [root.place, root.lengthBytes, root.checksum];
}

export function rootFromValue(value: unknown, what: string): TreeRoot {
  if (value === null) return null;
  if (value instanceof Uint8Array && value.length > 0) return value;
  if (Array.isArray(value) && value.length === 3) {
    const [place, lengthBytes, sum] = value as unknown[];
    if (isCount(place) && isCount(lengthBytes) && isCount(sum) && sum < 2 ** 32) {
      checkPagePlace(place, lengthBytes, (reason) => {
        throw corrupt(`${what} ${reason}`);
      });
      return { place, lengthBytes, checksum: sum };
    }
  }
  throw corrupt(`${what} is not a tree root`);
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
