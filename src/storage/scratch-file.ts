import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { type ErrorCode, VsimgError } from '../errors.ts';
import { FileStorage } from './file.ts';
import type { Storage } from './storage.ts';
import { temporaryName } from './temporary.ts';

/** Another directory may do. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set(['permission', 'not-found']);

/**
 * A file without a name, which is gone when it is closed or this process ends: beside the file `path`, where there is room
 * for what belongs to that, or among the system's temporary files where nothing may be written there. Errors: 'permission', 'no-space', 'io'.
 */
export function openScratchFile(path: string): Storage {
  const name = temporaryName(basename(path), 'on');
  let beside: unknown;
  for (const directory of [dirname(path), tmpdir()]) {
    try {
      return openNameless(join(directory, name), path);
    } catch (error) {
      if (!(error instanceof VsimgError) || !ELSEWHERE.has(error.code)) throw error;
      beside ??= error;
    }
  }
  throw beside;
}

function openNameless(temporaryPath: string, path: string): Storage {
  const storage = FileStorage.open(temporaryPath, {
    mode: 'create-exclusive',
    locking: 'off',
    name: `temporary file for ${path}`,
    permissions: 0o600,
  });
  try {
    fs.unlinkSync(temporaryPath);
  } catch {
    // Whoever makes a file of that name next takes it for abandoned.
  }
  return storage;
}
