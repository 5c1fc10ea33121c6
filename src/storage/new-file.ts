import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { VsimgError } from '../errors.ts';
import { closeQuietly } from './descriptor.ts';
import { FileStorage } from './file.ts';
import { systemCode, systemError } from './system-error.ts';
import { lockTemporary, removeAbandoned, temporaryName, unlockTemporary } from './temporary.ts';

export interface NewFileOptions {
  /** Replace a regular file of that name. Default: 'exists' is thrown. */
  readonly force?: boolean;
  /** As for `FileStorage.open`. */
  readonly locking?: 'on' | 'off';
  /** 'off': `publish` does not wait for the disk, so a power cut may leave the name with other bytes. Default 'on'. */
  readonly sync?: 'on' | 'off';
}

/** Each loses a race against somebody who removes what others left. */
const MAX_TRIES = 20;

/** What link(2) answers on file systems without hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']);

const unfinished = new Set<NewFile>();

/** Aborts every `NewFile` that was not published; for the signal handler of a program about to end. */
export function removeUnfinishedFiles(): void {
  for (const file of [...unfinished]) file.abort();
}

/**
 * A file that is filled under a temporary name in the final directory (`.NAME.tmp-PID-random`) and appears
 * under its own name complete and durable, or not at all. Its maker holds a lock on it; temporary files of that name
 * which nobody holds any more, because their makers were killed, are removed.
 */
export class NewFile {
  /** Where the bytes go. Messages call it by the final name; it stays open, with its locks, after `publish`. */
  readonly storage: FileStorage;
  /** The final path; with `force`, symbolic links are followed, so that a link goes on pointing to the file. */
  readonly path: string;
  readonly #temporaryPath: string;
  readonly #force: boolean;
  readonly #sync: 'on' | 'off';

  private constructor(storage: FileStorage, path: string, options: NewFileOptions) {
    this.storage = storage;
    this.path = path;
    this.#temporaryPath = storage.path;
    this.#force = options.force ?? false;
    this.#sync = options.sync ?? 'on';
    unfinished.add(this);
  }

  /** Errors: 'exists', 'not-found' (no such directory), 'permission', 'no-space', 'io'. */
  static begin(path: string, options: NewFileOptions = {}): NewFile {
    const force = options.force ?? false;
    const old = statIfThere(path, force);
    if (old !== undefined && !force) throw existsAlready(path);
    if (old !== undefined && !old.isFile()) throw notReplaceable(path, old);
    const finalPath = old === undefined ? path : realPath(path);
    const locking = options.locking ?? 'on';
    if (locking === 'on') removeAbandoned(finalPath);
    const storage = createTemporary(finalPath, { name: path, locking, old });
    if (old !== undefined) keepOwnerAndMode(storage.path, old);
    return new NewFile(storage, finalPath, options);
  }

  /**
   * Makes the bytes durable, then the name. Errors: 'exists' (without `force`, if the name was taken meanwhile),
   * 'no-space', 'permission', 'io'; the caller aborts then.
   */
  publish(): void {
    if (!unfinished.has(this)) throw new VsimgError('internal', `'${this.path}' is published twice or after an abort`);
    if (this.#sync === 'on') this.storage.sync();
    if (this.#force) this.#rename();
    else this.#link();
    unfinished.delete(this);
    unlockTemporary(this.storage);
    if (this.#sync === 'on') syncDirectory(dirname(this.path));
  }

  /** Removes the temporary file and closes the storage; does nothing after `publish`. Never throws. */
  abort(): void {
    if (!unfinished.delete(this)) return;
    this.storage.close();
    removeQuietly(this.#temporaryPath);
  }

  #link(): void {
    try {
      // Unlike rename(2), link(2) never replaces a file that came meanwhile.
      fs.linkSync(this.#temporaryPath, this.path);
    } catch (cause) {
      const code = systemCode(cause);
      if (code === 'EEXIST') throw existsAlready(this.path);
      if (code === undefined || !NO_LINKS.has(code))
        throw systemError(`cannot create '${this.path}'`, cause, { path: this.path });
      // The gap between the question and the renaming is the price of a file system without links.
      if (statIfThere(this.path, false) !== undefined) throw existsAlready(this.path);
      this.#rename();
      return;
    }
    removeQuietly(this.#temporaryPath);
  }

  #rename(): void {
    try {
      fs.renameSync(this.#temporaryPath, this.path);
    } catch (cause) {
      throw systemError(`cannot create '${this.path}'`, cause, { path: this.path });
    }
  }
}

interface TemporaryOptions {
  readonly name: string;
  readonly locking: 'on' | 'off';
  /** The file to be replaced. */
  readonly old: fs.Stats | undefined;
}

function createTemporary(finalPath: string, { name, locking, old }: TemporaryOptions): FileStorage {
  const permissions = old === undefined ? {} : { permissions: old.mode & 0o777 };
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const path = join(dirname(finalPath), temporaryName(basename(finalPath), locking));
    let storage: FileStorage | undefined;
    try {
      storage = FileStorage.open(path, { mode: 'create-exclusive', name, locking, ...permissions });
      if (lockTemporary(storage)) return storage;
      storage.close();
    } catch (error) {
      storage?.close();
      const isAnothers = error instanceof VsimgError && error.code === 'exists';
      if (!isAnothers) removeQuietly(path);
      throw error;
    }
  }
  throw new VsimgError('io', `cannot create '${name}': others keep removing its temporary file`, {
    path: name,
    hint: 'try again',
  });
}

/** Makes the names in a directory durable. Errors: 'io'. */
function syncDirectory(path: string): void {
  let fd: number;
  try {
    fd = fs.openSync(path, 'r');
  } catch {
    return; // Windows, or a directory that may be searched but not read: there is nothing to call fsync on.
  }
  try {
    fs.fsyncSync(fd);
  } catch (cause) {
    const code = systemCode(cause);
    if (code !== 'EINVAL' && code !== 'EPERM' && code !== 'ENOTSUP')
      throw systemError(`cannot make '${path}' durable`, cause, { path });
  } finally {
    closeQuietly(fd);
  }
}

function statIfThere(path: string, follow: boolean): fs.Stats | undefined {
  try {
    return follow ? fs.statSync(path) : fs.lstatSync(path);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw systemError(`cannot create '${path}'`, cause, { path });
  }
}

function realPath(path: string): string {
  try {
    return fs.realpathSync(path);
  } catch (cause) {
    throw systemError(`cannot create '${path}'`, cause, { path });
  }
}

/** Somebody who made the old file private wants its successor private too. */
function keepOwnerAndMode(path: string, old: fs.Stats): void {
  try {
    const made = fs.statSync(path);
    if (made.uid !== old.uid || made.gid !== old.gid) fs.chownSync(path, old.uid, old.gid);
  } catch {
    // Only root may give files away.
  }
  try {
    fs.chmodSync(path, old.mode & 0o777);
  } catch {
    // FAT and the like: the mode it was created with has to do.
  }
}

function removeQuietly(path: string): void {
  try {
    fs.unlinkSync(path);
  } catch {
    // A file left over harms nobody; the work itself succeeded, or failed for a reason already reported.
  }
}

function existsAlready(path: string): VsimgError {
  const old = fs.lstatSync(path, { throwIfNoEntry: false });
  if (old?.isDirectory() === true) return notReplaceable(path, old);
  return new VsimgError('exists', `'${path}' exists already`, {
    path,
    hint: 'choose another name, or replace it with --force',
  });
}

function notReplaceable(path: string, old: fs.Stats): VsimgError {
  const kind = old.isDirectory() ? 'it is a directory' : 'it is not a regular file';
  return new VsimgError('exists', `cannot replace '${path}': ${kind}`, { path, hint: 'choose another name' });
}
