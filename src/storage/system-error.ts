import { type ErrorCode, VsimgError, type VsimgErrorDetails } from '../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  /** Ends the sentence "cannot read 'x': ...". */
  readonly text: string;
  readonly hint: string;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: {
    code: 'no-space',
    text: 'no space left on the file system',
    hint: 'free some space on that file system and try again',
  },
  EDQUOT: {
    code: 'no-space',
    text: 'the disk quota is used up',
    hint: 'free some space within your quota and try again',
  },
  EFBIG: {
    code: 'no-space',
    text: 'the file would exceed the largest size allowed',
    hint: "check 'ulimit -f' and the file system's limit on file sizes",
  },
  EACCES: {
    code: 'permission',
    text: 'permission denied',
    hint: 'check the permissions of the file and of its directory',
  },
  EPERM: {
    code: 'permission',
    text: 'operation not permitted',
    hint: 'check the permissions of the file and of its directory',
  },
  EROFS: {
    code: 'permission',
    text: 'the file system is read-only',
    hint: 'use a place that can be written to, or mount the file system for writing',
  },
  ENOENT: { code: 'not-found', text: 'no such file or directory', hint: 'check the path' },
  ENOTDIR: { code: 'not-found', text: 'a part of the path is not a directory', hint: 'check the path' },
  ENXIO: { code: 'not-found', text: 'no such device', hint: 'check the path' },
  ENODEV: { code: 'not-found', text: 'no such device', hint: 'check the path' },
  EEXIST: { code: 'exists', text: 'it exists already', hint: 'choose another name' },
  EISDIR: { code: 'io', text: 'it is a directory', hint: 'name a file in it' },
  ELOOP: { code: 'io', text: 'too many symbolic links', hint: 'check where the links lead to' },
  ENAMETOOLONG: { code: 'io', text: 'the name is too long', hint: 'choose a shorter one' },
  EBUSY: { code: 'locked', text: 'it is in use', hint: 'unmount it, or close the program that uses it' },
  ETXTBSY: { code: 'locked', text: 'it is a program that is running', hint: 'end the program' },
  EMFILE: { code: 'io', text: 'too many open files', hint: "check 'ulimit -n'" },
  ENFILE: { code: 'io', text: 'too many open files in the system', hint: 'end programs that are not needed' },
  EIO: { code: 'io', text: 'input/output error', hint: "the disk may be failing: see the system log ('dmesg')" },
  EPIPE: { code: 'io', text: 'nobody reads the other end', hint: 'see why its reader ended' },
  EBADF: { code: 'io', text: 'it is not open for this', hint: 'check how input and output are redirected' },
  EINVAL: { code: 'io', text: 'the system does not support this here', hint: 'try another file system or device' },
};

/** The system's name for `error`, such as 'ENOSPC', or undefined if it is no system error. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * The `VsimgError` for `cause`, a failed system call. `what` was tried, to be followed by ": reason", for
 * instance "cannot open 'a.vsi'". The codes it gives: 'no-space', 'permission', 'not-found', 'exists',
 * 'locked' and, for all else, 'io'. A `VsimgError` is passed through.
 */
export function systemError(what: string, cause: unknown, details: VsimgErrorDetails = {}): VsimgError {
  if (cause instanceof VsimgError) return cause;
  const name = systemCode(cause);
  const meaning = name === undefined ? undefined : MEANINGS[name];
  if (meaning !== undefined) {
    return new VsimgError(meaning.code, `${what}: ${meaning.text}`, { hint: meaning.hint, ...details, cause });
  }
  const reason = name ?? (cause instanceof Error ? cause.message : String(cause));
  const hint = name === undefined ? 'try again' : `errno(3) explains ${name}`;
  return new VsimgError('io', `${what}: ${reason}`, { hint, ...details, cause });
}

/**
 * True if `error` says that the reader of our output went away (EPIPE), as in `vsimg ... | head`: no fault,
 * and the program should end without a message.
 */
export function isBrokenPipe(error: unknown): boolean {
  return systemCode(error instanceof VsimgError ? error.cause : error) === 'EPIPE';
}
