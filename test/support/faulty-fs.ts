import fs from 'node:fs';

/** Calls of `node:fs` that src/storage makes, by what the system calls them. */
const FUNCTIONS = {
  open: ['openSync'],
  read: ['readSync'],
  write: ['writeSync'],
  fdatasync: ['fdatasyncSync'],
  fsync: ['fsyncSync'],
  ftruncate: ['ftruncateSync'],
  link: ['linkSync'],
  rename: ['renameSync'],
  unlink: ['unlinkSync'],
  fstat: ['fstatSync'],
  close: ['closeSync'],
  stat: ['statSync', 'lstatSync'],
  readdir: ['readdirSync'],
  realpath: ['realpathSync'],
} as const;

export type FaultKind = keyof typeof FUNCTIONS;

/** An error of the system; 'short': half of the bytes; 'nothing': no byte, without an error. */
export type FaultEffect = 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EROFS' | 'EACCES' | 'EMFILE' | 'short' | 'nothing';

export interface Fault {
  readonly kind: FaultKind;
  /** Which call of that kind goes wrong; the first is 1. */
  readonly call: number;
  readonly effect: FaultEffect;
  /** All later calls of that kind go wrong too, as on a disk that is full or gone. */
  readonly lasting?: boolean;
}

type Call = (...args: unknown[]) => unknown;

const functions = fs as unknown as Record<string, Call>;

/** Makes calls on files in one directory go wrong; files elsewhere are left alone. One at a time in a process. */
export class FaultyFs {
  readonly #directory: string;
  /** Descriptors of files in the directory that are open. */
  readonly #descriptors = new Set<unknown>();
  #calls = 0;
  #fired = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** How often the fault has struck. */
  get fired(): number {
    return this.#fired;
  }

  /** Files that were opened and not closed. */
  get openFiles(): number {
    return this.#descriptors.size;
  }

  /** Runs `action` with `fault` in wait; everything is as it was when it ends. */
  async during<T>(fault: Fault, action: () => Promise<T>): Promise<T> {
    this.#calls = 0;
    this.#fired = 0;
    this.#descriptors.clear();
    const originals = new Map<string, Call>();
    for (const [kind, names] of Object.entries(FUNCTIONS)) {
      for (const name of names) {
        const original = functions[name] as Call;
        originals.set(name, original);
        functions[name] = (...args) => this.#meet(kind as FaultKind, original, args, fault);
      }
    }
    try {
      return await action();
    } finally {
      for (const [name, original] of originals) functions[name] = original;
    }
  }

  #meet(kind: FaultKind, original: Call, args: unknown[], fault: Fault): unknown {
    if (!this.#isWatched(args)) return original(...args);
    const strikes = kind === fault.kind && this.#strikes(fault);
    if (kind === 'close') {
      // The descriptor is gone on Linux whatever close(2) says.
      this.#descriptors.delete(args[0]);
      original(...args);
      if (strikes) throw systemFailure(fault.effect, kind);
      return undefined;
    }
    if (strikes) {
      if (fault.effect === 'nothing') return 0;
      if (fault.effect !== 'short') throw systemFailure(fault.effect, kind);
      const [descriptor, buffer, from, length, position] = args;
      return original(descriptor, buffer, from, Math.ceil(Number(length) / 2), position);
    }
    // Nobody cuts the power here: waiting for the disk would only cost time.
    if (kind === 'fdatasync' || kind === 'fsync') return undefined;
    const result = original(...args);
    if (kind === 'open') this.#descriptors.add(result);
    return result;
  }

  #isWatched(args: readonly unknown[]): boolean {
    const [first] = args;
    return typeof first === 'string' ? first.startsWith(this.#directory) : this.#descriptors.has(first);
  }

  #strikes(fault: Fault): boolean {
    this.#calls++;
    if (this.#calls !== fault.call && !(fault.lasting === true && this.#calls > fault.call)) return false;
    this.#fired++;
    return true;
  }
}

function systemFailure(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall });
}
