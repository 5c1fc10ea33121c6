import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pid } from 'node:process';
import { VsimgError } from '../errors.ts';
import { FileStorage } from './file.ts';

/** Whoever fills a temporary file holds this byte of it exclusively. No file is so long, and containers lock bytes below it. */
const LOCK_OFFSET = 2 ** 52;

/** Keeps the whole name within the 255 bytes of most file systems, at up to 4 bytes a character. */
const MAX_NAME_CHARACTERS = 40;

const SUFFIX = /^\d+-[0-9a-f]{12}$/;

/** What all locked temporary files for `name` begin with; the rest is as in `SUFFIX`. */
function prefixFor(name: string): string {
  // By code points: half a character is not a name that comes back from the file system.
  return `.${[...name].slice(0, MAX_NAME_CHARACTERS).join('')}.tmp-`;
}

/** A name that nobody has, in the directory of `name`. Without a lock it is one that nobody takes for abandoned. */
export function temporaryName(name: string, locking: 'on' | 'off'): string {
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(6))).toString('hex');
  const suffix = `${pid}-${random}`;
  return `${prefixFor(name)}${locking === 'on' ? '' : 'unlocked-'}${suffix}`;
}

/**
 * Marks a file just created as in use. False if somebody took it for abandoned in the moment before: then it is
 * gone, or will be. Where locks do not work there is nothing to mark it with, and nobody removes it. Errors: 'io'.
 */
export function lockTemporary(storage: FileStorage): boolean {
  try {
    return storage.tryLock(LOCK_OFFSET, 1, 'exclusive') && storage.isCurrent();
  } catch (error) {
    if (error instanceof VsimgError && error.code === 'unsupported') return true;
    throw error;
  }
}

/** To be called when the file has its final name. Never throws. */
export function unlockTemporary(storage: FileStorage): void {
  try {
    storage.unlock(LOCK_OFFSET, 1);
  } catch {
    // It goes with the descriptor; until then it is in nobody's way.
  }
}

/**
 * Removes temporary files for `finalPath` whose makers are gone. Never throws: what can not be removed, because it
 * belongs to somebody else or locks do not work, stays.
 */
export function removeAbandoned(finalPath: string): void {
  const directory = dirname(finalPath);
  const prefix = prefixFor(basename(finalPath));
  let names: string[];
  try {
    names = fs.readdirSync(directory);
  } catch {
    return;
  }
  for (const name of names) {
    if (name.startsWith(prefix) && SUFFIX.test(name.slice(prefix.length))) removeIfAbandoned(join(directory, name));
  }
}

function removeIfAbandoned(path: string): void {
  let storage: FileStorage | undefined;
  try {
    if (!fs.lstatSync(path).isFile()) return;
    storage = FileStorage.open(path, { mode: 'write' });
    // Its maker may have published it between the opening and the lock, and another may have taken the name.
    if (storage.tryLock(LOCK_OFFSET, 1, 'exclusive') && storage.isCurrent()) fs.unlinkSync(path);
  } catch {
    // See above.
  } finally {
    storage?.close();
  }
}
