import { createRequire } from 'node:module';

/** Above this, loading zlib (1.7 ms, most of it for streams) takes less time than the table does. */
const TABLE_BYTES = 65_536;

let tableBytesLeft = TABLE_BYTES;
let tables: Int32Array | undefined;
let native: ((bytes: Uint8Array) => number) | undefined;

/**
 * CRC-32 (ISO 3309, as in gzip) of the bytes, from 0 to 2^32 - 1. What a short command verifies is done before zlib would be
 * loaded; from then on it is zlib's, a hundred times as fast.
 */
export function checksum(bytes: Uint8Array): number {
  if (native === undefined) {
    if (bytes.length <= tableBytesLeft) {
      tableBytesLeft -= bytes.length;
      return tableChecksum(bytes);
    }
    native = (createRequire(import.meta.url)('node:zlib') as typeof import('node:zlib')).crc32;
  }
  return native(bytes);
}

/** The same by tables, four bytes a step. */
export function tableChecksum(bytes: Uint8Array): number {
  tables ??= makeTables();
  const t = tables as { readonly [index: number]: number };
  const end = bytes.length;
  const fours = end - (end % 4);
  let crc = -1;
  let at = 0;
  for (; at < fours; at += 4) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (t[768 + (crc & 255)] as number) ^
      (t[512 + ((crc >>> 8) & 255)] as number) ^
      (t[256 + ((crc >>> 16) & 255)] as number) ^
      (t[crc >>> 24] as number);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (t[(crc ^ (bytes[at] as number)) & 255] as number);
  return ~crc >>> 0;
}

/** Table k takes a byte k places further: of entry `[k * 256 + byte]`. */
function makeTables(): Int32Array {
  const made = new Int32Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    made[byte] = crc;
  }
  for (let at = 256; at < made.length; at++) {
    const before = made[at - 256] as number;
    made[at] = (before >>> 8) ^ (made[before & 255] as number);
  }
  return made;
}
