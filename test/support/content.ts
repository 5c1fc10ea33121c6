import type { DataSource, Piece } from '../../src/storage/transfer.ts';
import { SeededRandom } from './random.ts';

/** Seconds since 1970 of the first version of an image; each later one is a second younger. */
export const TIME = 1_700_000_000;

/** Bytes that do not compress, the same for the same seed. */
export function noise(lengthBytes: number, seed: number): Uint8Array {
  return new SeededRandom(seed).bytes(lengthBytes);
}

/** Bytes that compress well, the same for the same seed. */
export function text(lengthBytes: number, seed: number): Uint8Array {
  const line = Buffer.from(`line of seed ${seed}, number `);
  return Uint8Array.from({ length: lengthBytes }, (_, index) =>
    index % 64 < line.length ? (line[index % 64] as number) : 48 + ((index >>> 6) % 10),
  );
}

/** Pieces of `bytes`, with holes where whole 512-byte runs are zero. */
export function sourceOf(
  bytes: Uint8Array,
  options: { readonly length: 'known' | 'unknown' } = { length: 'known' },
): DataSource {
  return {
    sizeBytes: options.length === 'known' ? bytes.length : undefined,
    async *pieces(maxPieceBytes): AsyncIterable<Piece> {
      for (let start = 0; start < bytes.length; start += maxPieceBytes) {
        const part = bytes.subarray(start, start + maxPieceBytes);
        if (part.every((byte) => byte === 0)) yield { kind: 'hole', start, end: start + part.length };
        else yield { kind: 'data', start, bytes: part };
      }
    },
    close: () => {},
  };
}
