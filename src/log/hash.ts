import { VsimgError } from '../errors.ts';
import { HASH_BYTES } from '../format/chunk-table.ts';
import { loadNativePackage } from '../storage/native-package.ts';

type Native = typeof import('@napi-rs/blake-hash');

const NAME = '@napi-rs/blake-hash';

let loaded: Native | undefined;

/** What hashes; loaded when it is first needed. Errors: 'unsupported'. */
export function native(): Native {
  if (loaded === undefined) {
    const found = loadNativePackage<Native>(NAME, (host) => `${NAME}-${host}-gnu/blake.${host}-gnu.node`);
    if ('failure' in found) {
      throw new VsimgError('unsupported', 'BLAKE3 is not available on this machine', {
        hint: 'install vsimg with its native packages',
        cause: found.failure,
      });
    }
    loaded = found.module;
  }
  return loaded;
}

/** The first 16 bytes of the BLAKE3 hash. */
export function blake3(bytes: Uint8Array): Uint8Array {
  return native().blake3(bytes).subarray(0, HASH_BYTES);
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** The first 16 bytes of the hash of everything so far. */
  finish(): Uint8Array;
}

export function createHasher(): Hasher {
  const hasher = new (native().Blake3Hasher)();
  return {
    update: (bytes) => {
      hasher.update(bytes);
    },
    finish: () => Uint8Array.from(hasher.digestBuffer().subarray(0, HASH_BYTES)),
  };
}
