import { statusTable } from './exit-statuses.ts';

/** Something that more than one command needs explained. */
export interface Topic {
  readonly name: string;
  readonly summary: string;
  readonly lines: () => string[];
}

const REVISIONS = `A revision (REV) names a version:

  3              version number 3; numbers count commits and are never reused
  v1.0           the version that tag v1.0 names
  main           the newest version of branch main
  HEAD           the version the working state was made from
  HEAD~2         the parent of HEAD's parent; ~N works after any of these
  1a2b3c4d       the version whose id begins so, if there is only one

IMAGE@REV names a version of an image, as in

  vsimg export disk.vsi@v1.0 old.raw

and -l REV does the same. IMAGE alone is the working state. If there is a file
of the whole name 'IMAGE@REV' it is that file. A beginning of an id that fits
several versions is refused.

Where a command takes two versions, A..B is the same as A B; an end left out is
HEAD. In 'vsimg delete', 'vsimg du' and 'vsimg rev-parse', 3..7 stands for all
versions numbered from 3 to 7.`;

const SIZES = `Sizes and offsets are bytes, with or without a unit:

  512            bytes
  4k, 4K, 4KiB   units are powers of 1024: k, M, G, T, P, E, in either case
  1.5G           a fraction, if it comes to a whole number of bytes
  0x1000         hexadecimal, without a unit

KB, MB and so on are refused because they could mean powers of 1000. The largest
size is 9007199254740991 bytes (8 PiB - 1).`;

export const TOPICS: readonly Topic[] = [
  { name: 'revisions', summary: 'how versions are named', lines: () => REVISIONS.split('\n') },
  { name: 'sizes', summary: 'how sizes and offsets are written', lines: () => SIZES.split('\n') },
  { name: 'exit-statuses', summary: 'what a command ends with', lines: statusTable },
];
