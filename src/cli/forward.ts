import { resolve } from 'node:path';
import { callControl } from '../control/caller.ts';
import { VsimgError } from '../errors.ts';
import { controlDirectory } from './control-directory.ts';
import type { Io } from './io.ts';

/** Variables that a command looks at. */
const PASSED = /^(VSIMG_.*|SOURCE_DATE_EPOCH|NO_COLOR|TERM|COLUMNS)$/;

/**
 * Has a command line carried out by the process that holds the image; undefined if that one does not do it for others.
 * Errors: 'io' if it went away before it said how that ended.
 */
export async function forward(imagePath: string, argv: readonly string[], io: Io): Promise<number | undefined> {
  const env = Object.fromEntries(
    Object.entries(io.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && PASSED.test(entry[0]),
    ),
  );
  const { columns, stdoutIsTerminal, stderrIsTerminal } = io;
  const request = { argv, directory: resolve('.'), env, columns, stdoutIsTerminal, stderrIsTerminal };
  const answer = await callControl(controlDirectory(io), imagePath, request, {
    input: () => io.stdin,
    output: async ({ kind, bytes }) => {
      const stream = kind === 'stdout' ? io.stdout : io.stderr;
      if (!stream.write(bytes)) await new Promise((done) => stream.once('drain', done));
    },
  });
  if (answer === undefined) return undefined;
  if (answer.status !== undefined) return answer.status;
  throw new VsimgError(
    'io',
    `${imagePath}: the server that has it open ended before it said what became of the command`,
    {
      path: imagePath,
      hint: "'vsimg log' and 'vsimg status' tell whether it was carried out",
    },
  );
}
