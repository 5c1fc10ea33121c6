import fs from 'node:fs';
import { connect, type Socket } from 'node:net';
import { ControlLines, type ControlReply, type ControlRequest, decodeReply, encodeRequest } from './message.ts';
import { type ControlDirectory, controlPath, isPrivate } from './place.ts';

/**
 * Asks the process that has an image open for writing to do something; undefined if none listens. `onOutput` resolves when
 * more may come.
 */
export async function callControl(
  directory: ControlDirectory,
  imagePath: string,
  request: ControlRequest,
  onOutput: (output: Exclude<ControlReply, { readonly kind: 'status' }>) => Promise<void>,
): Promise<{ readonly status: number | undefined } | undefined> {
  const socket = await connected(directory, imagePath);
  if (socket === undefined) return undefined;
  socket.setEncoding('utf8');
  socket.write(encodeRequest(request));
  const lines = new ControlLines();
  try {
    for await (const text of socket as AsyncIterable<string>) {
      for (const line of lines.push(text) ?? []) {
        const reply = decodeReply(line);
        if (reply?.kind === 'status') return { status: reply.status };
        if (reply !== undefined) await onOutput(reply);
      }
    }
  } catch {
    // The other process is gone, and what became of it is not known.
  } finally {
    socket.destroy();
  }
  return { status: undefined };
}

/** True if somebody listens who can be asked. */
export async function hasControl(directory: ControlDirectory, imagePath: string): Promise<boolean> {
  const socket = await connected(directory, imagePath);
  socket?.destroy();
  return socket !== undefined;
}

async function connected(directory: ControlDirectory, imagePath: string): Promise<Socket | undefined> {
  const path = controlPath(directory, imagePath);
  if (path === undefined || !fs.existsSync(path) || !isPrivate(directory)) return undefined;
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
