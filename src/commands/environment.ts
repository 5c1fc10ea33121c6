import { wrap } from '../cli/program.ts';

/** Variables of the environment, which no single command owns. */
export const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ['COLUMNS', 'Width for help and tables where the output is not a terminal.'],
  ['NO_COLOR', 'If set and not empty, nothing is coloured, on terminals neither.'],
  [
    'SOURCE_DATE_EPOCH',
    'Seconds since 1970. Versions get this date instead of the present one, and a new image gets an id derived from ' +
      'its properties instead of a random one, so that equal commands on equal data make equal files.',
  ],
  [
    'VSIMG_LOCKING',
    "'off' for file systems without byte-range locks: nothing keeps two writers, or a writer and a long reader, apart any more, " +
      "so be sure that nobody else uses the image. Default: 'on'.",
  ],
  ['VSIMG_DEBUG', 'If set, neither empty nor 0, errors are followed by where in the program they arose.'],
];

/** The same for a terminal. */
export function environmentLines(columns: number): string[] {
  return ENVIRONMENT.flatMap(([name, meaning]) => [name, ...wrap(meaning, columns - 4).map((line) => `    ${line}`)]);
}
