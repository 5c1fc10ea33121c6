import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, getuid } from 'node:process';
import { VsimgError } from '../errors.ts';
import { systemError } from '../storage/system-error.ts';

/**
 * Where the process that has an image open for writing listens for commands, by which file it is and not by its name. The
 * directory belongs to this user alone: whoever can connect there may do what he may do. Undefined for a file that is not there.
 */
export function controlPath(imagePath: string): string | undefined {
  const stat = fs.statSync(imagePath, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? undefined : join(directory(), `${stat.dev.toString(16)}-${stat.ino.toString(16)}.sock`);
}

/** Makes the directory if it is not there. Errors: 'permission' for one that others could write to, 'io'. */
export function prepareControlDirectory(): void {
  const path = directory();
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'))
      throw systemError(`cannot make '${path}'`, cause, { path });
  }
  if (!isPrivate(path))
    throw new VsimgError('permission', `'${path}' could be changed by others`, { path, hint: 'remove it' });
}

/** True if nobody else can put anything there. */
export function isControlDirectoryPrivate(): boolean {
  return isPrivate(directory());
}

function isPrivate(path: string): boolean {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && (getuid === undefined || stat.uid === getuid()) && (stat.mode & 0o077) === 0;
}

function directory(): string {
  const runtime = env.XDG_RUNTIME_DIR;
  return runtime ? join(runtime, 'vsimg') : join(tmpdir(), `vsimg-${getuid?.() ?? 'user'}`);
}
