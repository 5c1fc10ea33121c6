import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { VsimgError } from '../errors.ts';
import { decodeInput } from './message.ts';

/** Standard input of a caller, who is asked for it when somebody reads it. */
export class CallerInput extends Readable {
  readonly #socket: Socket;
  readonly #ask: () => void;
  #isAsked = false;

  constructor(socket: Socket, ask: () => void) {
    super();
    this.#socket = socket;
    this.#ask = ask;
    // Whoever reads gets errors where he waits for bytes.
    this.on('error', () => {});
  }

  override _read(): void {
    if (!this.#isAsked) this.#ask();
    this.#isAsked = true;
    this.#socket.resume();
  }

  /** A line that came from the caller; what nobody asked for is nothing. */
  receive(line: string): void {
    const input = this.#isAsked && !this.destroyed ? decodeInput(line) : undefined;
    if (input?.kind === 'end') this.push(null);
    else if (input?.kind === 'failure') this.destroy(Object.assign(new Error(input.message), { code: input.code }));
    else if (input !== undefined && !this.push(input.bytes)) this.#socket.pause();
  }

  /** The caller is gone: what he gave has no end. */
  abandon(): void {
    this.destroy(new VsimgError('io', 'whoever asked for this ended before all of his input was read'));
  }
}
