import type { Duplex } from 'node:stream';
import { VsimgError } from '../errors.ts';
import { turnGiver } from '../storage/turns.ts';
import { directSocket } from './direct-socket.ts';
import type { Exports, Opened } from './exports.ts';
import { Input } from './input.ts';
import { type Agreement, type Encryption, Negotiation } from './negotiation.ts';
import { encodeGreeting } from './option.ts';
import { giveBack } from './reply.ts';
import type { Encrypt } from './tls.ts';
import { Transmission, type Wire } from './transmission.ts';

export interface ConnectionOptions {
  readonly exports: Exports;
  readonly encryption: Encryption;
  /** Required where encryption is not 'none'. */
  readonly encrypt?: Encrypt;
  readonly blockBytes: number;
  /** For each option until requests begin. */
  readonly handshakeMs: number;
  /** For what goes wrong with a request, or with the client. */
  readonly onError: (error: unknown) => void;
}

/** Of what came and was not used yet: more is not taken from the client. */
const MAX_INPUT_BYTES = 512 * 1024;
/** Of answers that the client did not take yet: then no more requests are answered. */
const MAX_OUTPUT_BYTES = 2 * 1024 * 1024;
/** For the client to take the last answers. */
const LAST_WORDS_MS = 5000;
/** Small messages that wait; more are put together. */
const MAX_MESSAGES = 512;
/** Each part that waits to be sent takes memory of its own, however small it is. */
const MAX_PARTS = 16;
/** Answers that are put together for one call of the system. */
const BATCH_BYTES = 256 * 1024;

/** One client, from its first byte to its last. */
export class Connection implements Wire {
  readonly input = new Input(MAX_INPUT_BYTES);
  readonly #options: ConnectionOptions;
  #socket: Duplex;
  #isEnded = false;
  /** Nothing is taken from the client for now. */
  #isPaused = true;
  readonly #sleepers = new Set<() => void>();
  #isFlushPlanned = false;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;

  constructor(socket: Duplex, options: ConnectionOptions) {
    this.#options = options;
    this.#socket = (options.encryption === 'none' ? this.#direct(socket) : undefined) ?? socket;
    this.#listen(this.#socket);
    this.#resume();
  }

  #resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }

  #direct(socket: Duplex): Duplex | undefined {
    const { input } = this;
    return directSocket(socket, {
      space: () => input.space(),
      filled: (lengthBytes) => {
        input.filled(lengthBytes);
        this.#isPaused = input.isFull;
        this.#wakeUp();
        return !this.#isPaused;
      },
    });
  }

  get isOver(): boolean {
    return this.#isEnded;
  }

  /** Ends when the client is gone and what it opened is closed. Never fails. */
  async run(): Promise<void> {
    let opened: Opened | undefined;
    let transmission: Transmission | undefined;
    try {
      const agreement = await this.#negotiate();
      if (agreement === undefined) return;
      opened = agreement.opened;
      const { blockBytes, onError } = this.#options;
      transmission = new Transmission(this, { agreement, blockBytes, onError });
      await transmission.run();
    } catch (error) {
      this.#options.onError(error);
    } finally {
      const requests = transmission?.hasFailed === true ? 'failed' : 'answered';
      await opened?.close(requests).catch(this.#options.onError);
      this.#close();
    }
  }

  /** Ends the connection; requests that are under way are answered to nobody. */
  destroy(): void {
    this.#end();
    this.#socket.destroy();
  }

  async #negotiate(): Promise<Agreement | undefined> {
    const { exports, encryption, encrypt, handshakeMs } = this.#options;
    const timer = setTimeout(() => this.destroy(), handshakeMs);
    try {
      const negotiation = new Negotiation(exports, encryption);
      const giveTurn = turnGiver();
      await this.send(encodeGreeting());
      do {
        for await (const step of negotiation.steps(this.input)) {
          if (step.kind === 'serve') return step.agreement;
          if (step.kind === 'close') return undefined;
          timer.refresh();
          if (step.kind === 'send') {
            await this.send(step.bytes);
            await giveTurn();
          } else if (encrypt !== undefined) await this.#encrypt(encrypt);
        }
      } while (await this.more());
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  async #encrypt(encrypt: Encrypt): Promise<void> {
    this.#flush();
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('end');
    // It could be somebody else's, who has put it in front of what the client says.
    if (this.input.lengthBytes > 0)
      throw new VsimgError('refused', 'a client sent bytes in the clear where TLS begins');
    this.#socket = await encrypt(plain);
    this.#listen(this.#socket);
  }

  #listen(socket: Duplex): void {
    socket.on('data', (bytes: Buffer) => {
      this.input.push(bytes);
      this.#isPaused = this.input.isFull;
      if (this.#isPaused) socket.pause();
      this.#wakeUp();
    });
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
    // A client that goes away in the middle is nothing to tell of.
    socket.on('error', () => this.#end());
  }

  #end(): void {
    this.#isEnded = true;
    this.#wakeUp();
  }

  #wakeUp(): void {
    const sleepers = [...this.#sleepers];
    this.#sleepers.clear();
    for (const wake of sleepers) wake();
  }

  /** Until something happens on the socket. */
  #sleep(): Promise<void> {
    return new Promise((resolve) => this.#sleepers.add(resolve));
  }

  async more(): Promise<boolean> {
    this.#flush();
    if (this.#isEnded) return false;
    const before = this.input.lengthBytes;
    if (this.#isPaused && !this.input.isFull) this.#resume();
    while (!this.#isEnded && this.input.lengthBytes === before) await this.#sleep();
    return this.input.lengthBytes !== before;
  }

  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#isEnded) return undefined;
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    if (this.#batch.length > MAX_MESSAGES) this.#batch = [Buffer.concat(this.#batch)];
    if (this.#batchBytes >= BATCH_BYTES) {
      this.#flush();
    } else if (!this.#isFlushPlanned) {
      this.#isFlushPlanned = true;
      setImmediate(() => {
        this.#isFlushPlanned = false;
        this.#flush();
      });
    }
    // Small answers too: a client that takes none of them may go on to ask.
    return this.#unsentBytes > MAX_OUTPUT_BYTES ? this.#drained() : undefined;
  }

  get #unsentBytes(): number {
    return this.#socket.writableLength + this.#batchBytes;
  }

  async #drained(): Promise<void> {
    while (!this.#isEnded && this.#unsentBytes > MAX_OUTPUT_BYTES) await this.#sleep();
  }

  #flush(): void {
    const batch = this.#batch;
    const socket = this.#socket;
    if (batch.length === 0 || socket.destroyed) return;
    // What waits in the socket takes memory for each call: what comes now waits here, and goes in few of them.
    if (socket.writableLength > BATCH_BYTES) return;
    this.#batch = [];
    this.#batchBytes = 0;
    const parts = inFewParts(batch);
    if (parts.length > 1) socket.cork();
    for (const bytes of parts)
      socket.write(bytes, () => {
        giveBack(bytes);
        this.#flush();
        this.#wakeUp();
      });
    if (parts.length > 1) socket.uncork();
  }

  /** What was answered still goes out; a client that does not take it is not waited for. */
  #close(): void {
    this.#flush();
    const socket = this.#socket;
    if (socket.destroyed) return;
    const timer = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
    socket.on('close', () => clearTimeout(timer));
    socket.end(() => socket.destroy());
  }
}

/** The same bytes: what lies one behind the other in memory is one part, and very many small ones are copied into one. */
function inFewParts(messages: readonly Uint8Array[]): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (const bytes of messages) {
    const last = parts[parts.length - 1];
    if (last !== undefined && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset)
      parts[parts.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + bytes.length);
    else parts.push(bytes);
  }
  return parts.length > MAX_PARTS ? [Buffer.concat(parts)] : parts;
}
