import { createRequire } from 'node:module';
import { VsimgError } from '../errors.ts';
import { koffi } from '../storage/koffi.ts';
import { loadNativePackage } from '../storage/native-package.ts';

/** Zstandard as chunks need it: one call, one frame (RFC 8878), between buffers of the caller's. */
export interface Zstd {
  /** Length of the frame, or undefined if it is longer than `into`. */
  compress(raw: Uint8Array, into: Uint8Array, level: number): number | undefined;
  /** Bytes written to `into`; throws, or gives another length, for a frame that is not whole. */
  decompress(frame: Uint8Array, into: Uint8Array): number;
}

type NodeZstd = typeof import('node:zlib') & {
  zstdCompressSync?(bytes: Uint8Array, options: object): Buffer;
  zstdDecompressSync?(bytes: Uint8Array, options: object): Buffer;
};

/** ZSTD_c_compressionLevel of zstd.h. */
const COMPRESSION_LEVEL = 100;
/** Releases before this one are rare, and some of them compress wrongly (1.3.x) or not at these levels. */
const MIN_LIBRARY_VERSION = 10_400;

/** What loading libzstd costs is won back after so many chunks. */
const FEW = 16;

let fast: Zstd | undefined;
let small: Zstd | undefined;
let fewLeft = FEW;

/**
 * 'many': for many chunks one behind the other. 'few': whatever is ready first. All of them are the same library underneath
 * and read each other's frames. Errors: 'unsupported' where there is none.
 */
export function zstd(amount: 'few' | 'many'): Zstd {
  if (fast !== undefined) return fast;
  if (amount === 'many' || --fewLeft < 0) {
    fast = libraryZstd() ?? small ?? anyZstd();
    return fast;
  }
  small ??= anyZstd();
  return small;
}

/** The package is loaded in half the time of Node's own, which brings its streams along. Errors: 'unsupported'. */
function anyZstd(): Zstd {
  const any = packageZstd() ?? nodeZstd();
  if (any === undefined) {
    throw new VsimgError('unsupported', 'zstd is not available on this machine', {
      hint: 'install vsimg with its native packages, or use Node 22.15 or later',
    });
  }
  return any;
}

/** All that this machine has; for tests. */
export function zstdLibraries(): readonly { readonly name: string; readonly zstd: Zstd }[] {
  const all = { library: libraryZstd(), node: nodeZstd(), package: packageZstd() };
  return Object.entries(all).flatMap(([name, found]) => (found === undefined ? [] : [{ name, zstd: found }]));
}

/**
 * libzstd itself, with its contexts kept from chunk to chunk: decodes 64 KiB chunks 2 times faster than Node's own
 * binding and 8 times faster than the package, which make a context and copies for every call. From 22.15 on Node
 * has it inside; before, it is the system's library, if there is one.
 */
function libraryZstd(): Zstd | undefined {
  const loaded = koffi();
  if ('failure' in loaded) return undefined;
  for (const name of [null, 'libzstd.so.1', 'libzstd.1.dylib']) {
    try {
      const library = loaded.module.load(name);
      const version = library.func('unsigned int ZSTD_versionNumber()')();
      if (typeof version !== 'number' || version < MIN_LIBRARY_VERSION) continue;
      const compressor = library.func('void *ZSTD_createCCtx()')();
      const decompressor = library.func('void *ZSTD_createDCtx()')();
      if (compressor === null || decompressor === null) continue;
      const compress = library.func(
        'size_t ZSTD_compressCCtx(void *context, uint8_t *into, size_t room, const uint8_t *from, size_t length, int level)',
      );
      const decompress = library.func(
        'size_t ZSTD_decompressDCtx(void *context, uint8_t *into, size_t room, const uint8_t *from, size_t length)',
      );
      return {
        compress(raw, into, level) {
          const length = Number(compress(compressor, into, into.length, raw, raw.length, level));
          // Errors are the highest numbers of size_t.
          return length <= into.length ? length : undefined;
        },
        decompress: (frame, into) => Number(decompress(decompressor, into, into.length, frame, frame.length)),
      };
    } catch {
      // No such library, or not with these functions: the next one may do.
    }
  }
  return undefined;
}

function nodeZstd(): Zstd | undefined {
  const zlib = createRequire(import.meta.url)('node:zlib') as NodeZstd;
  const { zstdCompressSync, zstdDecompressSync } = zlib;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return undefined;
  return {
    compress: (raw, into, level) => putInto(zstdCompressSync(raw, { params: { [COMPRESSION_LEVEL]: level } }), into),
    decompress: (frame, into) => putInto(zstdDecompressSync(frame, { maxOutputLength: into.length }), into) ?? 0,
  };
}

function packageZstd(): Zstd | undefined {
  const name = '@toondepauw/node-zstd';
  const file = (host: string) => `${name}-${host}-gnu/node-zstd.${host}-gnu.node`;
  const loaded = loadNativePackage<typeof import('@toondepauw/node-zstd')>(name, file);
  if ('failure' in loaded) return undefined;
  const native = loaded.module;
  const encoders = new Map<number, InstanceType<typeof native.Encoder>>();
  const decoder = new native.Decoder();
  return {
    compress(raw, into, level) {
      const encoder = encoders.get(level) ?? new native.Encoder(level);
      encoders.set(level, encoder);
      return putInto(encoder.encodeSync(asBuffer(raw)), into);
    },
    decompress: (frame, into) => putInto(decoder.decodeSync(asBuffer(frame)), into) ?? 0,
  };
}

function putInto(bytes: Uint8Array, into: Uint8Array): number | undefined {
  if (bytes.length > into.length) return undefined;
  into.set(bytes);
  return bytes.length;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
