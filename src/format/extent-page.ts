import { type ByteReader, type ByteWriter, signedBytes, varintBytes } from './cursor.ts';
import type { KeyCodec } from './page.ts';

/**
 * Extents of a leaf page, in memory as four 32-bit words each (16 bytes an extent):
 *
 *   word 0   low half of the guest block
 *   word 1   kind (4 bits) and length in blocks (28 bits)
 *   word 2   low half of the log block
 *   word 3   high 16 bits of the log block, high 16 bits of the guest block
 *
 * On disk, each:
 *
 *   varint   gap to the end of the previous extent (first: guest block) * 4
 *            + 1 if a length follows (else it is one block of data)
 *            + 2 if a log block follows (else it continues the previous extent's log run; first: log block 0)
 *   varint   length in blocks * 2, + 1 if a kind follows (else it is data)
 *   varint   kind
 *   signed   difference of the log block to the end of the previous extent's log run
 */
export type Extents = Uint32Array<ArrayBuffer>;

export const EXTENT_KIND = { data: 0, lost: 1 } as const;
export type ExtentKind = (typeof EXTENT_KIND)[keyof typeof EXTENT_KIND];

const WORDS = 4;
export const MAX_EXTENT_BLOCKS = 2 ** 28 - 1;
/** Guest and log blocks are below this. */
export const MAX_BLOCKS = 2 ** 48;

export function extentCount(extents: Extents): number {
  return extents.length / WORDS;
}

export function extentStart(extents: Extents, index: number): number {
  const at = index * WORDS;
  return (extents[at] as number) + ((extents[at + 3] as number) & 0xffff) * 2 ** 32;
}

export function extentLength(extents: Extents, index: number): number {
  return (extents[index * WORDS + 1] as number) & 0xfffffff;
}

export function extentEnd(extents: Extents, index: number): number {
  return extentStart(extents, index) + extentLength(extents, index);
}

export function extentLog(extents: Extents, index: number): number {
  const at = index * WORDS;
  return (extents[at + 2] as number) + ((extents[at + 3] as number) >>> 16) * 2 ** 32;
}

export function extentKind(extents: Extents, index: number): number {
  return (extents[index * WORDS + 1] as number) >>> 28;
}

interface ExtentPosition {
  readonly extents: Extents;
  readonly index: number;
}

/** How many extents of data from `a` and `b` on are the same ones: same blocks of the disk, same blocks of the log. */
export function equalDataExtents(a: ExtentPosition, b: ExtentPosition): number {
  const left = a.extents;
  const right = b.extents;
  const from = a.index * WORDS;
  const shift = b.index * WORDS - from;
  let at = from;
  for (; at < left.length; at += WORDS) {
    const other = at + shift;
    if (left[at] !== right[other] || left[at + 1] !== right[other + 1]) break;
    if (left[at + 2] !== right[other + 2] || left[at + 3] !== right[other + 3]) break;
    if ((left[at + 1] as number) >>> 28 !== EXTENT_KIND.data) break;
  }
  return (at - from) / WORDS;
}

export interface Extent {
  readonly start: number;
  readonly length: number;
  readonly log: number;
  readonly kind: ExtentKind;
}

export function setExtent(extents: Extents, index: number, extent: Extent): void {
  const at = index * WORDS;
  extents[at] = extent.start % 2 ** 32;
  extents[at + 1] = ((extent.kind << 28) | extent.length) >>> 0;
  extents[at + 2] = extent.log % 2 ** 32;
  extents[at + 3] = ((Math.floor(extent.log / 2 ** 32) << 16) | Math.floor(extent.start / 2 ** 32)) >>> 0;
}

export function makeExtents(list: readonly Extent[]): Extents {
  const extents = new Uint32Array(list.length * WORDS);
  list.forEach((extent, index) => {
    setExtent(extents, index, extent);
  });
  return extents;
}

export function sliceExtents(extents: Extents, from: number, to: number): Extents {
  return extents.slice(from * WORDS, to * WORDS);
}

export function spliceExtents(extents: Extents, from: number, to: number, inserted: Extents): Extents {
  const result = new Uint32Array(extents.length - (to - from) * WORDS + inserted.length);
  result.set(extents.subarray(0, from * WORDS));
  result.set(inserted, from * WORDS);
  result.set(extents.subarray(to * WORDS), from * WORDS + inserted.length);
  return result;
}

/** Bytes of extent `index` on disk when `first` is the first of its page. */
export function extentBytes(extents: Extents, index: number, first: number): number {
  const fresh = index === first;
  const gap = extentStart(extents, index) - (fresh ? 0 : extentEnd(extents, index - 1));
  const logGap =
    extentLog(extents, index) - (fresh ? 0 : extentLog(extents, index - 1) + extentLength(extents, index - 1));
  const length = extentLength(extents, index);
  const kind = extentKind(extents, index);
  const isShort = length === 1 && kind === EXTENT_KIND.data;
  return (
    varintBytes(gap * 4) +
    (isShort ? 0 : varintBytes(length * 2)) +
    (kind === EXTENT_KIND.data ? 0 : varintBytes(kind)) +
    (logGap === 0 ? 0 : signedBytes(logGap))
  );
}

export function writeExtents(writer: ByteWriter, extents: Extents): void {
  let end = 0;
  let logEnd = 0;
  for (let index = 0; index < extentCount(extents); index++) {
    const start = extentStart(extents, index);
    const length = extentLength(extents, index);
    const log = extentLog(extents, index);
    const kind = extentKind(extents, index);
    const isShort = length === 1 && kind === EXTENT_KIND.data;
    writer.varint((start - end) * 4 + (isShort ? 0 : 1) + (log === logEnd ? 0 : 2));
    if (!isShort) writer.varint(length * 2 + (kind === EXTENT_KIND.data ? 0 : 1));
    if (kind !== EXTENT_KIND.data) writer.varint(kind);
    if (log !== logEnd) writer.signed(log - logEnd);
    end = start + length;
    logEnd = log + length;
  }
}

/** `into`: memory for them, used if they fit. */
export function readExtents(reader: ByteReader, count: number, into?: Extents): Extents {
  if (count > reader.remaining) reader.fail(`claims ${count} extents`);
  const words = count * WORDS;
  const extents = into !== undefined && words <= into.length ? into.subarray(0, words) : new Uint32Array(words);
  let end = 0;
  let logEnd = 0;
  for (let index = 0; index < count; index++) {
    const word = reader.varint();
    const start = end + Math.floor(word / 4);
    let length = 1;
    let kind: number = EXTENT_KIND.data;
    if (word % 2 === 1) {
      const lengthWord = reader.varint();
      length = Math.floor(lengthWord / 2);
      if (length === 0 || length > MAX_EXTENT_BLOCKS) reader.fail(`extent of ${length} blocks`);
      if (lengthWord % 2 === 1) kind = reader.varint();
      if (kind !== EXTENT_KIND.data && kind !== EXTENT_KIND.lost) reader.fail(`extent of unknown kind ${kind}`);
    }
    const log = logEnd + (word % 4 >= 2 ? reader.signed() : 0);
    if (start + length > MAX_BLOCKS || log < 0 || log + length > MAX_BLOCKS)
      reader.fail(`extent at block ${start} leaves the address space`);
    setExtent(extents, index, { start, length, log, kind: kind as ExtentKind });
    end = start + length;
    logEnd = log + length;
  }
  reader.end();
  return extents;
}

/** Keys of inner pages: guest blocks, as differences. */
export const blockKeys: KeyCodec<number> = {
  write(writer, key, previous) {
    writer.varint(previous === undefined ? key : key - previous);
  },
  read(reader, previous) {
    const value = reader.varint();
    if (previous !== undefined && value === 0) reader.fail('keys do not ascend');
    const key = (previous ?? 0) + value;
    if (key > MAX_BLOCKS) reader.fail('key is too large');
    return key;
  },
  bytes(key, previous) {
    return varintBytes(previous === undefined ? key : key - previous);
  },
};
