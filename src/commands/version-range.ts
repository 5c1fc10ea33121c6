import { parseCount } from '../cli/number.ts';
import { VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';

/** `3..7` as the versions there are between these numbers; anything else as it is. */
export function expandRange(image: Image, rev: string): string[] {
  const match = /^(\d+)\.\.(\d+)$/.exec(rev);
  if (match === null) return [rev];
  const first = parseCount(match[1] ?? '', 'the range');
  const last = parseCount(match[2] ?? '', 'the range');
  const found: string[] = [];
  for (const { number } of image.versions()) {
    if (number < first) break;
    if (number <= last) found.push(String(number));
  }
  if (found.length === 0) {
    throw new VsimgError('not-found', `there is no version in ${rev}`, {
      hint: `'vsimg log ${image.path}' lists them`,
      path: image.path,
    });
  }
  return found.reverse();
}
