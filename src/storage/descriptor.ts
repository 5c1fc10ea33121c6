import fs from 'node:fs';
import { VsimgError } from '../errors.ts';
import { systemCode, systemError } from './system-error.ts';

/** More than the kernel moves in one call (2 GiB - 4 KiB) is refused by Node, so big requests go in parts. */
const MAX_CALL_BYTES = 1_073_741_824;

/** How messages call the file a descriptor belongs to: its path. */
export interface Descriptor {
  readonly fd: number;
  readonly name: string;
}

/**
 * Fills `buffer` from byte `position` on; returns the bytes read, fewer than asked only at the end of the file.
 * Errors: 'io', 'permission'.
 */
export function readAt({ fd, name }: Descriptor, buffer: Uint8Array, position: number): number {
  let done = 0;
  while (done < buffer.length) {
    let count: number;
    try {
      count = fs.readSync(fd, buffer, done, Math.min(buffer.length - done, MAX_CALL_BYTES), position + done);
    } catch (cause) {
      // libuv retries interrupted calls on most platforms; this covers the rest.
      if (systemCode(cause) === 'EINTR') continue;
      throw systemError(`cannot read '${name}' at byte ${position + done}`, cause, {
        path: name,
        hostOffset: position + done,
      });
    }
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Writes all of `buffer` at byte `position`. Errors: 'no-space', 'permission', 'io'. */
export function writeAt({ fd, name }: Descriptor, buffer: Uint8Array, position: number): void {
  let done = 0;
  while (done < buffer.length) {
    const at = position + done;
    let count: number;
    try {
      count = fs.writeSync(fd, buffer, done, Math.min(buffer.length - done, MAX_CALL_BYTES), at);
    } catch (cause) {
      if (systemCode(cause) === 'EINTR') continue;
      throw systemError(`cannot write '${name}' at byte ${at}`, cause, { path: name, hostOffset: at });
    }
    if (count === 0) {
      throw new VsimgError('io', `cannot write '${name}' at byte ${at}: the system wrote nothing`, {
        path: name,
        hostOffset: at,
        hint: 'try again; if it stays so, the file system is at fault',
      });
    }
    done += count;
  }
}

/** Returns when the file's bytes and length would survive a power cut. Errors: 'io', 'no-space'. */
export function syncData({ fd, name }: Descriptor): void {
  try {
    // POSIX counts the length among what is needed to read the data back, so fdatasync covers growing and
    // shrinking; it only leaves out times. On macOS Node asks for F_FULLFSYNC in either call.
    fs.fdatasyncSync(fd);
  } catch (cause) {
    throw systemError(`cannot make '${name}' durable`, cause, { path: name });
  }
}

/** The same while this thread goes on; the descriptor must stay open meanwhile. */
export function syncDataMeanwhile({ fd, name }: Descriptor): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (cause) => {
      if (cause === null) resolve();
      else reject(systemError(`cannot make '${name}' durable`, cause, { path: name }));
    });
  });
}

/** Sets the length in bytes; new bytes read as zeros. Errors: 'no-space', 'permission', 'io'. */
export function setLength({ fd, name }: Descriptor, lengthBytes: number): void {
  try {
    fs.ftruncateSync(fd, lengthBytes);
  } catch (cause) {
    throw systemError(`cannot set the length of '${name}' to ${lengthBytes} bytes`, cause, { path: name });
  }
}

/** How many use a descriptor, and those of them that are closed when nobody does any more. */
const users = new Map<number, number>();
const closing = new Set<number>();

/**
 * For as long as other threads work on the file: keeps its number from becoming that of another file, and its locks held,
 * even if it is closed meanwhile. The file must be open. Returns the function that lets go.
 */
export function keepOpen({ fd }: Descriptor): () => void {
  users.set(fd, (users.get(fd) ?? 0) + 1);
  return () => {
    const left = (users.get(fd) ?? 1) - 1;
    if (left > 0) {
      users.set(fd, left);
      return;
    }
    users.delete(fd);
    if (closing.delete(fd)) closeQuietly(fd);
  };
}

/** Closes without complaint, at the latest when nobody needs the file open: whatever had to be durable was synced before. */
export function closeQuietly(fd: number): void {
  if (users.has(fd)) {
    closing.add(fd);
    return;
  }
  try {
    fs.closeSync(fd);
  } catch {
    // Nothing can be done about it, and the descriptor is gone on Linux even then.
  }
}
