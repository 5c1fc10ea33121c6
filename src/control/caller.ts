import { once } from 'node:events';
import fs from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import {
  type ControlInput,
  ControlLines,
  type ControlReply,
  type ControlRequest,
  decodeReply,
  encodeInput,
  encodeRequest,
} from './message.ts';
import { type ControlDirectory, controlPath, isPrivate } from './place.ts';

/** What a caller has, and takes. */
export interface CallerStreams {
  /** Called when something reads it. */
  readonly input: () => Readable;
  /** Resolves when more may come. */
  output(output: Extract<ControlReply, { readonly bytes: Uint8Array }>): Promise<void>;
}

/** Asks the process that has an image open for writing to do something; undefined if none listens. */
export async function callControl(
  directory: ControlDirectory,
  imagePath: string,
  request: ControlRequest,
  streams: CallerStreams,
): Promise<{ readonly status: number | undefined } | undefined> {
  const socket = await connected(directory, imagePath);
  if (socket === undefined) return undefined;
  socket.setEncoding('utf8');
  socket.write(encodeRequest(request));
  const lines = new ControlLines();
  let input: Readable | undefined;
  try {
    for await (const text of socket as AsyncIterable<string>) {
      for (const line of lines.push(text) ?? []) {
        const reply = decodeReply(line);
        if (reply?.kind === 'status') return { status: reply.status };
        if (reply?.kind === 'input') {
          input = streams.input();
          void sendInput(input, socket);
        } else if (reply !== undefined) await streams.output(reply);
      }
    }
  } catch {
    // The other process is gone, and what became of it is not known.
  } finally {
    socket.destroy();
    input?.destroy();
  }
  return { status: undefined };
}

/** Never rejects. */
async function sendInput(input: Readable, socket: Socket): Promise<void> {
  const send = async (message: ControlInput): Promise<void> => {
    if (!socket.write(encodeInput(message))) await once(socket, 'drain');
  };
  try {
    for await (const bytes of input as AsyncIterable<Uint8Array>) await send({ kind: 'bytes', bytes });
    await send({ kind: 'end' });
  } catch (error) {
    if (socket.destroyed) return;
    const { message, code } = error as NodeJS.ErrnoException;
    socket.write(encodeInput({ kind: 'failure', message, code }));
  }
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
