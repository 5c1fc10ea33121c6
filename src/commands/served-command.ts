import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { VsimgError } from '../errors.ts';

/**
 * Runs a command to its end: one word as a shell runs it, several as they are. Resolves to its exit status, as a shell tells
 * it. Errors: 'not-found' if there is no such command, 'permission'.
 */
export function runCommand(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): RunningCommand {
  const [first = '', ...rest] = words;
  const child =
    words.length === 1
      ? spawn('/bin/sh', ['-c', first], { stdio: 'inherit', env })
      : spawn(first, rest, { stdio: 'inherit', env });
  const status = new Promise<number>((done, fail) => {
    child.on('error', (cause) => fail(startError(first, cause)));
    child.on('exit', (code, signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  return { status, stop: (signal) => child.kill(signal) };
}

export interface RunningCommand {
  readonly status: Promise<number>;
  readonly stop: (signal: NodeJS.Signals) => void;
}

function startError(command: string, cause: Error): VsimgError {
  const code = 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT')
    return new VsimgError('not-found', `cannot run '${command}': there is no such program`, {
      hint: 'check its name and PATH',
      cause,
    });
  return new VsimgError('permission', `cannot run '${command}': ${cause.message}`, {
    hint: 'check that it is a program',
    cause,
  });
}
