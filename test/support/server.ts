import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { BINARY } from './cli.ts';
import { NbdClient } from './nbd-client.ts';

/** A `vsimg serve` that runs. */
export interface Serving {
  readonly socket: string;
  readonly pid: number;
  /** What it said on stderr so far. */
  readonly stderr: () => string;
  readonly client: () => NbdClient;
  /** Of its memory, from /proc: 'VmRSS' for now, 'VmHWM' for the most so far. */
  readonly memoryBytes: (field: 'VmRSS' | 'VmHWM') => number;
  /** Sends a signal and resolves to what it ended with. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>;
}

export interface ServeOptions {
  readonly argv?: readonly string[];
  /** Open files that the process may have, as `ulimit -n` sets it. */
  readonly openFiles?: number;
}

/** Serves an image at `nbd.sock` in `directory` until the test ends. */
export async function serve(directory: string, image: string, options: ServeOptions = {}): Promise<Serving> {
  const { argv = [], openFiles } = options;
  const socket = join(directory, 'nbd.sock');
  const words = [process.execPath, BINARY, 'serve', image, '--socket', socket, ...argv];
  const [program = '', ...rest] =
    openFiles === undefined ? words : ['/bin/sh', '-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', ...words];
  const child = spawn(program, rest, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const begun = await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), ended]);
  if (typeof begun === 'number' || begun === null) expect.fail(`serve ended with ${begun}: ${said}`);
  child.stdout.resume();
  const pid = child.pid ?? 0;
  return {
    socket,
    pid,
    stderr: () => said,
    client: () => new NbdClient(connect({ path: socket })),
    memoryBytes: (field) => {
      const [, kib] = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      return Number(kib) * 1024;
    },
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
  };
}
