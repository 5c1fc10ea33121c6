import fs from 'node:fs';
import { basename, join } from 'node:path';
import { monotonicMilliseconds } from './clock.ts';

/** The process that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Its command line on one line, shortened; a script that Node runs by its own name. */
  readonly command: string;
}

/** The file that is locked, as stat(2) names it, and the byte of it. */
export interface LockedByte {
  readonly device: number;
  readonly inode: number;
  readonly position: number;
}

const MAX_COMMAND_CHARACTERS = 100;
/** An error is not worth waiting longer for. */
const MAX_SEARCH_MILLISECONDS = 1000;

/**
 * Who holds the exclusive lock on a byte, as the kernel tells under `proc`; undefined where it does not: on other systems
 * than Linux, and for processes of other users, other pid namespaces and other hosts. Nothing about the holder
 * is stored in the file, so what is found is never out of date by more than this look takes.
 */
export function findLockHolder(locked: LockedByte, proc = '/proc'): LockHolder | undefined {
  const deadline = monotonicMilliseconds() + MAX_SEARCH_MILLISECONDS;
  // The youngest are the likeliest, and on a large host there are many.
  const processes = listed(proc).filter((name) => /^[0-9]+$/.test(name));
  for (const name of processes.sort((a, b) => Number(b) - Number(a))) {
    if (monotonicMilliseconds() > deadline) return undefined;
    const directory = join(proc, name);
    if (listed(join(directory, 'fd')).some((fd) => holdsLock(directory, fd, locked)))
      return { pid: Number(name), command: commandOf(directory) };
  }
  return undefined;
}

/** Processes come and go, and those of other users may not be looked into. */
function listed(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

function holdsLock(directory: string, fd: string, locked: LockedByte): boolean {
  try {
    const stat = fs.statSync(join(directory, 'fd', fd));
    if (stat.dev !== locked.device || stat.ino !== locked.inode) return false;
    return coversByte(fs.readFileSync(join(directory, 'fdinfo', fd), 'utf8'), locked.position);
  } catch {
    return false;
  }
}

/** Lines such as `lock: 1: OFDLCK ADVISORY WRITE -1 fe:00:2148830 START END` (proc_pid_fdinfo(5)); END may be `EOF`. */
function coversByte(fdinfo: string, position: number): boolean {
  for (const line of fdinfo.split('\n')) {
    const [, start, end] = /^lock:\s.*\sWRITE\s.*\s(\d+) (\d+|EOF)$/.exec(line) ?? [];
    if (start === undefined || end === undefined) continue;
    if (Number(start) <= position && (end === 'EOF' || position <= Number(end))) return true;
  }
  return false;
}

function commandOf(directory: string): string {
  let text: string;
  try {
    text = fs.readFileSync(join(directory, 'cmdline'), 'utf8');
  } catch {
    return '';
  }
  const words = withoutInterpreter(text.split('\0').filter((word) => word !== ''));
  // A name may hold control characters, and a terminal would obey them.
  const line = words.join(' ').replace(/\p{Cc}+/gu, ' ');
  return line.length <= MAX_COMMAND_CHARACTERS ? line : `${line.slice(0, MAX_COMMAND_CHARACTERS - 3)}...`;
}

/** `/usr/bin/node --options /usr/bin/vsimg.js import a b` is known to people as `vsimg import a b`. */
function withoutInterpreter(words: readonly string[]): string[] {
  const [program = '', ...rest] = words;
  const name = basename(program);
  if (!/^node(js)?(-[\d.]+)?$/.test(name)) return [name, ...rest];
  const script = rest.findIndex((word) => !word.startsWith('-'));
  if (script === -1) return [name, ...rest];
  return [basename(rest[script] as string).replace(/\.[cm]?js$/, ''), ...rest.slice(script + 1)];
}
