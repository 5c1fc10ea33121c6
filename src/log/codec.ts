import { createRequire } from 'node:module';
import * as zlib from 'node:zlib';
import { corrupt, VsimgError } from '../errors.ts';

/**
 * Zstandard for chunks: Node's own where it has it (22.15 and later), else the native package of the same
 * library; both write and read plain frames (RFC 8878). Frames are verified before they come here.
 */
interface Zstd {
  compress(bytes: Uint8Array, level: number): Promise<Uint8Array>;
  decompress(bytes: Uint8Array, rawBytes: number): Uint8Array;
}

type NodeZstd = typeof zlib & {
  zstdCompress?(bytes: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void): void;
  zstdDecompressSync?(bytes: Uint8Array, options: object): Buffer;
};

/** ZSTD_c_compressionLevel of zstd.h. */
const COMPRESSION_LEVEL = 100;
/** Higher levels differ by windows of more than 8 MiB: those are refused when read, and chunks are far smaller. */
const MAX_LEVEL = 19;
const MAX_FRAME_BLOCK_BYTES = 128 * 1024;

let loaded: Zstd | undefined;

function load(): Zstd {
  const own = zlib as NodeZstd;
  if (own.zstdCompress !== undefined && own.zstdDecompressSync !== undefined) {
    const { zstdCompress, zstdDecompressSync } = own;
    return {
      compress: (bytes, level) =>
        new Promise((resolve, reject) => {
          zstdCompress(bytes, { params: { [COMPRESSION_LEVEL]: level } }, (error, result) =>
            error === null ? resolve(result) : reject(error),
          );
        }),
      decompress: (bytes, rawBytes) => zstdDecompressSync(bytes, { maxOutputLength: rawBytes }),
    };
  }
  const require = createRequire(import.meta.url);
  const native = require('@toondepauw/node-zstd') as typeof import('@toondepauw/node-zstd');
  const encoders = new Map<number, InstanceType<typeof native.Encoder>>();
  const decoder = new native.Decoder();
  return {
    compress(bytes, level) {
      const encoder = encoders.get(level) ?? new native.Encoder(level);
      encoders.set(level, encoder);
      return encoder.encode(asBuffer(bytes));
    },
    decompress: (bytes) => decoder.decodeSync(asBuffer(bytes)),
  };
}

function zstd(): Zstd {
  if (loaded === undefined) {
    try {
      loaded = load();
    } catch (cause) {
      throw new VsimgError('unsupported', 'zstd is not available on this machine', {
        hint: 'install vsimg with its native packages, or use Node 22.15 or later',
        cause,
      });
    }
  }
  return loaded;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One frame; runs on another thread. Levels above `MAX_LEVEL` count as that. */
export function compress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  return zstd().compress(bytes, Math.min(level, MAX_LEVEL));
}

/** Exactly `rawBytes` bytes, or a 'corrupt' error: a frame can not make it allocate more than that and a few blocks. */
export function decompress(bytes: Uint8Array, rawBytes: number, place: number): Uint8Array {
  checkFrame(bytes, rawBytes, place);
  let raw: Uint8Array;
  try {
    raw = zstd().decompress(bytes, rawBytes);
  } catch (cause) {
    if (cause instanceof VsimgError) throw cause;
    throw corrupt(`chunk at ${place} can not be decompressed`, place);
  }
  if (raw.length !== rawBytes)
    throw corrupt(`chunk at ${place} holds ${raw.length} bytes instead of ${rawBytes}`, place);
  return raw;
}

/**
 * Walks the blocks of the one frame (RFC 8878, 3.1.1) before anything is decoded, because a few bytes
 * can claim to hold gigabytes.
 */
function checkFrame(bytes: Uint8Array, rawBytes: number, place: number): void {
  const fail = (): never => {
    throw corrupt(`chunk at ${place} is not one zstd frame of ${rawBytes} bytes`, place);
  };
  const at = (position: number): number => bytes[position] ?? fail();
  if (at(0) !== 0x28 || at(1) !== 0xb5 || at(2) !== 0x2f || at(3) !== 0xfd) fail();
  const descriptor = at(4);
  const sizeFlag = descriptor >>> 6;
  const singleSegment = (descriptor >>> 5) & 1;
  if ((descriptor & 0x0b) !== 0) fail();
  const sizeBytes = sizeFlag === 0 ? singleSegment : 1 << sizeFlag;
  let position = 5;
  if (singleSegment === 0) {
    // Window of at most 8 MiB: what every decoder must accept.
    if (at(position) >>> 3 > 13) fail();
    position++;
  }
  if (sizeBytes > 0) {
    let size = 0;
    for (let index = sizeBytes - 1; index >= 0; index--) size = size * 256 + at(position + index);
    if (size + (sizeBytes === 2 ? 256 : 0) !== rawBytes) fail();
    position += sizeBytes;
  }
  let atMost = 0;
  for (let last = false; !last; ) {
    const header = at(position) | (at(position + 1) << 8) | (at(position + 2) << 16);
    position += 3;
    last = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    const size = header >>> 3;
    if (type === 3) fail();
    atMost += type === 2 ? MAX_FRAME_BLOCK_BYTES : size;
    position += type === 1 ? 1 : size;
    if (atMost > rawBytes + 4 * MAX_FRAME_BLOCK_BYTES) fail();
  }
  if ((descriptor & 4) !== 0) position += 4;
  if (position !== bytes.length) fail();
}
