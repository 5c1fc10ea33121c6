import { CachedScript } from './code-cache.ts';
import type { Io } from './io.ts';

/** Collection of garbage drops the code of functions that were not called for a while; then a cache would lack them. */
const MAX_SECONDS = 2;

/** The file with the program, set by the build. */
declare const PROGRAM_FILE: string;

type Program = Pick<typeof import('./run.ts'), 'endNow' | 'runCommandLine'>;

/** Stands for run.ts in the built program, where that and everything behind it is one script with a cache. */
export async function runCommandLine(argv: readonly string[], io: Io): Promise<number> {
  const [command = ''] = argv;
  const path = `${__dirname}/${PROGRAM_FILE}`;
  const script = new CachedScript(path, /^[a-z]+$/.test(command) ? command : 'other');
  const program = { exports: {} as Program };
  (script.run() as (...module: readonly unknown[]) => void)(program.exports, require, program, path, __dirname);
  const status = await program.exports.runCommandLine(argv, io);
  const showsHelp = argv.includes('--help') || argv.includes('-h');
  if (status === 0 && !showsHelp && process.uptime() < MAX_SECONDS) script.save();
  program.exports.endNow(status, io);
  return status;
}
