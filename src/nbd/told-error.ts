import { type ErrorCode, VsimgError } from '../errors.ts';
import { NBD_ERROR, type NbdError } from './protocol.ts';

const ERRORS: ReadonlyMap<ErrorCode, NbdError> = new Map([
  ['no-space', NBD_ERROR.ENOSPC],
  ['permission', NBD_ERROR.EPERM],
]);

/** What a client is told of an error, by number and in words. */
export function toldError(error: unknown): readonly [NbdError, string] {
  return error instanceof VsimgError ? [numberOf(error), error.message] : [NBD_ERROR.EIO, 'the server has a fault'];
}

/** What can not be done because something before it failed fails as that did: who waits for room must be able to tell. */
function numberOf({ code, cause }: VsimgError): NbdError {
  return ERRORS.get(code) ?? (cause instanceof VsimgError ? numberOf(cause) : NBD_ERROR.EIO);
}
