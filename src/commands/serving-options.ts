import { resolve } from 'node:path';
import type { CommandContext } from '../cli/context.ts';
import { parseCount } from '../cli/number.ts';
import { inheritedSocket } from '../cli/socket-activation.ts';
import { VsimgError } from '../errors.ts';
import type { ConnectionOptions } from '../nbd/connection.ts';
import type { Encryption } from '../nbd/negotiation.ts';
import type { Address, InheritedSocket } from '../nbd/server.ts';

/** The port that is registered for NBD. */
const DEFAULT_PORT = 10_809;
const MAX_PORT = 65_535;
/** What the system has room for in the address of a Unix socket, with the zero at its end. */
const MAX_SOCKET_PATH_BYTES = 107;

/** Undefined: a socket of the server's own, for the command that it runs. Errors: 'usage'. */
export function addressOf(
  { args, io }: CommandContext,
  { hasCommand }: { readonly hasCommand: boolean },
): Address | InheritedSocket | undefined {
  const descriptor = inheritedSocket(io);
  const words = hasCommand ? '-- COMMAND' : (['socket', 'bind', 'port'] as const).find((name) => args.has(name));
  if (descriptor !== undefined) {
    if (words === undefined) return { kind: 'inherited', descriptor };
    const given = hasCommand ? words : `--${words}`;
    throw new VsimgError('usage', `there is a socket already (LISTEN_FDS), and ${given}`, {
      hint: 'leave one of them out',
    });
  }
  const socket = args.value('socket');
  const host = hostOf(args.value('bind'));
  const port = args.value('port');
  if (socket !== undefined && (host !== undefined || port !== undefined))
    throw new VsimgError('usage', '--socket excludes --bind and --port', { hint: 'give one or the other' });
  if (socket === '') throw new VsimgError('usage', '--socket needs a name', { hint: 'give --socket PATH' });
  if (socket !== undefined) {
    const path = resolve(socket);
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
      throw new VsimgError(
        'usage',
        `a socket can not have a name of more than ${MAX_SOCKET_PATH_BYTES} bytes: '${path}'`,
        {
          hint: 'use a directory with a shorter name',
        },
      );
    return { kind: 'unix', path };
  }
  if (host === undefined && port === undefined && hasCommand) return undefined;
  const number = port === undefined ? DEFAULT_PORT : parseCount(port, '--port');
  if (number > MAX_PORT)
    throw new VsimgError('usage', `there is no port ${number}`, { hint: `give one up to ${MAX_PORT}` });
  return { kind: 'tcp', host: host ?? '127.0.0.1', port: number };
}

/** Brackets, which URIs have around addresses of IPv6, may stand there. Errors: 'usage' for an address with a port. */
function hostOf(bind: string | undefined): string | undefined {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(bind ?? '') ?? [];
  if (host !== undefined)
    throw new VsimgError('usage', `'${bind}' is an address and a port`, {
      hint: `give '--bind ${host.replace(/[[\]]/g, '')} --port ${port}'`,
    });
  return bind?.replace(/^\[(.*)\]$/, '$1');
}

/** How clients are encrypted. Errors: 'usage'. */
export async function tlsOf({ args }: CommandContext): Promise<Pick<ConnectionOptions, 'encryption' | 'encrypt'>> {
  const mode = args.value('tls') ?? (args.has('tls-certificates') ? 'require' : 'off');
  const encryption = (
    { off: 'none', on: 'offered', require: 'required' } as const satisfies Record<string, Encryption>
  )[mode];
  if (encryption === undefined)
    throw new VsimgError('usage', `--tls is '${mode}'`, { hint: "give 'off', 'on' or 'require'" });
  const directory = args.value('tls-certificates');
  if (encryption === 'none') {
    if (directory !== undefined || args.has('tls-verify-peer'))
      throw new VsimgError('usage', 'there are options for TLS, but --tls is off', {
        hint: 'give --tls on or --tls require',
      });
    return { encryption };
  }
  if (directory === undefined)
    throw new VsimgError('usage', 'TLS needs certificates', { hint: 'give --tls-certificates DIR' });
  // TLS takes 5 ms to load.
  const { encrypter } = await import('../nbd/tls.ts');
  return { encryption, encrypt: encrypter({ directory, verifyPeer: args.has('tls-verify-peer') }) };
}

/** Errors: 'usage' for an address where everybody could reach the server without TLS. */
export function checkReach(
  { args }: CommandContext,
  address: Address | InheritedSocket | undefined,
  encryption: Encryption,
): void {
  if (address?.kind !== 'tcp' || isLoopback(address.host) || encryption === 'required' || args.has('allow-remote'))
    return;
  throw new VsimgError('usage', `everybody on the network could read the image at ${address.host}`, {
    hint: 'give --tls require and --tls-certificates, or --allow-remote if that is wanted',
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
