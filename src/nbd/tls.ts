import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { createSecureContext, TLSSocket } from 'node:tls';
import { VsimgError } from '../errors.ts';
import { systemError } from '../storage/system-error.ts';

export interface TlsOptions {
  /** With `server-cert.pem` and `server-key.pem` and, to verify clients, `ca-cert.pem`: the names that nbdkit and qemu use. */
  readonly directory: string;
  /** Clients need a certificate of that authority. */
  readonly verifyPeer: boolean;
}

/** How a connection is encrypted from now on. Errors: 'not-found', 'permission', 'usage' for files that are no certificates. */
export function encrypter({ directory, verifyPeer }: TlsOptions): (socket: Duplex) => Duplex {
  const file = (name: string): Buffer => {
    const path = join(directory, name);
    try {
      return readFileSync(path);
    } catch (cause) {
      throw systemError(`cannot read '${path}'`, cause, { path });
    }
  };
  const parts = {
    cert: file('server-cert.pem'),
    key: file('server-key.pem'),
    ...(verifyPeer ? { ca: file('ca-cert.pem') } : {}),
  };
  let secureContext: ReturnType<typeof createSecureContext>;
  try {
    secureContext = createSecureContext({ ...parts, minVersion: 'TLSv1.2' });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VsimgError('usage', `the certificates in '${directory}' can not be used: ${reason}`, {
      path: directory,
      hint: 'it takes server-cert.pem and server-key.pem, a pair, and ca-cert.pem',
      cause,
    });
  }
  return (socket) =>
    new TLSSocket(socket, { isServer: true, secureContext, requestCert: verifyPeer, rejectUnauthorized: verifyPeer });
}
