import type { Disk, DiskWriting } from '../image/disk.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import { statusRuns } from './block-status.ts';
import type { Input } from './input.ts';
import type { Agreement } from './negotiation.ts';
import { PIECE_BYTES, piecesOf, zeroRuns } from './pieces.ts';
import { COMMAND, COMMAND_FLAG, MAX_PAYLOAD_BYTES, NBD_ERROR, type NbdError, TRANSMISSION_FLAG } from './protocol.ts';
import {
  type ChunkPosition,
  dataChunk,
  dataChunkHead,
  doneChunk,
  errorChunk,
  holeChunk,
  simpleReply,
  statusChunk,
} from './reply.ts';
import { decodeRequest, REQUEST_BYTES, type Request } from './request.ts';
import { toldError } from './told-error.ts';

/** The way to one client. */
export interface Wire {
  readonly input: Input;
  /** True when nobody takes answers any more, though there may be requests in `input`. */
  readonly isOver: boolean;
  /** Resolves when more bytes came; to false at their end. */
  more(): Promise<boolean>;
  /** In the order of the calls; a promise when the client should take some of it first. */
  send(bytes: Uint8Array): Promise<void> | undefined;
}

/** Less of a longer write is not begun with. */
const GATHERED_BYTES = 256 * 1024;
/** Answers to one question about block status: whoever wants more asks again from where they end. */
const MAX_STATUS_RUNS = 4096;
/** Requests that wait for something, such as the disk; more than that wait to be read. */
const MAX_WAITING = 64;

const { fua, noHole, dontFragment, requestOne, fastZero } = COMMAND_FLAG;
/** Flags that each command may have. */
const KNOWN_FLAGS: ReadonlyMap<number, number> = new Map([
  [COMMAND.read, fua | dontFragment],
  [COMMAND.write, fua],
  [COMMAND.flush, fua],
  [COMMAND.trim, fua],
  [COMMAND.cache, fua],
  [COMMAND.writeZeroes, fua | noHole | fastZero],
  [COMMAND.blockStatus, fua | requestOne],
]);
const CHANGING: ReadonlySet<number> = new Set([COMMAND.write, COMMAND.trim, COMMAND.writeZeroes]);

/** 'over': the connection is to be closed. A promise where the next request must wait. */
type Going = Promise<'over' | undefined> | undefined;

/** Answers requests until the client leaves, or says something that makes no sense. */
export class Transmission {
  readonly #wire: Wire;
  readonly #disk: Disk;
  readonly #agreement: Agreement;
  readonly #writing: DiskWriting | undefined;
  /** Of whole blocks; what is written in parts is cut there. */
  readonly #blockBytes: number;
  readonly #waiting = new Set<Promise<void>>();
  /** Until all reads are answered that waited to be prepared. */
  #prepared: Promise<void> = Promise.resolve();
  /** Until an answer that may not be interrupted has gone out. */
  #onePiece: Promise<void> | undefined;
  /** The client expects data that can not be had: whatever is sent now it would take for that. */
  #isBroken = false;
  #hasFailed = false;
  readonly #onError: (error: unknown) => void;

  constructor(
    wire: Wire,
    {
      agreement,
      blockBytes,
      onError,
    }: { readonly agreement: Agreement; readonly blockBytes: number; readonly onError: (error: unknown) => void },
  ) {
    const { disk, flags } = agreement.opened;
    this.#wire = wire;
    this.#disk = disk;
    this.#agreement = agreement;
    this.#writing = (flags & TRANSMISSION_FLAG.readOnly) === 0 ? disk.writing : undefined;
    this.#blockBytes = blockBytes;
    this.#onError = onError;
  }

  /** The client was told that something which it wrote could not be stored. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Ends when nothing is under way any more. */
  async run(): Promise<void> {
    const giveTurn = turnGiver();
    try {
      for (;;) {
        const head = this.#wire.input.take(REQUEST_BYTES) ?? (await this.#bytes(REQUEST_BYTES));
        const request = head === undefined ? undefined : decodeRequest(head);
        if (request === undefined || request.command === COMMAND.disconnect) return;
        // What a client changed and then left is done; what it only asked is not.
        if (this.#wire.isOver && !CHANGING.has(request.command)) continue;
        const going = this.#handle(request);
        if (going !== undefined && (await going) === 'over') return;
        while (this.#waiting.size >= MAX_WAITING) await Promise.race(this.#waiting);
        // A client that has sent thousands of requests at once is not alone.
        const turn = giveTurn();
        if (turn !== undefined) await turn;
      }
    } finally {
      await Promise.all(this.#waiting);
    }
  }

  async #bytes(lengthBytes: number): Promise<Buffer | undefined> {
    for (;;) {
      const bytes = this.#wire.input.take(lengthBytes);
      if (bytes !== undefined) return bytes;
      if (!(await this.#wire.more())) return undefined;
    }
  }

  /** A promise where the next request must wait. */
  #handle(request: Request): Going {
    if (request.command === COMMAND.write) return this.#write(request);
    const refusal = this.#refusalOf(request);
    if (refusal !== undefined) return this.#fail(request, ...refusal);
    switch (request.command) {
      case COMMAND.read:
        return this.#read(request);
      case COMMAND.cache:
        return this.#done(request);
      case COMMAND.flush:
        return this.#later(request, async () => this.#writing?.flush());
      case COMMAND.blockStatus:
        return this.#blockStatus(request);
      default:
        return this.#later(request, async () => {
          await this.#writing?.zero(request.offset, request.lengthBytes);
          if ((request.flags & COMMAND_FLAG.fua) !== 0) await this.#writing?.flush();
        });
    }
  }

  /** What is wrong with a request before anything of it is done. */
  #refusalOf({ command, flags, offset, lengthBytes }: Request): readonly [NbdError, string] | undefined {
    const known = KNOWN_FLAGS.get(command);
    if (known === undefined) return [NBD_ERROR.EINVAL, `there is no command ${command}`];
    if ((flags & ~known) !== 0) return [NBD_ERROR.EINVAL, `unknown flags ${flags} of a request`];
    if (CHANGING.has(command) && this.#writing === undefined) return [NBD_ERROR.EPERM, 'this export is read-only'];
    if (command === COMMAND.flush) return undefined;
    const end = offset + lengthBytes;
    if (end > this.#agreement.sizeBytes)
      return [
        command === COMMAND.write || command === COMMAND.writeZeroes ? NBD_ERROR.ENOSPC : NBD_ERROR.EINVAL,
        `bytes ${offset} to ${end} reach beyond the end of the disk at ${this.#agreement.sizeBytes}`,
      ];
    if (command === COMMAND.blockStatus && lengthBytes === 0) return [NBD_ERROR.EINVAL, 'nothing is asked for'];
    if (command === COMMAND.blockStatus && this.#agreement.contexts.length === 0)
      return [NBD_ERROR.EINVAL, 'no context was agreed on'];
    if (command === COMMAND.read && lengthBytes > MAX_PAYLOAD_BYTES)
      return [NBD_ERROR.EOVERFLOW, `a request of more than ${MAX_PAYLOAD_BYTES} bytes`];
    return undefined;
  }

  #read(request: Request): Going {
    if (request.lengthBytes > PIECE_BYTES) return this.#readLong(request);
    const prepared = this.#prepare(request);
    if (prepared === undefined) return this.#readShort(request);
    const before = this.#prepared;
    const answered = (async () => {
      await prepared;
      // One after the other, each when the client has taken enough of those before it.
      await before;
      await this.#readShort(request);
    })();
    this.#prepared = answered;
    return this.#later(request, () => answered, 'answered');
  }

  #prepare({ offset, lengthBytes }: Request): Promise<unknown> | undefined {
    if (!this.#isBusy) return undefined;
    try {
      return this.#disk.prepare(offset, lengthBytes);
    } catch {
      // Reading tells what is wrong.
      return undefined;
    }
  }

  /** There is something to do while a request waits. */
  get #isBusy(): boolean {
    return this.#waiting.size > 0 || this.#wire.input.lengthBytes >= REQUEST_BYTES;
  }

  #readShort(request: Request): Going {
    const { offset, lengthBytes } = request;
    try {
      if (!this.#agreement.structured) {
        const { bytes, data } = simpleReply(request.cookie, 0, lengthBytes);
        this.#disk.read(offset, data);
        return this.#send(bytes);
      }
      if (lengthBytes === 0) return this.#done(request);
      return this.#sendAll(this.#readPiece(request, { start: offset, end: offset + lengthBytes }, 'last'));
    } catch (error) {
      return this.#failed(request, error);
    }
  }

  /** With pauses, in which others are served too. */
  async #readLong(request: Request): Promise<'over' | undefined> {
    const { offset, lengthBytes, flags } = request;
    if (!this.#agreement.structured || (flags & COMMAND_FLAG.dontFragment) !== 0) return this.#readInOnePiece(request);
    for (const piece of piecesOf(offset, lengthBytes)) {
      try {
        const position = piece.end === offset + lengthBytes ? 'last' : 'more';
        await this.#sendAll(this.#readPiece(request, piece, position));
      } catch (error) {
        await this.#failed(request, error);
        return undefined;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return undefined;
  }

  /** Nothing else may come between the head of such an answer and the end of its data, nor an error. */
  async #readInOnePiece(request: Request): Promise<'over' | undefined> {
    const { offset, lengthBytes, cookie } = request;
    let done: () => void = () => {};
    for (const { start, end } of piecesOf(offset, lengthBytes)) {
      const data = new Uint8Array(end - start);
      try {
        this.#disk.read(start, data);
      } catch (error) {
        if (start === offset) {
          await this.#failed(request, error);
          return undefined;
        }
        this.#onError(error);
        this.#isBroken = true;
        this.#onePiece = undefined;
        done();
        return 'over';
      }
      if (start === offset) {
        this.#onePiece = new Promise((resolve) => {
          done = resolve;
        });
        const head = this.#agreement.structured
          ? dataChunkHead(cookie, { offset, dataBytes: lengthBytes, position: 'last' })
          : simpleReply(cookie, 0).bytes;
        await this.#wire.send(head);
      }
      await this.#wire.send(data);
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#onePiece = undefined;
    done();
    return undefined;
  }

  /** Chunks for a part of a read: data, and zeros that are not sent. */
  #readPiece({ cookie, flags }: Request, { start, end }: ByteRange, position: ChunkPosition): Uint8Array[] {
    const whole = dataChunk(cookie, { offset: start, dataBytes: end - start, position });
    this.#disk.read(start, whole.data);
    if ((flags & COMMAND_FLAG.dontFragment) !== 0) return [whole.bytes];
    const runs = zeroRuns(whole.data);
    const [only] = runs;
    if (runs.length === 1 && only?.kind === 'data') return [whole.bytes];
    return runs.flatMap((run, index) => {
      const of = index === runs.length - 1 ? position : 'more';
      const offset = start + run.start;
      const lengthBytes = run.end - run.start;
      if (run.kind === 'hole') return [holeChunk(cookie, { offset, lengthBytes, position: of })];
      return [
        dataChunkHead(cookie, { offset, dataBytes: lengthBytes, position: of }),
        whole.data.subarray(run.start, run.end),
      ];
    });
  }

  /** Data is written as it comes, so that no request takes more memory than another. */
  async #write(request: Request): Promise<'over' | undefined> {
    let refusal = this.#refusalOf(request);
    // Whoever sends more than anybody may is not listened to until the end of it.
    if (request.lengthBytes > MAX_PAYLOAD_BYTES) return 'over';
    let failure: unknown;
    for (let done = 0; done < request.lengthBytes; ) {
      const bytes = this.#nextOf(request, done);
      if (bytes === undefined) {
        if (await this.#wire.more()) continue;
        return 'over';
      }
      try {
        if (refusal === undefined && failure === undefined) await this.#writing?.write(request.offset + done, bytes);
      } catch (error) {
        failure = error;
      }
      done += bytes.length;
    }
    if (failure !== undefined) refusal = this.#told(request, failure);
    if (refusal !== undefined) {
      await this.#fail(request, ...refusal);
      return undefined;
    }
    if ((request.flags & COMMAND_FLAG.fua) === 0) {
      await this.#done(request);
      return undefined;
    }
    return this.#later(request, async () => this.#writing?.flush());
  }

  /** The next data of a write: all that is left, or so much of it that it ends with a block; undefined until there is any. */
  #nextOf({ offset, lengthBytes }: Request, done: number): Buffer | undefined {
    const left = lengthBytes - done;
    const { input } = this.#wire;
    const most = Math.min(left, PIECE_BYTES);
    const there = Math.min(most, input.lengthBytes);
    if (there === left) return input.take(left);
    if (there < GATHERED_BYTES) return undefined;
    const end = offset + done + there;
    const usable = there - (end % this.#blockBytes);
    return usable > 0 ? input.take(usable) : undefined;
  }

  #blockStatus(request: Request): Going {
    return this.#later(
      request,
      async () => {
        await this.#disk.settle();
        const { contexts } = this.#agreement;
        const range = { start: request.offset, end: request.offset + request.lengthBytes };
        const only = (request.flags & COMMAND_FLAG.requestOne) !== 0;
        for (const [index, { id, name }] of contexts.entries()) {
          const runs = statusRuns(this.#disk, name, range, only ? 1 : MAX_STATUS_RUNS);
          await this.#send(statusChunk(request.cookie, id, runs, index === contexts.length - 1 ? 'last' : 'more'));
        }
      },
      'answered',
    );
  }

  /** Does what takes a while beside other requests. */
  #later(
    request: Request,
    action: () => Promise<void>,
    answer: 'done' | 'answered' = 'done',
  ): Promise<undefined> | undefined {
    const going: Promise<void> = action()
      .then(
        () => (answer === 'done' ? this.#done(request) : undefined),
        (error: unknown) => this.#failed(request, error),
      )
      .then(() => {
        this.#waiting.delete(going);
      });
    this.#waiting.add(going);
    return undefined;
  }

  #done({ cookie }: Request): Promise<undefined> | undefined {
    return this.#send(this.#agreement.structured ? doneChunk(cookie) : simpleReply(cookie, 0).bytes);
  }

  #failed(request: Request, error: unknown): Promise<undefined> | undefined {
    return this.#fail(request, ...this.#told(request, error));
  }

  /** What the client is told of an error. */
  #told({ command }: Request, error: unknown): readonly [NbdError, string] {
    if (CHANGING.has(command) || command === COMMAND.flush) this.#hasFailed = true;
    this.#onError(error);
    return toldError(error);
  }

  #fail({ cookie }: Request, error: NbdError, message: string): Promise<undefined> | undefined {
    return this.#send(
      this.#agreement.structured ? errorChunk(cookie, error, message) : simpleReply(cookie, error).bytes,
    );
  }

  /** One behind the other, whatever else is answered meanwhile: a head is followed by its data. */
  async #sendAll(messages: readonly Uint8Array[]): Promise<undefined> {
    while (this.#onePiece !== undefined) await this.#onePiece;
    if (this.#isBroken) return undefined;
    await Promise.all(messages.map((bytes) => this.#wire.send(bytes)));
    return undefined;
  }

  #send(bytes: Uint8Array): Promise<undefined> | undefined {
    if (this.#isBroken) return undefined;
    if (this.#onePiece !== undefined) return this.#onePiece.then(() => this.#send(bytes));
    return this.#wire.send(bytes)?.then(() => undefined);
  }
}
