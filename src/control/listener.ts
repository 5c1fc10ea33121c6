import fs from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { VsimgError } from '../errors.ts';
import { systemError } from '../storage/system-error.ts';
import { CallerInput } from './input.ts';
import { ControlLines, type ControlReply, type ControlRequest, decodeRequest, encodeReply } from './message.ts';
import { type ControlDirectory, controlPath, prepareControlDirectory } from './place.ts';

/** Whoever asked for something. */
export interface ControlPeer {
  readonly input: Readable;
  /** Resolves when the other side took enough of it. */
  reply(reply: ControlReply): Promise<void>;
}

/** Carries out one request; resolves to its status. */
export type ControlHandler = (request: ControlRequest, peer: ControlPeer) => Promise<number>;

/** For other processes of this user that want something done with an image that this process has open. */
export class ControlListener {
  readonly #server: Server;
  readonly #path: string;
  readonly #going = new Set<Promise<void>>();
  /** Of those who did not say yet what they want. */
  readonly #silent = new Set<Socket>();

  private constructor(path: string, handler: ControlHandler) {
    this.#path = path;
    this.#server = createServer((socket) => {
      const going = this.#serve(socket, handler).finally(() => this.#going.delete(going));
      this.#going.add(going);
    });
  }

  /** Errors: 'not-found' for an image that is not there, 'permission', 'io'. */
  static async open(directory: ControlDirectory, imagePath: string, handler: ControlHandler): Promise<ControlListener> {
    prepareControlDirectory(directory);
    const path = controlPath(directory, imagePath);
    if (path === undefined)
      throw new VsimgError('not-found', `'${imagePath}' is not there any more`, { path: imagePath });
    // Whoever has the writer's lock is the only one who may listen here. To look first is faster where nothing is left.
    if (fs.existsSync(path)) fs.rmSync(path, { force: true });
    const listener = new ControlListener(path, handler);
    await new Promise<void>((resolve, reject) => {
      // Later errors are of callers that could not be let in.
      listener.#server.on('error', (cause) => reject(systemError(`cannot listen at '${path}'`, cause, { path })));
      listener.#server.listen({ path }, resolve);
    });
    return listener;
  }

  /** Resolves when what was begun has ended. */
  async close(): Promise<void> {
    this.#server.close();
    this.dispose();
    for (const socket of this.#silent) socket.destroy();
    await Promise.all(this.#going);
  }

  async #serve(socket: Socket, handler: ControlHandler): Promise<void> {
    // A command that was begun is brought to its end, whether somebody waits for it or not.
    socket.on('error', () => {});
    this.#silent.add(socket);
    const input = new CallerInput(socket, () => void reply({ kind: 'input' }));
    const request = await firstRequest(socket, input).finally(() => this.#silent.delete(socket));
    if (request === undefined) {
      socket.destroy();
      return;
    }
    const waiting: (() => void)[] = [];
    for (const event of ['drain', 'close'])
      socket.on(event, () => {
        for (const wake of waiting.splice(0)) wake();
      });
    const reply = async (message: ControlReply): Promise<void> => {
      if (socket.destroyed || socket.write(encodeReply(message))) return;
      await new Promise<void>((resolve) => waiting.push(resolve));
    };
    const status = await handler(request, { input, reply });
    await reply({ kind: 'status', status });
    // What is still to come is for nobody.
    input.destroy();
    socket.resume();
    socket.end();
  }

  /** At once. Never throws. */
  dispose(): void {
    fs.rmSync(this.#path, { force: true });
  }
}

/** Lines that follow the first one are input. */
function firstRequest(socket: Socket, input: CallerInput): Promise<ControlRequest | undefined> {
  const lines = new ControlLines();
  let isFirst = true;
  socket.setEncoding('utf8');
  return new Promise((resolve) => {
    socket.on('close', () => {
      resolve(undefined);
      input.abandon();
    });
    socket.on('data', (text: string) => {
      for (const line of lines.push(text) ?? ['']) {
        if (isFirst) resolve(decodeRequest(line));
        else input.receive(line);
        isFirst = false;
      }
    });
  });
}
