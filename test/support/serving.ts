import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { env } from 'node:process';
import { createInterface } from 'node:readline';
import { expect, onTestFinished } from 'vitest';
import { BINARY, type RunOptions, type RunResult, runProgram } from './cli.ts';
import { EPOCH, type Workspace } from './workspace.ts';

/** `vsimg serve` in a process of its own. */
export interface Serving {
  readonly pid: number;
  /** What it said of itself, a URI unless it was told otherwise. */
  readonly firstLine: string;
  /** Of an export; of the working state without a name. */
  readonly uri: (name?: string) => string;
  /** Resolves when the server has ended by itself. */
  readonly ended: Promise<ServingEnd>;
  /** Tells it to stop, unless it ended before. */
  readonly stop: () => Promise<ServingEnd>;
}

export interface ServingEnd {
  readonly status: number | null;
  readonly stderr: string;
}

export interface ServingOptions {
  readonly image?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the server may say until its end; by default nothing. */
  readonly stderr?: RegExp;
  /** The test ends it with SIGKILL. */
  readonly mayBeKilled?: true;
}

let socketCount = 0;

/**
 * Serves an image, at a Unix socket unless `argv` says where, from its first line until the test ends. The server must end
 * with status 0 then, and leave an image in which everything is sound.
 */
export async function startServing(
  { directory, ok }: Workspace,
  argv: readonly string[] = [],
  { image = 'a.vsi', env: more, stderr: allowed = /^$/, mayBeKilled }: ServingOptions = {},
): Promise<Serving> {
  const where = argv.some((word) => ['--socket', '--port', '--bind'].includes(word))
    ? []
    : ['--socket', `${++socketCount}.sock`];
  const child = spawn(process.execPath, [BINARY, 'serve', image, ...where, ...argv], {
    cwd: directory,
    env: { ...env, SOURCE_DATE_EPOCH: String(EPOCH), ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (bytes) => {
    stderr += String(bytes);
  });
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, stderr }));
  const stop = (): Promise<ServingEnd> => {
    child.kill('SIGTERM');
    return ended;
  };
  onTestFinished(async () => {
    const end = await stop();
    expect(end).toEqual({ status: mayBeKilled ? null : 0, stderr: expect.stringMatching(allowed) });
    await ok(['check', image, '--data', '-q']);
  });
  const lines = createInterface(child.stdout);
  const [first] = await Promise.race([once(lines, 'line'), ended.then((end) => Promise.reject(new Error(end.stderr)))]);
  const firstLine = String(first);
  const uri = (name = ''): string => {
    const address = new URL(firstLine);
    address.pathname = `/${name}`;
    return address.href;
  };
  return { pid: child.pid ?? 0, firstLine, uri, ended, stop };
}

/** Runs a program that must succeed; gives back what it printed. */
export async function client(program: string, argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await runProgram(program, argv, options);
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')}: status ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** Runs a program that must fail; gives back what it says. */
export async function refusedClient(
  program: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { status, stdout, stderr }: RunResult = await runProgram(program, argv, options);
  expect({ program, argv, status }).not.toEqual({ program, argv, status: 0 });
  return stdout + stderr;
}

/** Runs a script in Python with `h`, a handle of libnbd, and `uri`; gives back what it prints. */
export function nbdShell(uri: string, script: string): Promise<string> {
  // Debian's module is for Debian's Python, which may not be the first one.
  const PATH = `/usr/bin:${env['PATH']}`;
  return client('nbdsh', ['-c', `uri = ${JSON.stringify(uri)}`, '-c', '-'], { stdin: script, env: { PATH } });
}
