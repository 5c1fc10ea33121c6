import { wrap } from '../cli/program.ts';
import { environmentLines } from './environment.ts';
import { statusTable } from './exit-statuses.ts';

/** Something that more than one command needs explained. */
export interface Topic {
  readonly name: string;
  readonly summary: string;
  /** At most so wide; more than 80 columns are not used. */
  readonly lines: (columns: number) => string[];
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

A part of the disk is OFF:LEN, as in 'vsimg log --range':

  1M:64k         64 KiB from 1 MiB on
  63M:           from 63 MiB to the end of the disk
  :1M            the first MiB

Elsewhere it is --offset OFF --length LEN, and either may be left out.

KB, MB and so on are refused because they could mean powers of 1000. The largest
size is 9007199254740991 bytes (8 PiB - 1).`;

const FORMAT = `An image is one file, which refers to no other file. It holds

  versions       what was committed: they never change, and share what they have
                 in common
  working state  what 'vsimg write' changes, on top of the version checked out
  names          tags, which stay, and branches, which move with each commit
  log            the data of all of them, in chunks that are compressed
  free space     which 'vsimg gc' gives back

All of it has checksums, which are tested when it is read. A change is there as
a whole or not at all, whatever interrupts it; readers need not wait for it.
'vsimg info' tells the version of the format and the sizes. The manual page
vsi(5) describes it to the byte.`;

const SCRIPTING = `What a script can rely on:

  exit status    0 is success; 'vsimg help exit-statuses' lists all others
  --json         one document on stdout; fields are only ever added
  errors         one line on stderr, with --json a JSON object of one line
  -q             no messages; results and errors remain
  -              stdin or stdout, in 'import', 'export', 'read' and 'write'
  --wait         waits for another writer; readers never wait

With SOURCE_DATE_EPOCH in the environment, equal commands on equal data make
equal files. Messages for people may change at any time: do not read them.`;

export const TOPICS: readonly Topic[] = [
  { name: 'revisions', summary: 'how versions are named', lines: (columns) => fitted(REVISIONS, columns) },
  { name: 'sizes', summary: 'how sizes and offsets are written', lines: (columns) => fitted(SIZES, columns) },
  { name: 'format', summary: 'what an image consists of', lines: (columns) => fitted(FORMAT, columns) },
  { name: 'scripting', summary: 'what a script can rely on', lines: (columns) => fitted(SCRIPTING, columns) },
  { name: 'environment', summary: 'variables that change what is done', lines: (columns) => environmentLines(columns) },
  {
    name: 'exit-statuses',
    summary: 'what a command ends with',
    lines: (columns) => statusTable().flatMap((line) => fitLine(line, columns)),
  },
];

/** The texts are written for 80 columns; where there are fewer, each line goes on below itself. */
function fitted(text: string, columns: number): string[] {
  if (columns >= 80) return text.split('\n');
  return text
    .split('\n\n')
    .flatMap((block) => ['', ...(block.startsWith(' ') ? block.split('\n') : [block.replaceAll('\n', ' ')])])
    .slice(1)
    .flatMap((line) => fitLine(line, columns));
}

/** Where a line has columns of its own, those that follow begin below the last one. */
function fitLine(line: string, columns: number): string[] {
  if (line.length <= columns) return [line];
  const [, before = '', text = line] = /^(.* {2,}|)(.*)$/.exec(line) ?? [];
  if (before.length > columns / 2) return [before.trimEnd(), ...wrap(text, columns - 6).map((part) => `      ${part}`)];
  return wrap(text, columns - before.length).map((part, index) =>
    index === 0 ? before + part : ' '.repeat(before.length) + part,
  );
}
