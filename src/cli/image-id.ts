import { createHash } from 'node:crypto';
import type { CreateOptions } from '../image/api.ts';
import { formatCompression } from './compression.ts';
import { stampSeconds } from './time.ts';

/**
 * Under SOURCE_DATE_EPOCH the id of a new image comes from what it is made of, so that equal inputs give equal
 * containers; otherwise the engine takes a random one.
 */
export function reproducibleId(
  env: Readonly<Record<string, string | undefined>>,
  options: CreateOptions & Required<Pick<CreateOptions, 'compression'>>,
): Pick<CreateOptions, 'imageId'> {
  if (env.SOURCE_DATE_EPOCH === undefined || env.SOURCE_DATE_EPOCH === '') return {};
  const facts = [
    stampSeconds(env, 0),
    options.sizeBytes,
    options.blockSizeBytes ?? 'default',
    formatCompression(options.compression),
  ];
  const digest = createHash('sha256')
    .update(`vsimg image ${facts.join(' ')}`)
    .digest();
  return { imageId: Uint8Array.from(digest.subarray(0, 16)) };
}
