import { type Stats, statSync } from 'node:fs';
import { VsimgError } from '../errors.ts';

/** What a command works on: a container and, where one was named, a revision in it. */
export interface Target {
  readonly path: string;
  /** As the user wrote it; null is the working state. */
  readonly rev: string | null;
}

type Exists = (path: string) => boolean;

function stat(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

export function fileExists(path: string): boolean {
  return stat(path) !== undefined;
}

/**
 * Splits `IMAGE@REV`. A file of the whole name wins; then the longest name before an `@` that is a file.
 * @throws VsimgError 'usage' if `revOption` (from `-l`) is given as well or REV is empty, 'not-found' if no
 *   part of the name is a file.
 */
export function parseTarget(text: string, revOption?: string, exists: Exists = fileExists): Target {
  const split = splitTarget(text, exists);
  if (revOption === undefined) return split;
  if (split.rev !== null) {
    throw new VsimgError('usage', `'${text}' names revision '${split.rev}' and -l names '${revOption}'`, {
      hint: 'give the revision once',
    });
  }
  if (revOption === '') throw emptyRevision();
  return { path: split.path, rev: revOption };
}

function splitTarget(text: string, exists: Exists): Target {
  if (text === '' || text === '-') {
    throw new VsimgError('usage', `an image must be a file, not '${text}'`, { hint: 'give the name of a .vsi file' });
  }
  if (exists(text)) return { path: text, rev: null };
  for (let at = text.lastIndexOf('@'); at > 0; at = text.lastIndexOf('@', at - 1)) {
    const path = text.slice(0, at);
    if (!exists(path)) continue;
    const rev = text.slice(at + 1);
    if (rev === '') throw emptyRevision();
    return { path, rev };
  }
  const lastAt = text.lastIndexOf('@');
  const either = lastAt > 0 ? ` and no '${text.slice(0, lastAt)}' before its '@'` : '';
  throw new VsimgError('not-found', `there is no file '${text}'${either}`, {
    hint: "check the name, or make an image with 'vsimg create' or 'vsimg import'",
  });
}

function emptyRevision(): VsimgError {
  return new VsimgError('usage', 'the revision is empty', {
    hint: "name one, such as 3 or v1; 'vsimg log IMAGE' lists them",
  });
}

/**
 * The container for a command that works on all of it and so takes no `@REV`.
 * @throws VsimgError 'usage' if a revision is named.
 */
export function parseImage(text: string, exists: Exists = fileExists): string {
  const { path, rev } = splitTarget(text, exists);
  if (rev === null) return path;
  throw new VsimgError('usage', `this command takes an image, and '@${rev}' names one of its versions`, {
    hint: `give '${path}' alone`,
  });
}

/**
 * A name for a container that may not be there yet. `disk.vsi@3` beside a `disk.vsi` is taken for a slip.
 * @throws VsimgError 'usage'
 */
export function parseNewImage(text: string, exists: Exists = fileExists): string {
  if (text !== '' && text !== '-' && !text.includes('@')) return text;
  try {
    return parseImage(text, exists);
  } catch (error) {
    if (error instanceof VsimgError && error.code === 'not-found') return text;
    throw error;
  }
}

/** Whether two names lead to one file. */
export function isSameFile(one: string, other: string): boolean {
  const first = stat(one);
  const second = stat(other);
  if (first === undefined || second === undefined) return false;
  return first.dev === second.dev && first.ino === second.ino && first.ino !== 0;
}

/**
 * Refuses to use one file as both ends of a transfer.
 * @throws VsimgError 'usage'
 */
export function requireDifferentFiles(one: string, other: string): void {
  if (!isSameFile(one, other)) return;
  throw new VsimgError('usage', `'${one}' and '${other}' are the same file`, { hint: 'name another file' });
}
