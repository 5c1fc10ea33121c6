import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { createSecureContext, createServer, type TlsOptions as ServerOptions } from 'node:tls';
import { VsimgError } from '../errors.ts';
import { systemError } from '../storage/system-error.ts';

export interface TlsOptions {
  /** With `server-cert.pem` and `server-key.pem` and, to verify clients, `ca-cert.pem`: the names that nbdkit and qemu use. */
  readonly directory: string;
  /** Clients need a certificate of that authority. */
  readonly verifyPeer: boolean;
}

/** Resolves to what is said over a connection once both sides agree on its encryption. Errors: 'refused'. */
export type Encrypt = (socket: Duplex) => Promise<Duplex>;

/** How a connection is encrypted from now on. Errors: 'not-found', 'permission', 'usage' for files that are no certificates. */
export function encrypter({ directory, verifyPeer }: TlsOptions): Encrypt {
  const file = (name: string): Buffer => {
    const path = join(directory, name);
    try {
      return readFileSync(path);
    } catch (cause) {
      throw systemError(`cannot read '${path}'`, cause, { path });
    }
  };
  const options: ServerOptions = {
    cert: file('server-cert.pem'),
    key: file('server-key.pem'),
    ...(verifyPeer ? { ca: file('ca-cert.pem') } : {}),
    minVersion: 'TLSv1.2',
    requestCert: verifyPeer,
    rejectUnauthorized: verifyPeer,
  };
  try {
    createSecureContext(options);
  } catch (cause) {
    throw new VsimgError('usage', `the certificates in '${directory}' can not be used: ${reasonOf(cause)}`, {
      path: directory,
      hint: 'it takes server-cert.pem and server-key.pem, a pair, and ca-cert.pem',
      cause,
    });
  }
  return (socket) => encryptOne(socket, options);
}

/** By a server that never listens: only a server compares the client's certificate with the authority. */
function encryptOne(socket: Duplex, options: ServerOptions): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const refuse = (cause?: unknown): void => {
      const reason = cause === undefined ? 'it left, or its certificate is not known' : reasonOf(cause);
      reject(new VsimgError('refused', `a client was turned away while TLS began: ${reason}`, { cause }));
    };
    socket.once('close', () => refuse());
    const server = createServer(options, (encrypted) => resolve(encrypted));
    server.on('tlsClientError', refuse);
    server.emit('connection', socket);
  });
}

/** In one line: what OpenSSL says has places in its source around it. */
function reasonOf(cause: unknown): string {
  if (cause instanceof Error && 'reason' in cause && typeof cause.reason === 'string') return cause.reason;
  return cause instanceof Error ? cause.message : String(cause);
}
