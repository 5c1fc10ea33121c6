import { VsimgError } from '../errors.ts';
import type { Io } from './io.ts';

/** Where programs that start another one leave a socket for it: sd_listen_fds(3) of systemd. */
const FIRST_DESCRIPTOR = 3;

/** The socket that whoever started this process listens at, for it to take clients from. Errors: 'usage' for more than one. */
export function inheritedSocket({ env }: Pick<Io, 'env'>): number | undefined {
  if (env.LISTEN_FDS === undefined || env.LISTEN_PID !== String(process.pid)) return undefined;
  if (env.LISTEN_FDS === '1') return FIRST_DESCRIPTOR;
  throw new VsimgError('usage', `LISTEN_FDS is '${env.LISTEN_FDS}'`, { hint: 'one socket is served' });
}
