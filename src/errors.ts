/**
 * The one error class that leaves this library, and the one table of its codes and exit statuses.
 * Every message says what went wrong and where; `hint` says what to do about it.
 */

/** Error codes with the exit status the command-line tool gives for each. */
export const EXIT_STATUS = {
  /** `compare`, `diff --exit-code`: there are differences. Not an error. */
  differs: 1,
  /** `check`: it could not be carried out, for whatever reason but a wrong command line. Not a code of errors. */
  'check-incomplete': 1,
  /** `check`: errors were found. Same numbers as `qemu-img check`. */
  'check-errors': 2,
  /** `check`: leaks were found, but no errors. */
  'check-leaks': 3,
  /** Wrong command line: unknown option, bad size, missing argument. */
  usage: 64,
  /** The container is damaged, truncated or not a container at all. */
  corrupt: 65,
  /** No such file, version, tag or branch. */
  'not-found': 66,
  /** The container needs a feature this program does not have. */
  unsupported: 69,
  /** A fault inside the program: please report. */
  internal: 70,
  /** Target exists already: file, tag or branch. */
  exists: 73,
  /** Reading or writing failed. */
  io: 74,
  /** Another process is writing the container. */
  locked: 75,
  /** No permission, or a read-only file or file system. */
  permission: 77,
  /** The request contradicts the image's state, such as uncommitted changes in the way. */
  refused: 78,
  /** No space left on the file system. */
  'no-space': 79,
  /** Stopped by SIGHUP (128 + 1): the terminal went away. */
  hangup: 129,
  /** Stopped by SIGINT (128 + 2). */
  interrupted: 130,
  /** `read` and `export -`: nobody took all of the data. As a shell tells of programs that SIGPIPE ends (128 + 13). */
  'broken-pipe': 141,
  /** Stopped by SIGTERM (128 + 15). */
  terminated: 143,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

export interface VsimgErrorDetails {
  /** What the user can do about it, one sentence. */
  readonly hint?: string;
  /** The file the error is about. */
  readonly path?: string;
  /** Byte position in the container file. */
  readonly hostOffset?: number;
  /** Byte position in the guest's disk. */
  readonly guestOffset?: number;
  /** 'locked': the process that holds the lock, or null if that can not be found out. */
  readonly holder?: { readonly pid: number; readonly command: string } | null;
  /** Where it is not the one of the code. */
  readonly exitStatus?: number;
  readonly cause?: unknown;
}

/** The only error class that leaves the library. */
export class VsimgError extends Error {
  override readonly name = 'VsimgError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly path: string | undefined;
  readonly hostOffset: number | undefined;
  readonly guestOffset: number | undefined;
  readonly holder: VsimgErrorDetails['holder'];
  readonly #details: VsimgErrorDetails;

  constructor(code: ErrorCode, message: string, details: VsimgErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.path = details.path;
    this.hostOffset = details.hostOffset;
    this.guestOffset = details.guestOffset;
    this.holder = details.holder;
    this.#details = details;
  }

  /** The status the process ends with when this error reaches `main`. */
  get exitStatus(): number {
    return this.#details.exitStatus ?? EXIT_STATUS[this.code];
  }

  /** The same error for somebody who knows more of it. */
  retold(changes: VsimgErrorDetails & { readonly message?: string }): VsimgError {
    const { message = this.message, ...details } = changes;
    return new VsimgError(this.code, message, { ...this.#details, cause: this, ...details });
  }
}

/** Damage in the container: `what` is wrong at `hostOffset`. */
export function corrupt(what: string, hostOffset?: number): VsimgError {
  return new VsimgError('corrupt', what, {
    hint: "run 'vsimg check' to see what is damaged",
    ...(hostOffset === undefined ? {} : { hostOffset }),
  });
}

/** True for what damage to the file looks like, found by us or by the disk; anything else is no damage. */
export function isDamage(error: unknown): error is VsimgError {
  return error instanceof VsimgError && (error.code === 'corrupt' || error.code === 'io');
}

/** What `action` gives, or undefined if the container is damaged there. A disk that fails is no such damage: it may read better another time. */
export function unlessCorrupt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof VsimgError && error.code === 'corrupt') return undefined;
    throw error;
  }
}
