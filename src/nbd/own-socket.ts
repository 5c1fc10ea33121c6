import fs from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemError } from '../storage/system-error.ts';
import type { Address } from './server.ts';

type UnixAddress = Extract<Address, { readonly kind: 'unix' }>;

/** A Unix socket in a directory that only this user can look into. Errors: 'permission', 'no-space', 'io'. */
export function privateSocket(): UnixAddress {
  try {
    return { kind: 'unix', path: join(fs.mkdtempSync(join(tmpdir(), 'vsimg-')), 'nbd.sock') };
  } catch (cause) {
    throw systemError(`cannot make a directory in '${tmpdir()}'`, cause, { path: tmpdir() });
  }
}

/** Removes what `privateSocket` made. Never throws. */
export function removePrivateSocket({ path }: UnixAddress): void {
  fs.rmSync(dirname(path), { recursive: true, force: true });
}

/** Removes a socket that a server left behind which is gone. Never throws: whoever listens there next is told why that fails. */
export async function removeAbandonedSocket({ path }: UnixAddress): Promise<void> {
  if (!(fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false)) return;
  const isAbandoned = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'));
  });
  if (isAbandoned) fs.rmSync(path, { force: true });
}
