import { Packr } from 'msgpackr';
import { corrupt } from '../errors.ts';
import { ByteReader } from './cursor.ts';

/**
 * msgpack as the container uses it: nil, booleans, integers up to 2^53 - 1, strings, bin, arrays and maps
 * with distinct string keys, at most `MAX_DEPTH` deep. The bytes are walked before msgpackr sees them, so
 * that no extension, record, repeated key or claimed length reaches it.
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
const packr = new Packr(options);

export type Document = { readonly [key: string]: unknown };

/** Integers of 2^32 and more are written as 64-bit integers, not as floating point numbers. */
export function encodeDocument(document: Document): Uint8Array {
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

/** Errors: 'corrupt' for anything but one map as described above. */
export function decodeDocument(bytes: Uint8Array, what: string): Document {
  const reader = new ByteReader(bytes, what);
  if (!skimValue(reader, 0).isMap) reader.fail('is not a map');
  reader.end();
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (cause) {
    throw corrupt(`${what}: ${cause instanceof Error ? cause.message : 'can not be decoded'}`);
  }
  return plain(value) as Document;
}

/** 64-bit integers in the safe range as numbers, bins as plain Uint8Arrays, maps without a prototype. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    return Object.assign(
      Object.create(null),
      Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)])),
    );
  }
  return value;
}

function bigEndian(reader: ByteReader, lengthBytes: number): number {
  let value = 0;
  for (let index = 0; index < lengthBytes; index++) value = value * 256 + reader.byte();
  return value;
}

function skimValue(reader: ByteReader, depth: number): { readonly isMap: boolean; readonly text?: string } {
  if (depth > MAX_DEPTH) reader.fail('is nested too deeply');
  const tag = reader.byte();
  if (tag <= 0x7f || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) return { isMap: false };
  // 0xd3, a signed 64-bit integer, is how msgpackr writes what needs more than 32 bits; a negative one is far above the limit here.
  if ((tag >= 0xcc && tag <= 0xcf) || tag === 0xd3) {
    if (bigEndian(reader, tag === 0xd3 ? 8 : 2 ** (tag - 0xcc)) > Number.MAX_SAFE_INTEGER)
      reader.fail('holds a number above 2^53');
    return { isMap: false };
  }
  if (tag >= 0xa0 && tag <= 0xbf) return skimText(reader, tag & 0x1f);
  if (tag >= 0xd9 && tag <= 0xdb) return skimText(reader, bigEndian(reader, 2 ** (tag - 0xd9)));
  if (tag >= 0xc4 && tag <= 0xc6) {
    reader.take(bigEndian(reader, 2 ** (tag - 0xc4)));
    return { isMap: false };
  }
  if ((tag >= 0x90 && tag <= 0x9f) || tag === 0xdc) {
    const count = tag === 0xdc ? bigEndian(reader, 2) : tag & 0x0f;
    for (let index = 0; index < count; index++) skimValue(reader, depth + 1);
    return { isMap: false };
  }
  if ((tag >= 0x80 && tag <= 0x8f) || tag === 0xde) {
    const count = tag === 0xde ? bigEndian(reader, 2) : tag & 0x0f;
    const seen = new Set<string>();
    for (let index = 0; index < count; index++) {
      const { text } = skimValue(reader, depth + 1);
      if (text === undefined || seen.has(text) || text === '__proto__') reader.fail('has a malformed or repeated key');
      seen.add(text);
      skimValue(reader, depth + 1);
    }
    return { isMap: true };
  }
  return reader.fail(`holds a value of an unknown type (0x${tag.toString(16)})`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function skimText(reader: ByteReader, lengthBytes: number): { isMap: false; text: string } {
  const bytes = reader.take(lengthBytes);
  try {
    return { isMap: false, text: utf8.decode(bytes) };
  } catch {
    return reader.fail('holds text that is not UTF-8');
  }
}
