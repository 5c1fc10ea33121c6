import { type Io, processIo } from './io.ts';
import { asksForVersion, VERSION_LINE } from './version.ts';

/**
 * Runs one command line, `argv` without the names of Node and the script. Results go to stdout, errors as one
 * line to stderr; the result is the exit status. What is not needed at once is loaded later, for start-up time.
 */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  if (asksForVersion(argv) && isWritten(VERSION_LINE, io)) return 0;
  // Before there is anything to tell the signal must not wake Node's debugger, which it does by itself.
  io.onProgressRequest(() => undefined);
  const { runCommandLine } = await import('./run.ts');
  return runCommandLine(argv, io);
}

/** False also after an error: whoever tries again reports it. */
function isWritten(text: string, io: Io): boolean {
  try {
    return io.writeAtOnce(Buffer.from(text)).length === 0;
  } catch {
    return false;
  }
}
