import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import type { Io, StopSignal } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';

export const BINARY = fileURLToPath(new URL('../../bin/vsimg.js', import.meta.url));

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface RunResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

/** Collects what is written to it. */
class Sink extends Writable {
  readonly #parts: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#parts.push(Buffer.from(chunk));
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export interface FakeIo extends Io {
  readonly written: { readonly stdout: Buffer; readonly stderr: Buffer };
  /** Status given to `exit`, if it was called. */
  readonly exited: number | undefined;
  /** What was written to further descriptors; there are none but 3. */
  readonly progress: string;
  /** As if the process got the signal. */
  stop(signal: StopSignal): void;
}

export interface FakeIoOptions extends RunOptions {
  readonly terminals?: 'none' | 'both';
  readonly columns?: number;
  readonly nowMilliseconds?: number;
  readonly stdout?: Writable;
}

/** A process that is none: for running `main` within the test. */
export function fakeIo(options: FakeIoOptions = {}): FakeIo {
  const sinks = { stdout: new Sink(), stderr: new Sink() };
  const listeners = new Set<(signal: StopSignal) => void>();
  const terminals = options.terminals === 'both';
  let progress = '';
  let exited: number | undefined;
  return {
    stdin: options.stdin === undefined ? new PassThrough().end() : Readable.from([Buffer.from(options.stdin)]),
    stdout: options.stdout ?? sinks.stdout,
    stderr: sinks.stderr,
    env: options.env ?? {},
    stdoutIsTerminal: terminals,
    stderrIsTerminal: terminals,
    columns: options.columns ?? 80,
    now: () => options.nowMilliseconds ?? Date.UTC(2026, 0, 2, 3, 4, 5),
    writeAtOnce: (bytes) => bytes,
    writeTo(descriptor, text) {
      if (descriptor !== 3) throw new Error('EBADF');
      progress += text;
    },
    onProgressRequest: () => undefined,
    get progress() {
      return progress;
    },
    onStop(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    exit(status) {
      exited = status;
    },
    stop(signal) {
      for (const listener of [...listeners]) listener(signal);
    },
    get exited() {
      return exited;
    },
    get written() {
      return { stdout: sinks.stdout.bytes, stderr: sinks.stderr.bytes };
    },
  };
}

/** Runs a command line within this process. */
export async function runInProcess(argv: readonly string[], options: FakeIoOptions = {}): Promise<RunResult> {
  const io = fakeIo(options);
  const status = await main(argv, io);
  const { stdout, stderr } = io.written;
  return { status, signal: null, stdout: stdout.toString(), stdoutBytes: stdout, stderr: stderr.toString() };
}

/** Runs a command line as users do: by the installed program, in a process of its own. */
export function runBinary(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return runProgram(process.execPath, [BINARY, ...argv], options);
}

/** Runs a script of bash, in which `vsimg` is the program. */
export function runShell(script: string, options: RunOptions = {}): Promise<RunResult> {
  const env = { ...options.env, NODE: process.execPath, VSIMG: BINARY };
  const prelude = 'vsimg() { "$NODE" "$VSIMG" "$@"; }\n';
  return runProgram('bash', ['-c', prelude + script], { ...options, env });
}

/** Runs any program. */
export function runProgram(program: string, argv: readonly string[], options: RunOptions): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const {
      NODE_EXTRA_CA_CERTS: _slow,
      NO_COLOR: _plain,
      COLUMNS: _width,
      SOURCE_DATE_EPOCH: _date,
      ...inherited
    } = process.env;
    const child = spawn(program, argv, {
      cwd: options.cwd,
      env: { ...inherited, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that fails early leaves its input unread.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
    child.on('error', reject);
    child.on('close', (status, signal) => {
      const stdoutBytes = Buffer.concat(stdout);
      resolve({
        status,
        signal,
        stdout: stdoutBytes.toString(),
        stdoutBytes,
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/** A directory that is gone when the tests of the file are over. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'vsimg-test-'));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
