import { type ByteReader, type ByteWriter, varintBytes } from './cursor.ts';
import type { KeyCodec } from './page.ts';

/**
 * Records of a leaf page: keys are byte strings, held as strings of characters 0 to 255 so that `<`
 * compares them as bytes; values are bytes. On disk each: varint length of what the key shares with the
 * key before it, varint length of the rest, the rest, varint length of the value, the value.
 */
export interface Records {
  readonly keys: readonly string[];
  readonly values: readonly Uint8Array[];
}

export const NO_RECORDS: Records = { keys: [], values: [] };

/** Longest key: a name of 255 bytes and a number before it. */
const MAX_KEY_BYTES = 512;

function sharedLength(key: string, previous: string | undefined): number {
  if (previous === undefined) return 0;
  const limit = Math.min(key.length, previous.length);
  let shared = 0;
  while (shared < limit && key.charCodeAt(shared) === previous.charCodeAt(shared)) shared++;
  return shared;
}

/** Keys, also those of inner pages: what is shared with the key before, and the rest. */
export const stringKeys: KeyCodec<string> = {
  write(writer, key, previous) {
    const shared = sharedLength(key, previous);
    writer.varint(shared);
    writer.varint(key.length - shared);
    for (let index = shared; index < key.length; index++) writer.byte(key.charCodeAt(index));
  },
  read(reader, previous) {
    const shared = reader.varint();
    const rest = reader.varint();
    if (shared > (previous?.length ?? 0) || shared + rest > MAX_KEY_BYTES) reader.fail('key is malformed');
    const bytes = reader.take(rest);
    const key = (previous ?? '').slice(0, shared) + String.fromCharCode(...bytes);
    if (previous !== undefined && key <= previous) reader.fail('keys do not ascend');
    return key;
  },
  bytes(key, previous) {
    const shared = sharedLength(key, previous);
    const rest = key.length - shared;
    return varintBytes(shared) + varintBytes(rest) + rest;
  },
};

/** Bytes of record `index` on disk when `first` is the first of its page. */
export function recordBytes(records: Records, index: number, first: number): number {
  const value = records.values[index] as Uint8Array;
  const previous = index === first ? undefined : records.keys[index - 1];
  return stringKeys.bytes(records.keys[index] as string, previous) + varintBytes(value.length) + value.length;
}

export function writeRecords(writer: ByteWriter, records: Records): void {
  records.keys.forEach((key, index) => {
    const value = records.values[index] as Uint8Array;
    stringKeys.write(writer, key, index === 0 ? undefined : records.keys[index - 1]);
    writer.varint(value.length);
    writer.raw(value);
  });
}

export function readRecords(reader: ByteReader, count: number): Records {
  const keys: string[] = [];
  const values: Uint8Array[] = [];
  let previous: string | undefined;
  for (let index = 0; index < count; index++) {
    previous = stringKeys.read(reader, previous);
    keys.push(previous);
    values.push(reader.take(reader.varint()));
  }
  reader.end();
  return { keys, values };
}

/** Keys that sort as their numbers do: seven bytes each, most significant first. */
export function numberKey(...numbers: readonly number[]): string {
  let key = '';
  for (const number of numbers) {
    const high = Math.floor(number / 2 ** 32);
    key += String.fromCharCode(
      (high >>> 16) & 0xff,
      (high >>> 8) & 0xff,
      high & 0xff,
      (number >>> 24) & 0xff,
      (number >>> 16) & 0xff,
      (number >>> 8) & 0xff,
      number & 0xff,
    );
  }
  return key;
}

export const NUMBER_KEY_BYTES = 7;

/** The number that starts at character `position` of a key. */
export function numberInKey(key: string, position = 0): number {
  let value = 0;
  for (let index = position; index < position + NUMBER_KEY_BYTES; index++) value = value * 256 + key.charCodeAt(index);
  return value;
}

export function bytesToKey(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

export function keyToBytes(key: string): Uint8Array {
  return Uint8Array.from(key, (character) => character.charCodeAt(0));
}
