import fs from 'node:fs';
import { join } from 'node:path';
import { VsimgError } from '../errors.ts';
import { systemError } from '../storage/system-error.ts';

/** Where processes of one user find each other. It belongs to this user alone: whoever can connect there may do what he may do. */
export interface ControlDirectory {
  readonly path: string;
  /** Undefined where there are no such numbers. */
  readonly userId: number | undefined;
}

/**
 * The socket of the process that has an image open for writing: by which file it is and not by its name. Undefined for a file
 * that is not there.
 */
export function controlPath({ path }: ControlDirectory, imagePath: string): string | undefined {
  const stat = fs.statSync(imagePath, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? undefined : join(path, `${stat.dev.toString(16)}-${stat.ino.toString(16)}.sock`);
}

/** Makes the directory if it is not there. Errors: 'permission' for one that others could write to, 'io'. */
export function prepareControlDirectory(directory: ControlDirectory): void {
  const { path } = directory;
  try {
    fs.mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'))
      throw systemError(`cannot make '${path}'`, cause, { path });
  }
  if (!isPrivate(directory))
    throw new VsimgError('permission', `'${path}' could be changed by others`, { path, hint: 'remove it' });
}

/** True if nobody else can put anything there. */
export function isPrivate({ path, userId }: ControlDirectory): boolean {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && (userId === undefined || stat.uid === userId) && (stat.mode & 0o077) === 0;
}
