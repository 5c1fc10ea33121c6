import { existsSync, statSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { VsimgError } from '../errors.ts';
import { systemError } from '../storage/system-error.ts';
import { Connection, type ConnectionOptions } from './connection.ts';

/** Where clients come in. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  /** Port 0 stands for any that is free. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Somebody else listens already, and gave the socket to this process. */
export interface InheritedSocket {
  readonly kind: 'inherited';
  readonly descriptor: number;
}

export interface ServerOptions extends ConnectionOptions {
  /** Clients at a time; more are turned away. */
  readonly maxConnections: number;
  /** Called when a client came or went. */
  readonly onChange?: (clientCount: number) => void;
}

/** Listens, and keeps the list of those who are there. */
export class NbdServer {
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #connections = new Map<Connection, Promise<void>>();

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true }, (socket) =>
      this.#accept(socket),
    );
    this.#server.maxConnections = options.maxConnections;
    this.#server.on('drop', () =>
      options.onError(
        new VsimgError('refused', `a client was turned away: ${options.maxConnections} are here already`),
      ),
    );
  }

  get clientCount(): number {
    return this.#connections.size;
  }

  /** Resolves to where it listens really. Errors: 'exists' for an address in use, 'permission', 'not-found', 'io'. */
  listen(address: Address | InheritedSocket): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause) => reject(listenError(address, cause)));
      // Later errors are of clients that could not be let in, as for want of files; those that are there go on.
      this.#server.on('error', () => {});
      this.#server.listen(listenOptions(address), () => {
        const bound = this.#server.address();
        if (bound !== null && typeof bound === 'object')
          resolve({ kind: 'tcp', host: hostOf(address) ?? bound.address, port: bound.port });
        // Nobody knows the name of an inherited one.
        else resolve(address.kind === 'inherited' ? { kind: 'unix', path: '' } : address);
      });
    });
  }

  /** No more clients; those who are there are cut off. Resolves when all that they had open is closed. */
  async close(): Promise<void> {
    this.#server.close();
    for (const connection of this.#connections.keys()) connection.destroy();
    await Promise.all(this.#connections.values());
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, this.#options);
    const going = connection.run().finally(() => {
      this.#connections.delete(connection);
      this.#options.onChange?.(this.#connections.size);
    });
    this.#connections.set(connection, going);
    this.#options.onChange?.(this.#connections.size);
  }
}

function listenOptions(address: Address | InheritedSocket): ListenOptions & { readonly fd?: number } {
  if (address.kind === 'unix') return { path: address.path };
  return address.kind === 'tcp' ? { host: address.host, port: address.port } : { fd: address.descriptor };
}

function hostOf(address: Address | InheritedSocket): string | undefined {
  return address.kind === 'tcp' ? address.host : undefined;
}

function placeOf(address: Address | InheritedSocket): string {
  if (address.kind === 'unix') return `'${address.path}'`;
  return address.kind === 'tcp' ? `${address.host} port ${address.port}` : `descriptor ${address.descriptor}`;
}

/** What is at an address that can not be taken. */
function inUse(address: Address | InheritedSocket): { readonly reason: string; readonly hint: string } {
  if (address.kind !== 'unix') return { reason: 'it is in use', hint: 'give another --port' };
  if (statSync(address.path, { throwIfNoEntry: false })?.isSocket() === false)
    return { reason: 'it is no socket', hint: 'name a file that is not there yet' };
  return { reason: 'it is in use', hint: 'remove the file if no server uses it, or name another one' };
}

const WRONG_ADDRESSES: ReadonlyMap<unknown, string> = new Map([
  ['ENOTFOUND', 'there is no such host'],
  ['EAI_AGAIN', 'there is no such host, or nobody tells its address now'],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
]);

function listenError(address: Address | InheritedSocket, cause: unknown): VsimgError {
  const where = placeOf(address);
  const path = address.kind === 'unix' ? { path: address.path } : {};
  const wrong = cause instanceof Error && 'code' in cause ? WRONG_ADDRESSES.get(cause.code) : undefined;
  if (wrong !== undefined)
    return new VsimgError('not-found', `cannot listen at ${where}: ${wrong}`, {
      hint: "'--bind 0.0.0.0' is all of its addresses; 'ip address' lists them",
      cause,
    });
  if (cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE') {
    const { reason, hint } = inUse(address);
    return new VsimgError('exists', `cannot listen at ${where}: ${reason}`, { ...path, hint, cause });
  }
  // The system says of a directory that is not there that it is forbidden.
  if (address.kind === 'unix' && !existsSync(dirname(address.path)))
    return new VsimgError('not-found', `cannot listen at ${where}: there is no such directory`, {
      ...path,
      hint: 'make it, or name another one',
      cause,
    });
  const error = systemError(`cannot listen at ${where}`, cause, path);
  return error instanceof VsimgError ? error : new VsimgError('io', `cannot listen at ${where}`, { cause });
}
