import { Duplex } from 'node:stream';

/** One end of a connection in memory: what is written to it is read from its peer. */
class End extends Duplex {
  peer: End | undefined;
  /** Of a write that the peer has no room for yet. */
  #done: (() => void) | undefined;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { peer } = this;
    if (peer === undefined || peer.destroyed || peer.push(chunk)) done();
    else this.#done = done;
  }

  override _read(): void {
    this.peer?.resumeWriting();
  }

  override _final(done: () => void): void {
    if (this.peer?.destroyed === false) this.peer.push(null);
    done();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    const { peer } = this;
    if (peer !== undefined && !peer.destroyed && !peer.readableEnded) {
      peer.push(null);
      // As after a reset: nobody takes what the peer writes.
      peer.resumeWriting();
    }
    this.resumeWriting();
    done();
  }

  resumeWriting(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}

/** Both ends of a connection without a socket. */
export function duplexPair(): readonly [Duplex, Duplex] {
  const options = { allowHalfOpen: false, emitClose: true };
  const [a, b] = [new End(options), new End(options)];
  a.peer = b;
  b.peer = a;
  return [a, b];
}
