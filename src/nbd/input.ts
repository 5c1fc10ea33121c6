/** Shorter pieces are put together: each has a cost of its own, and a client may send single bytes. */
const SMALL_BYTES = 4096;

/** Bytes that came from a client and are not used yet, in the pieces they came in. */
export class Input {
  readonly #pieces: Buffer[] = [];
  #lengthBytes = 0;

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  push(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#lengthBytes += piece.length;
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.length + piece.length <= SMALL_BYTES)
      this.#pieces[this.#pieces.length - 1] = Buffer.concat([last, piece]);
    else this.#pieces.push(piece);
  }

  /** The next bytes, without a copy if they came in one piece; undefined until there are so many. */
  take(lengthBytes: number): Buffer | undefined {
    if (lengthBytes > this.#lengthBytes) return undefined;
    const [first] = this.#pieces;
    if (first !== undefined && first.length > lengthBytes) {
      this.#pieces[0] = first.subarray(lengthBytes);
      this.#lengthBytes -= lengthBytes;
      return first.subarray(0, lengthBytes);
    }
    if (first !== undefined && first.length === lengthBytes) {
      this.#pieces.shift();
      this.#lengthBytes -= lengthBytes;
      return first;
    }
    const whole = Buffer.allocUnsafe(lengthBytes);
    for (let at = 0; at < lengthBytes; ) {
      const piece = this.take(Math.min(this.#pieces[0]?.length ?? 0, lengthBytes - at));
      if (piece === undefined || piece.length === 0) break;
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  /** Leaves out up to `lengthBytes`; returns how many those were. */
  skip(lengthBytes: number): number {
    const count = Math.min(lengthBytes, this.#lengthBytes);
    for (let left = count; left > 0; ) left -= this.take(Math.min(left, this.#pieces[0]?.length ?? 0))?.length ?? left;
    return count;
  }
}
