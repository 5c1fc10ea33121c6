import fs from 'node:fs';
import { VsimgError } from '../errors.ts';
import {
  closeQuietly,
  type Descriptor,
  readAt,
  setLength,
  syncData,
  syncDataMeanwhile,
  writeAt,
} from './descriptor.ts';
import { deviceSizeBytes } from './device-size.ts';
import { findLockHolder, type LockHolder } from './lock-holder.ts';
import { nativeFs } from './native-fs.ts';
import type { LockableStorage } from './storage.ts';
import { systemCode, systemError } from './system-error.ts';

export type FileMode = 'read' | 'write' | 'create-exclusive';

export interface FileStorageOptions {
  /** 'read' works on block devices too; 'create-exclusive' fails with 'exists' if anything has that name. */
  readonly mode: FileMode;
  /** 'off': every lock is granted at once and protects nothing. Default 'on'. */
  readonly locking?: 'on' | 'off';
  /** What to call the file in messages. Default: the path. */
  readonly name?: string;
  /** Permission bits of a created file, less the umask. Default: 0o666. */
  readonly permissions?: number;
}

/** What fcntl(2) answers where a file system, a kernel or (macOS) the package has no byte-range locks. */
const NO_LOCKS = new Set(['EINVAL', 'ENOLCK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']);

/** A regular file, or a block device opened for reading. */
export class FileStorage implements LockableStorage {
  readonly name: string;
  readonly path: string;
  readonly readOnly: boolean;
  readonly #descriptor: Descriptor;
  readonly #locking: 'on' | 'off';
  /** A device's length never changes; a file's is asked for each time, because another process may write it. */
  readonly #deviceSizeBytes: number | undefined;
  #closed = false;
  #canPunch = true;

  private constructor(
    path: string,
    descriptor: Descriptor,
    options: FileStorageOptions,
    deviceSize: number | undefined,
  ) {
    this.path = path;
    this.name = descriptor.name;
    this.readOnly = options.mode === 'read';
    this.#descriptor = descriptor;
    this.#locking = options.locking ?? 'on';
    this.#deviceSizeBytes = deviceSize;
  }

  /**
   * Opens the file at `path`, following symbolic links.
   * Errors: 'not-found', 'permission', 'exists' ('create-exclusive' only), 'io' for directories, pipes and the like.
   */
  static open(path: string, options: FileStorageOptions): FileStorage {
    const name = options.name ?? path;
    const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
    // Without O_NONBLOCK, opening a named pipe waits for somebody at the other end; on files it means nothing.
    const nonBlocking = fs.constants.O_NONBLOCK ?? 0;
    const flags = { read: O_RDONLY, write: O_RDWR, 'create-exclusive': O_RDWR | O_CREAT | O_EXCL }[options.mode];
    let fd: number;
    try {
      fd = fs.openSync(path, flags | nonBlocking, options.permissions ?? 0o666);
    } catch (cause) {
      throw systemError(`cannot ${options.mode === 'create-exclusive' ? 'create' : 'open'} '${name}'`, cause, {
        path: name,
      });
    }
    try {
      const descriptor = { fd, name };
      const stat = fs.fstatSync(fd);
      if (stat.isFile()) return new FileStorage(path, descriptor, options, undefined);
      if (stat.isBlockDevice() && options.mode === 'read') {
        return new FileStorage(path, descriptor, options, deviceSizeBytes(descriptor, stat.rdev));
      }
      const kind = stat.isDirectory()
        ? 'it is a directory'
        : stat.isBlockDevice()
          ? 'a block device cannot hold an image that is written to'
          : 'it is not a regular file';
      throw new VsimgError('io', `cannot open '${name}': ${kind}`, { path: name, hint: 'name a regular file' });
    } catch (cause) {
      closeQuietly(fd);
      throw systemError(`cannot open '${name}'`, cause, { path: name });
    }
  }

  get descriptor(): Descriptor {
    this.#assertOpen();
    return this.#descriptor;
  }

  /** False when another file has taken the path since it was opened. */
  isCurrent(): boolean {
    this.#assertOpen();
    try {
      const [here, there] = [fs.fstatSync(this.#descriptor.fd), fs.statSync(this.path)];
      return here.dev === there.dev && here.ino === there.ino;
    } catch (cause) {
      if (systemCode(cause) === 'ENOENT') return false;
      throw systemError(`cannot look at '${this.name}'`, cause, { path: this.name });
    }
  }

  size(): number {
    if (this.#deviceSizeBytes !== undefined) return this.#deviceSizeBytes;
    this.#assertOpen();
    try {
      return fs.fstatSync(this.#descriptor.fd).size;
    } catch (cause) {
      throw systemError(`cannot find the length of '${this.name}'`, cause, { path: this.name });
    }
  }

  allocatedBytes(): number | undefined {
    this.#assertOpen();
    try {
      // Windows does not count blocks.
      const blocks: number | undefined = fs.fstatSync(this.#descriptor.fd).blocks;
      return blocks === undefined ? undefined : blocks * 512;
    } catch (cause) {
      throw systemError(`cannot find the size of '${this.name}'`, cause, { path: this.name });
    }
  }

  read(buffer: Uint8Array, position: number): number {
    this.#assertOpen();
    return readAt(this.#descriptor, buffer, position);
  }

  write(buffer: Uint8Array, position: number): void {
    this.#assertWritable();
    writeAt(this.#descriptor, buffer, position);
  }

  truncate(lengthBytes: number): void {
    this.#assertWritable();
    setLength(this.#descriptor, lengthBytes);
  }

  sync(): void {
    this.#assertOpen();
    if (!this.readOnly) syncData(this.#descriptor);
  }

  syncMeanwhile(): Promise<void> {
    this.#assertOpen();
    return this.readOnly ? Promise.resolve() : syncDataMeanwhile(this.#descriptor);
  }

  /** Best effort: where it does not work the bytes stay, and the system is not asked again. */
  punch(start: number, end: number): void {
    this.#assertWritable();
    if (end <= start || !this.#canPunch) return;
    const native = nativeFs();
    try {
      if ('failure' in native) this.#canPunch = false;
      else native.module.trimSync(this.#descriptor.fd, start, end - start);
    } catch {
      // Giving space back is never needed for correctness, and no reason to fail a publication that is durable.
      this.#canPunch = false;
    }
  }

  /**
   * Errors: 'unsupported' where byte-range locks do not work, 'permission' for an exclusive lock on a file
   * opened for reading, 'io'.
   */
  tryLock(start: number, length: number, mode: 'shared' | 'exclusive'): boolean {
    this.#assertOpen();
    this.#assertLockRange(start, length);
    if (mode === 'exclusive' && this.readOnly) {
      throw new VsimgError('permission', `cannot lock '${this.name}' for writing: it is open for reading`, {
        path: this.name,
      });
    }
    if (this.#locking === 'off') return true;
    const native = nativeFs();
    if ('failure' in native) throw this.#noLocks('the native module fs-native-extensions did not load', native.failure);
    try {
      return native.module.tryLock(this.#descriptor.fd, start, length, { shared: mode === 'shared' });
    } catch (cause) {
      const code = systemCode(cause);
      if (code === 'EACCES') return false; // POSIX allows this for "held by another" beside EAGAIN.
      if (code !== undefined && NO_LOCKS.has(code)) throw this.#noLocks(`the system says ${code}`, cause);
      throw systemError(`cannot lock '${this.name}'`, cause, { path: this.name });
    }
  }

  unlock(start: number, length: number): void {
    this.#assertOpen();
    this.#assertLockRange(start, length);
    if (this.#locking === 'off') return;
    const native = nativeFs();
    if ('failure' in native) return;
    try {
      native.module.unlock(this.#descriptor.fd, start, length);
    } catch (cause) {
      throw systemError(`cannot unlock '${this.name}'`, cause, { path: this.name });
    }
  }

  /** The process that keeps others from locking the byte at `position`, where that can be found out. */
  lockHolder(position: number): LockHolder | undefined {
    this.#assertOpen();
    try {
      const { dev, ino } = fs.fstatSync(this.#descriptor.fd);
      return findLockHolder({ device: dev, inode: ino, position });
    } catch {
      // It only makes a message better.
      return undefined;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#descriptor.fd);
  }

  #assertOpen(): void {
    // A closed descriptor's number may belong to another file by now.
    if (this.#closed)
      throw new VsimgError('internal', `'${this.name}' is used after it was closed`, { path: this.name });
  }

  #assertWritable(): void {
    this.#assertOpen();
    if (this.readOnly)
      throw new VsimgError('permission', `cannot write '${this.name}': it is open for reading`, { path: this.name });
  }

  #assertLockRange(start: number, length: number): void {
    // To the system, length 0 means "to the end of the file, however long".
    if (start >= 0 && length > 0 && Number.isSafeInteger(start + length)) return;
    throw new VsimgError('internal', `bad lock range: ${length} bytes at ${start}`, { path: this.name });
  }

  #noLocks(reason: string, cause: unknown): VsimgError {
    return new VsimgError('unsupported', `cannot lock '${this.name}': file locks do not work here (${reason})`, {
      path: this.name,
      hint: 'if you are sure that nobody else uses the file, turn locking off with VSIMG_LOCKING=off',
      cause,
    });
  }
}
