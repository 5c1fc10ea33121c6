import type { Duplex } from 'node:stream';
import type { Image } from '../../src/image/image.ts';
import { Connection, type ConnectionOptions } from '../../src/nbd/connection.ts';
import { ImageExports, type ImageExportsOptions } from '../../src/nbd/image-exports.ts';
import { duplexPair } from './duplex-pair.ts';
import { NbdClient } from './nbd-client.ts';

export interface MemoryServerOptions extends Partial<Omit<ImageExportsOptions, 'image'>> {
  readonly connection?: Partial<ConnectionOptions>;
}

/** An image that is served without a socket. */
export class MemoryServer {
  readonly exports: ImageExports;
  /** What went wrong with requests, as the program would tell it. */
  readonly errors: unknown[] = [];
  readonly #options: ConnectionOptions;
  readonly #running = new Set<Promise<void>>();

  constructor(image: Image, { connection, ...options }: MemoryServerOptions = {}) {
    const openPinned = (): Promise<Image> => Promise.reject(new Error('nobody looks for long'));
    this.exports = new ImageExports({ image, access: 'write', openPinned, ...options });
    this.#options = {
      exports: this.exports,
      encryption: 'none',
      blockBytes: image.info().blockSizeBytes,
      handshakeMs: 10_000,
      onError: (error) => this.errors.push(error),
      ...connection,
    };
  }

  /** A client that is connected, before the greeting; `ended` resolves when the server has nothing of it left. */
  connect(): { readonly client: NbdClient; readonly socket: Duplex; readonly ended: Promise<void> } {
    const [near, far] = duplexPair();
    const ended = new Connection(far, this.#options).run();
    this.#running.add(ended);
    void ended.finally(() => this.#running.delete(ended));
    return { client: new NbdClient(near), socket: near, ended };
  }

  /** Resolves when all clients are gone. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
