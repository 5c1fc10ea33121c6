import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Where the bytes of a socket go. */
export interface Sink {
  /** Memory for the next bytes. */
  space(): Uint8Array;
  /** So many came, into the memory given last; false: no more until the socket is resumed. */
  filled(lengthBytes: number): boolean;
}

/** What Node gives its own sockets, and does not document: the thing of the system that they stand for. */
interface WithHandle {
  _handle?: object | null;
}

/**
 * A socket that was accepted and not read from, as one that reads straight into the sink's memory and has no 'data' events. Node has
 * this (`onread`) for sockets that connect; those that a server accepts get each 64 KiB in memory of their own, which costs a
 * fifth of the time of a server that is written to. Undefined where this Node does not let it be done.
 */
export function directSocket(accepted: Duplex, sink: Sink): Socket | undefined {
  const from = accepted as Duplex & WithHandle;
  const handle = from._handle;
  if (!(accepted instanceof Socket) || handle === undefined || handle === null || accepted.readableFlowing !== false)
    return undefined;
  from._handle = null;
  const options = {
    handle,
    allowHalfOpen: accepted.allowHalfOpen,
    onread: {
      buffer: () => sink.space(),
      callback: (lengthBytes: number) => sink.filled(lengthBytes),
    },
  };
  const direct = new Socket(options as ConstructorParameters<typeof Socket>[0]);
  // The server counts those that it accepted.
  direct.on('close', () => accepted.destroy());
  return direct;
}
