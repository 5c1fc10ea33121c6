import { VsimgError } from '../errors.ts';
import type { Compression } from '../image/api.ts';

export const DEFAULT_COMPRESSION: Compression = { codec: 'zstd', level: 2 };

/** For those who type: a level may be any from 1 to 22. */
export const CODECS: readonly string[] = ['none', 'zstd', 'zstd:3', 'zstd:9', 'zstd:19'];

/**
 * `none`, `zstd` or `zstd:LEVEL` with a level from 1 to 22.
 * @throws VsimgError 'usage'
 */
export function parseCompression(text: string): Compression {
  if (text === 'none') return { codec: 'none' };
  if (text === 'zstd') return DEFAULT_COMPRESSION;
  const level = Number(/^zstd:(\d{1,2})$/.exec(text)?.[1] ?? Number.NaN);
  if (level >= 1 && level <= 22) return { codec: 'zstd', level };
  throw new VsimgError('usage', `--compression '${text}' is not known`, {
    hint: "it is 'none', 'zstd' or 'zstd:LEVEL' with a level from 1 to 22",
  });
}

/** As `parseCompression` reads it. */
export function formatCompression(compression: Compression): string {
  return compression.codec === 'none' ? 'none' : `zstd:${compression.level}`;
}
