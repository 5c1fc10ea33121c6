import { VsimgError } from '../errors.ts';
import { type Header, NO_FEATURES } from '../format/header.ts';
import { DEFAULT_BLOCK_BYTES, MAX_BLOCK_BYTES, MIN_BLOCK_BYTES, RECORDS_OFFSET } from '../format/layout.ts';
import type { CreateOptions } from './api.ts';

/** What a new, empty container says of itself. Errors: 'usage' for impossible sizes. */
export function newHeader(create: CreateOptions): Header {
  const blockBytes = create.blockSizeBytes ?? DEFAULT_BLOCK_BYTES;
  checkBlockSize(blockBytes);
  checkSize(create.sizeBytes);
  return {
    features: NO_FEATURES,
    imageId: create.imageId ?? crypto.getRandomValues(new Uint8Array(16)),
    blockBytes,
    compression: create.compression ?? { codec: 'zstd', level: 2 },
    nextVersion: 1,
    versionCount: 0,
    unreclaimed: 0,
    head: { branch: 'main', version: null },
    working: { sizeBytes: create.sizeBytes, map: null, sharedGeneration: 0 },
    log: { next: 0, youngMark: 0, dataBytes: 0, deadBlocks: 0 },
    trees: { versions: null, children: null, refs: null, marks: null, log: null },
    space: {
      free: null,
      bySize: null,
      pending: null,
      reserve: [],
      end: RECORDS_OFFSET,
      freeBytes: 0,
      pendingBytes: 0,
    },
  };
}

/** Errors: 'usage'. */
export function checkBlockSize(blockBytes: number): void {
  const isPower = Number.isSafeInteger(blockBytes) && (blockBytes & (blockBytes - 1)) === 0;
  if (isPower && blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES) return;
  throw new VsimgError(
    'usage',
    `block size ${blockBytes} is not a power of two from ${MIN_BLOCK_BYTES} to ${MAX_BLOCK_BYTES}`,
    { hint: 'give such as 4k' },
  );
}

/** Errors: 'usage' for a size that is not a whole number from 0 to what the map can address. */
export function checkSize(sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new VsimgError('usage', `size ${sizeBytes} is not a whole number of bytes below 2^53`, {
      hint: 'give a smaller one',
    });
  }
}
