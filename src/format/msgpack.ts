import { Packr } from 'msgpackr';
import { ByteReader } from './cursor.ts';

/**
 * msgpack as the container uses it: nil, booleans, integers up to 2^53 - 1, strings, bin, arrays and maps
 * with distinct string keys, at most `MAX_DEPTH` deep. It is read here, where everything else is refused: msgpackr
 * reads extensions, records, repeated keys and claimed lengths too, and takes 1.5 ms to begin.
 */
const MAX_DEPTH = 6;

// The declared options lack 'auto', which gives a number where that is exact and a BigInt elsewhere.
const options: object = {
  useRecords: false,
  variableMapSize: true,
  int64AsType: 'auto',
  copyBuffers: true,
  mapsAsObjects: true,
};
let packr: Packr | undefined;

export type Document = { readonly [key: string]: unknown };

/** Integers of 2^32 and more are written as 64-bit integers, not as floating point numbers. */
export function encodeDocument(document: Document): Uint8Array {
  packr ??= new Packr(options);
  return Uint8Array.from(packr.pack(packable(document)) as Uint8Array);
}

/** Maps as `Map`s: keys such as 'constructor' and 'toJSON', which a file may hold, mean something in objects. */
function packable(value: unknown): unknown {
  if (typeof value === 'number' && value >= 2 ** 32) return BigInt(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(packable);
  if (typeof value === 'object' && value !== null)
    return new Map(Object.entries(value).map(([key, item]) => [key, packable(item)]));
  return value;
}

/** Maps have no prototype, and bins are copies. Errors: 'corrupt' for anything but one map as described above. */
export function decodeDocument(bytes: Uint8Array, what: string): Document {
  const reader = new ByteReader(bytes, what);
  const value = readValue(reader, 0);
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    reader.fail('is not a map');
  reader.end();
  return value as Document;
}

function readValue(reader: ByteReader, depth: number): unknown {
  if (depth > MAX_DEPTH) reader.fail('is nested too deeply');
  const tag = reader.byte();
  if (tag <= 0x7f) return tag;
  if (tag >= 0xe0) return tag - 0x100;
  if (tag === 0xc0) return null;
  if (tag === 0xc2 || tag === 0xc3) return tag === 0xc3;
  // 0xd3, a signed 64-bit integer, is how msgpackr writes what needs more than 32 bits; a negative one is far above the limit here.
  if ((tag >= 0xcc && tag <= 0xcf) || tag === 0xd3) return readInteger(reader, tag === 0xd3 ? 8 : 2 ** (tag - 0xcc));
  if (tag >= 0xa0 && tag <= 0xbf) return readText(reader, tag & 0x1f);
  if (tag >= 0xd9 && tag <= 0xdb) return readText(reader, bigEndian(reader, 2 ** (tag - 0xd9)));
  if (tag >= 0xc4 && tag <= 0xc6) return Uint8Array.from(reader.take(bigEndian(reader, 2 ** (tag - 0xc4))));
  if ((tag >= 0x90 && tag <= 0x9f) || tag === 0xdc)
    return readArray(reader, tag === 0xdc ? bigEndian(reader, 2) : tag & 0x0f, depth + 1);
  if ((tag >= 0x80 && tag <= 0x8f) || tag === 0xde)
    return readMap(reader, tag === 0xde ? bigEndian(reader, 2) : tag & 0x0f, depth + 1);
  return reader.fail(`holds a value of an unknown type (0x${tag.toString(16)})`);
}

function bigEndian(reader: ByteReader, lengthBytes: number): number {
  let value = 0;
  for (let index = 0; index < lengthBytes; index++) value = value * 256 + reader.byte();
  return value;
}

function readInteger(reader: ByteReader, lengthBytes: number): number {
  const value = bigEndian(reader, lengthBytes);
  if (value > Number.MAX_SAFE_INTEGER) reader.fail('holds a number above 2^53');
  return value;
}

function readArray(reader: ByteReader, count: number, depth: number): unknown[] {
  const items: unknown[] = [];
  for (let index = 0; index < count; index++) items.push(readValue(reader, depth));
  return items;
}

function readMap(reader: ByteReader, count: number, depth: number): Document {
  const map: Record<string, unknown> = Object.create(null);
  for (let index = 0; index < count; index++) {
    const key = readValue(reader, depth);
    if (typeof key !== 'string' || key in map || key === '__proto__') reader.fail('has a malformed or repeated key');
    map[key] = readValue(reader, depth);
  }
  return map;
}

let utf8: InstanceType<typeof TextDecoder> | undefined;

function readText(reader: ByteReader, lengthBytes: number): string {
  const bytes = reader.take(lengthBytes);
  // Nearly all text is ASCII, and a decoder takes a quarter of a millisecond to begin.
  if (bytes.every((byte) => byte < 0x80))
    return Buffer.from(bytes.buffer, bytes.byteOffset, lengthBytes).toString('latin1');
  utf8 ??= new TextDecoder('utf-8', { fatal: true });
  try {
    return utf8.decode(bytes);
  } catch {
    return reader.fail('holds text that is not UTF-8');
  }
}
