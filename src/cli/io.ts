import { createReadStream, createWriteStream, fstatSync, readFileSync, type Stats, writeSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';

/** What asks a process to stop: a key, another program, or a terminal that goes away. */
export const STOP_SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
export type StopSignal = (typeof STOP_SIGNALS)[number];

/** Everything a command may know of the process around it, so that tests can run one inside another process. */
export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  /** Width of the terminal, or 80 where there is none. */
  readonly columns: number;
  /** Milliseconds since 1970. */
  now(): number;
  /**
   * Writes to stdout without waiting and without the machinery of streams, which costs start-up time; gives back
   * what could not be written so. @throws the system's error
   */
  writeAtOnce(bytes: Uint8Array): Uint8Array;
  /** Writes to a descriptor that the user named, at once or, where that would take waiting, not at all. @throws the system's error */
  writeTo(descriptor: number, text: string): void;
  /** Calls `listener`, to the end of the process, when somebody asks how far the work is (SIGUSR1). */
  onProgressRequest(listener: () => void): void;
  /** Calls `listener` when the process is asked to stop; returns the way to take the listener back. */
  onStop(listener: (signal: StopSignal) => void): () => void;
  /**
   * Flags of the open files 0 to 2 (fcntl(2)) as they were before this process used them; undefined where that is not known, and as long as
   * something that was said is not in the hands of the system. Absent where there is no process of its own.
   */
  flagsToLeave?(): readonly number[] | undefined;
  /** Ends the process at once, by `signal`, which a shell tells as `status`; where there are no signals with `status`. */
  exit(status: number, signal: StopSignal): void;
}

class ProcessIo implements Io {
  #stdin: Readable | undefined;
  #stdout: Writable | undefined;
  /** Of the open files that have a stream of Node's, which changes their flags: what these were, if that is known. */
  readonly #flags = new Map<number, number | undefined>();

  // Getters, because Node builds each of these streams when it is first touched, which costs start-up time.
  get stdin(): Readable {
    this.#note(0);
    this.#stdin ??= isForeign(0) ? createReadStream('', { fd: 0, autoClose: false }) : process.stdin;
    return this.#stdin;
  }
  get stdout(): Writable {
    this.#note(1);
    this.#stdout ??= isForeign(1) ? createWriteStream('', { fd: 1, autoClose: false }) : process.stdout;
    return this.#stdout;
  }
  get stderr(): Writable {
    this.#note(2);
    return process.stderr;
  }
  get env(): Readonly<Record<string, string | undefined>> {
    return process.env;
  }
  get stdoutIsTerminal(): boolean {
    if (!isCharacterDevice(1)) return false;
    this.#note(1);
    return process.stdout.isTTY === true;
  }
  get stderrIsTerminal(): boolean {
    if (!isCharacterDevice(2)) return false;
    this.#note(2);
    return process.stderr.isTTY === true;
  }
  get columns(): number {
    const fromEnvironment = Number(process.env.COLUMNS);
    if (Number.isInteger(fromEnvironment) && fromEnvironment > 0) return fromEnvironment;
    // A terminal that does not know its size says 0.
    return (this.stdoutIsTerminal && process.stdout.columns) || 80;
  }
  now(): number {
    return Date.now();
  }
  writeAtOnce(bytes: Uint8Array): Uint8Array {
    // The console of Windows takes text only by way of its stream.
    if (process.platform === 'win32') return bytes;
    let rest = bytes;
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // A pipe that somebody made non-blocking is full: the stream knows how to wait for it.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
    return rest;
  }
  writeTo(descriptor: number, text: string): void {
    const stat = fstatSync(descriptor);
    // What Node keeps open for itself is none of these, except pipes.
    if (!(stat.isFIFO() || stat.isFile() || stat.isSocket() || stat.isCharacterDevice()))
      throw new Error('it is nothing to write to');
    try {
      writeSync(descriptor, text);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
  }
  onProgressRequest(listener: () => void): void {
    // Never taken back: without a listener the signal would end the process.
    process.on('SIGUSR1', listener);
  }
  onStop(listener: (signal: StopSignal) => void): () => void {
    for (const signal of STOP_SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, listener);
    };
  }
  flagsToLeave(): readonly number[] | undefined {
    if ((this.#stdout?.writableLength ?? 0) > 0) return undefined;
    if (this.#flags.has(2) && process.stderr.writableLength > 0) return undefined;
    const flags = [0, 1, 2].map((fd) => (this.#flags.has(fd) ? this.#flags.get(fd) : flagsOf(fd)));
    return flags.every((known) => known !== undefined) ? flags : undefined;
  }
  #note(fd: number): void {
    if (!this.#flags.has(fd)) this.#flags.set(fd, flagsOf(fd));
  }
  exit(status: number, signal: StopSignal): void {
    if (process.platform !== 'win32') {
      // Shells make the same status of it. On Node 24, process.exit now and then waits forever for a thread that compiles.
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    }
    process.exit(status);
  }
}

/** Cheaper than asking for a terminal, which loads a good part of Node's networking. */
function isCharacterDevice(descriptor: number): boolean {
  return statOf(descriptor)?.isCharacterDevice() === true;
}

/** Node takes block devices and directories for nothing at all: reading gives no bytes, writing loses them, without an error. */
function isForeign(descriptor: number): boolean {
  const stat = statOf(descriptor);
  return stat?.isBlockDevice() === true || stat?.isDirectory() === true;
}

/** As Linux tells them, in octal digits. */
function flagsOf(descriptor: number): number | undefined {
  try {
    const [, digits] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1')) ?? [];
    return digits === undefined ? undefined : Number.parseInt(digits, 8);
  } catch {
    return undefined;
  }
}

function statOf(descriptor: number): Stats | undefined {
  try {
    return fstatSync(descriptor);
  } catch {
    return undefined;
  }
}

/** The real process. */
export function processIo(): Io {
  return new ProcessIo();
}
