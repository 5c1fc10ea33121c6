import { parseCount } from '../cli/number.ts';
import { VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';

/** `3..7` as the versions there are between these numbers; anything else as it is. */
export function expandRange(image: Image, rev: string): string[] {
  const match = /^(\d+)\.\.(\d+)$/.exec(rev);
  if (match === null) {
    // Names never hold `..`, so that this can be nothing else.
    if (!rev.includes('..')) return [rev];
    throw new VsimgError('usage', `'${rev}' is not a range of version numbers`, {
      hint: 'give two numbers, such as 3..7, which stands for all from 3 to 7',
    });
  }
  const first = parseCount(match[1] ?? '', 'the range');
  const last = parseCount(match[2] ?? '', 'the range');
  if (first > last) {
    throw new VsimgError('usage', `the range ${rev} ends before it begins`, {
      hint: `write ${last}..${first}, with the smaller number first`,
    });
  }
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
