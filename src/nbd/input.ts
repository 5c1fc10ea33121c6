/** For a handshake; whoever sends more is given the rest. */
const FIRST_BYTES = 16 * 1024;
/** That there is always room for, so that a read from a socket is worth its cost. */
const ROOM_BYTES = 64 * 1024;
/** More is not read at a time, so that what comes beyond the limit fits the memory too. */
const MOST_SPACE_BYTES = 256 * 1024;

/**
 * Bytes that came from a client and are not used yet, one behind the other in memory that is used again and again: what came in
 * memory of its own would make the collector run all the time.
 */
export class Input {
  /** Of so many bytes the owner must not take more from the client before some are used. */
  readonly #mostBytes: number;
  #memory: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #other: Buffer | undefined;
  /** Holds what was taken last, and must stay as it is. */
  #taken: Buffer | undefined;
  #start = 0;
  #end = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get lengthBytes(): number {
    return this.#end - this.#start;
  }

  get isFull(): boolean {
    return this.lengthBytes >= this.#mostBytes;
  }

  /** Where the next bytes go; what was taken last is not touched. To be called again after `filled`. */
  space(): Buffer {
    const least = this.#memory.length === FIRST_BYTES ? 1 : ROOM_BYTES;
    if (this.#memory.length - this.#end < least) this.#turn(ROOM_BYTES);
    return this.#memory.subarray(this.#end, this.#end + MOST_SPACE_BYTES);
  }

  /** The first `lengthBytes` of the space were filled. */
  filled(lengthBytes: number): void {
    this.#end += lengthBytes;
  }

  push(piece: Uint8Array): void {
    if (this.#memory.length - this.#end < piece.length) this.#turn(piece.length);
    this.#memory.set(piece, this.#end);
    this.#end += piece.length;
  }

  /** The next bytes, without a copy, valid until bytes are taken again; undefined until there are so many. */
  take(lengthBytes: number): Buffer | undefined {
    if (lengthBytes > this.lengthBytes) return undefined;
    const start = this.#start;
    this.#start += lengthBytes;
    this.#taken = this.#memory;
    return this.#memory.subarray(start, this.#start);
  }

  /** Leaves out up to `lengthBytes`; returns how many those were. */
  skip(lengthBytes: number): number {
    const count = Math.min(lengthBytes, this.lengthBytes);
    this.#start += count;
    return count;
  }

  /** What is not used yet goes to the beginning of the other memory. */
  #turn(roomBytes: number): void {
    const { lengthBytes } = this;
    const least = Math.max(this.#mostBytes + MOST_SPACE_BYTES + ROOM_BYTES, lengthBytes + roomBytes);
    const other = this.#other;
    // Node asks for space also when it is told to wait: what was taken may be in use through several turns.
    const isFree = other !== undefined && other !== this.#taken && other.length >= least;
    const into = isFree ? other : Buffer.allocUnsafeSlow(least);
    into.set(this.#memory.subarray(this.#start, this.#end));
    this.#other = this.#memory;
    this.#memory = into;
    this.#start = 0;
    this.#end = lengthBytes;
  }
}
