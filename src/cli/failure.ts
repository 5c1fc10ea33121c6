import { VsimgError } from '../errors.ts';
import { isBrokenPipe, systemCode, systemError } from '../storage/system-error.ts';
import type { JsonObject } from './json.ts';
import { oneLine } from './table.ts';

/** Any thrown thing as the error the user is told about. */
export function asVsimgError(error: unknown): VsimgError {
  if (error instanceof VsimgError) return error;
  if (systemCode(error)?.startsWith('E') === true && error instanceof Error && 'syscall' in error) {
    const path = 'path' in error && typeof error.path === 'string' ? error.path : undefined;
    return systemError(path === undefined ? `${error.syscall} failed` : `cannot use '${path}'`, error);
  }
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new VsimgError('internal', `internal error: ${what}`, {
    hint: 'please report this; VSIMG_DEBUG=1 shows where it happened',
    cause: error,
  });
}

/** The same for whoever passes it on: that a reader went away is left as it is, for whoever has the output. */
export function asPassedError(error: unknown): unknown {
  return isBrokenPipe(error) ? error : asVsimgError(error);
}

/** `vsimg: what, where; what to do`, on one line. */
export function formatFailure(error: VsimgError): string {
  const where = places(error)
    .map((place) => `, ${place}`)
    .join('');
  const message = error.message.replace(inMessage(error), placeInFile(error));
  const hint = error.hint === undefined ? '' : `; ${error.hint.replace(/\.$/, '')}`;
  return oneLine(`vsimg: ${message}${where}${hint}`);
}

function places(error: VsimgError): string[] {
  const found: string[] = [];
  if (error.path !== undefined && !error.message.includes(error.path)) found.push(`in '${error.path}'`);
  if (error.guestOffset !== undefined && !new RegExp(`\\b${error.guestOffset}\\b`).test(error.message))
    found.push(`at byte ${error.guestOffset} of the disk`);
  if (error.hostOffset !== undefined && !inMessage(error).test(error.message)) found.push(placeInFile(error));
  return found;
}

/** Where the message itself tells the place, which is enough. */
function inMessage({ hostOffset }: VsimgError): RegExp {
  return new RegExp(`\\bat (byte )?${hostOffset}\\b( of the file)?`);
}

function placeInFile({ hostOffset }: VsimgError): string {
  return `at byte ${hostOffset} of the file`;
}

/** What `--json` prints on stderr, as one line, in place of the text. */
export function describeFailure(error: VsimgError, status: number): JsonObject {
  return {
    code: error.code,
    message: error.message,
    hint: error.hint ?? null,
    'exit-status': status,
    ...(error.path === undefined ? {} : { filename: error.path }),
    ...(error.hostOffset === undefined ? {} : { 'host-offset': error.hostOffset }),
    ...(error.guestOffset === undefined ? {} : { 'guest-offset': error.guestOffset }),
    ...(error.holder === undefined
      ? {}
      : { 'holder-pid': error.holder?.pid ?? null, 'holder-command': error.holder?.command ?? null }),
  };
}

/** The stack for whoever hunts a fault, with those of the causes. */
export function formatStack(error: unknown): string {
  const lines: string[] = [];
  for (let at: unknown = error; at instanceof Error && lines.length < 10; at = at.cause)
    lines.push(at.stack ?? at.message);
  return lines.join('\ncaused by: ');
}
