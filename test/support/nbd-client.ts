import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** Numbers of the protocol as its document has them, so that a wrong one in the program is found. */
export const NBD = {
  option: 0x49484156454f5054n,
  optionReply: 0x3e889045565a9n,
  request: 0x25609513,
  simple: 0x67446698,
  structured: 0x668e33ef,
} as const;
export const OPT = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listContexts: 9,
  setContexts: 10,
} as const;
export const REP = {
  ack: 1,
  server: 2,
  info: 3,
  context: 4,
  unsupported: 2 ** 31 + 1,
  policy: 2 ** 31 + 2,
  invalid: 2 ** 31 + 3,
  tlsRequired: 2 ** 31 + 5,
  unknown: 2 ** 31 + 6,
  tooBig: 2 ** 31 + 9,
} as const;
export const CMD = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, cache: 5, zeroes: 6, status: 7 } as const;
export const FLAG = { fua: 1, noHole: 2, dontFragment: 4, requestOne: 8, fastZero: 16 } as const;
export const CHUNK = { none: 0, data: 1, hole: 2, status: 5, error: 0x8001, errorOffset: 0x8002 } as const;
export const ERRNO = { EPERM: 1, EIO: 5, EINVAL: 22, ENOSPC: 28, EOVERFLOW: 75 } as const;

export interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

export interface RawRequest {
  readonly command: number;
  readonly flags?: number;
  readonly offset?: number | bigint;
  readonly length?: number;
  readonly data?: Uint8Array;
  readonly magic?: number;
}

/** All that came for one request. */
export interface Answer {
  readonly error: number;
  readonly message: string;
  /** Of a read that was answered without an error. */
  readonly data: Buffer;
  /** By context id, each run as `[length, flags]`. */
  readonly status: ReadonlyMap<number, readonly (readonly [number, number])[]>;
  readonly chunks: readonly { readonly type: number; readonly offset: number; readonly length: number }[];
}

export interface Agreed {
  readonly sizeBytes: number;
  readonly flags: number;
}

const u16 = (value: number): Buffer => Buffer.from([(value >>> 8) & 255, value & 255]);
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
export const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
const sized = (text: string | Uint8Array): Buffer => Buffer.concat([u32(Buffer.from(text).length), Buffer.from(text)]);

export function optionBytes(number: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u64(NBD.option), u32(number), u32(data.length), data]);
}

/** Data of the options `info` and `go`. */
export function infoData(name: string | Uint8Array, items: readonly number[] = []): Buffer {
  return Buffer.concat([sized(name), u16(items.length), ...items.map(u16)]);
}

/** Data of the options that list and choose contexts. */
export function contextData(name: string, queries: readonly string[]): Buffer {
  return Buffer.concat([sized(name), u32(queries.length), ...queries.map(sized)]);
}

export function requestBytes(cookie: bigint, request: RawRequest): Buffer {
  const { command, flags = 0, offset = 0, data, length = data?.length ?? 0, magic = NBD.request } = request;
  const head = [u32(magic), u16(flags), u16(command), u64(cookie), u64(offset), u32(length)];
  return Buffer.concat(data === undefined ? head : [...head, data]);
}

interface Pending {
  readonly request: RawRequest;
  readonly chunks: { readonly type: number; readonly offset: number; readonly length: number }[];
  readonly data: Buffer;
  readonly status: Map<number, (readonly [number, number])[]>;
  covered: number;
  error: number;
  message: string;
  readonly done: (answer: Answer) => void;
  readonly fail: (error: Error) => void;
}

/** A client that speaks bytes: it can do everything right, and anything wrong. */
export class NbdClient {
  readonly socket: Duplex;
  structured = false;
  sizeBytes = 0;
  #parts: Buffer[] = [];
  #lengthBytes = 0;
  #isOver = false;
  #wake: () => void = () => {};
  #cookie = 0n;
  readonly #pending = new Map<bigint, Pending>();
  #isReceiving = false;
  /** What the server did that no server may do. */
  violation: Error | undefined;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.#parts.push(bytes);
      this.#lengthBytes += bytes.length;
      this.#wake();
    });
    const over = (): void => {
      this.#isOver = true;
      this.#wake();
    };
    for (const event of ['end', 'close', 'error']) socket.on(event, over);
  }

  static unix(path: string): NbdClient {
    return new NbdClient(connect({ path }));
  }

  /** True when the server has nothing more to say. */
  get isOver(): boolean {
    return this.#isOver;
  }

  send(...parts: Uint8Array[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts));
  }

  /** The next bytes from the server; undefined if it closes before. */
  async take(lengthBytes: number): Promise<Buffer | undefined> {
    while (this.#lengthBytes < lengthBytes) {
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const all = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    this.#parts = all.length > lengthBytes ? [all.subarray(lengthBytes)] : [];
    this.#lengthBytes -= lengthBytes;
    return all.subarray(0, lengthBytes);
  }

  async need(lengthBytes: number): Promise<Buffer> {
    const bytes = await this.take(lengthBytes);
    if (bytes === undefined) throw new Error('the server closed the connection');
    return bytes;
  }

  /** Resolves to what still came until the server closed. */
  async rest(): Promise<Buffer> {
    while (!this.#isOver)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return Buffer.concat(this.#parts);
  }

  /** Takes the greeting and answers with `flags`. */
  async greet(flags = 3): Promise<number> {
    const greeting = await this.need(18);
    if (greeting.subarray(0, 16).toString('latin1') !== 'NBDMAGICIHAVEOPT') throw new Error('no greeting');
    this.send(u32(flags));
    return greeting.readUInt16BE(16);
  }

  /** All replies to an option, the last of which is final. */
  async option(number: number, data?: Uint8Array): Promise<OptionReply[]> {
    this.send(optionBytes(number, data));
    return this.optionReplies(number);
  }

  async optionReplies(number: number): Promise<OptionReply[]> {
    const replies: OptionReply[] = [];
    for (;;) {
      const head = await this.need(20);
      if (head.readBigUInt64BE(0) !== NBD.optionReply) throw new Error('no reply to an option');
      if (head.readUInt32BE(8) !== number) throw new Error(`a reply to option ${head.readUInt32BE(8)}`);
      const type = head.readUInt32BE(12);
      replies.push({ type, data: await this.need(head.readUInt32BE(16)) });
      if (type === REP.ack || type >= 2 ** 31) return replies;
    }
  }

  /** The type of the last reply to an option. */
  async verdict(number: number, data?: Uint8Array): Promise<number> {
    return (await this.option(number, data)).at(-1)?.type ?? 0;
  }

  async names(): Promise<string[]> {
    const replies = await this.option(OPT.list);
    return replies
      .filter(({ type }) => type === REP.server)
      .map(({ data }) => data.subarray(4, 4 + data.readUInt32BE(0)).toString());
  }

  /** From the greeting to the first request. */
  async open(
    name: string,
    { structured = true, contexts = [] }: { readonly structured?: boolean; readonly contexts?: readonly string[] } = {},
  ): Promise<Agreed> {
    await this.greet();
    if (structured) await this.chooseStructured();
    if (contexts.length > 0) {
      const type = await this.verdict(OPT.setContexts, contextData(name, contexts));
      if (type !== REP.ack) throw new Error(`contexts were refused: ${type}`);
    }
    return this.go(name);
  }

  async chooseStructured(): Promise<void> {
    if ((await this.verdict(OPT.structuredReply)) !== REP.ack) throw new Error('no structured replies');
    this.structured = true;
  }

  async go(name: string): Promise<Agreed> {
    const replies = await this.option(OPT.go, infoData(name));
    const last = replies.at(-1);
    if (last?.type !== REP.ack) throw new Error(`'${name}' was refused: ${last?.data.toString()}`);
    const facts = replies.find(({ type, data }) => type === REP.info && data.readUInt16BE(0) === 0)?.data;
    if (facts === undefined) throw new Error('nothing was said about the export');
    this.sizeBytes = Number(facts.readBigUInt64BE(2));
    return { sizeBytes: this.sizeBytes, flags: facts.readUInt16BE(10) };
  }

  /** Sends a request; resolves when all of its answer has come. */
  request(request: RawRequest): Promise<Answer> {
    const cookie = ++this.#cookie;
    const dataBytes = request.command === CMD.read ? (request.length ?? 0) : 0;
    const answer = new Promise<Answer>((done, fail) => {
      const data = Buffer.alloc(Math.min(dataBytes, 64 * 1024 * 1024));
      const pending = { request, chunks: [], data, status: new Map(), covered: 0, error: 0, message: '', done, fail };
      this.#pending.set(cookie, pending);
    });
    this.send(requestBytes(cookie, request));
    void this.#receive();
    return answer;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const { error, message, data } = await this.request({ command: CMD.read, offset, length });
    if (error !== 0) throw new Error(`read: ${error} ${message}`);
    return data;
  }

  /** A change, which must go well. */
  async ok(request: RawRequest): Promise<void> {
    const { error, message } = await this.request(request);
    if (error !== 0) throw new Error(`command ${request.command}: ${error} ${message}`);
  }

  write(offset: number, data: Uint8Array, flags = 0): Promise<void> {
    return this.ok({ command: CMD.write, flags, offset, data });
  }

  flush(): Promise<void> {
    return this.ok({ command: CMD.flush });
  }

  /** Says goodbye and waits until the server has closed. */
  async leave(): Promise<void> {
    this.send(requestBytes(0n, { command: CMD.disconnect }));
    await this.rest();
    this.socket.destroy();
  }

  async #receive(): Promise<void> {
    if (this.#isReceiving) return;
    this.#isReceiving = true;
    try {
      while (this.#pending.size > 0) await this.#message();
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      if (!this.#isOver) this.violation = reason;
      for (const { fail } of this.#pending.values()) fail(reason);
      this.#pending.clear();
    } finally {
      this.#isReceiving = false;
    }
  }

  async #message(): Promise<void> {
    const head = await this.need(16);
    const magic = head.readUInt32BE(0);
    const cookie = head.readBigUInt64BE(8);
    const pending = this.#pending.get(cookie);
    if (pending === undefined) throw new Error(`an answer to ${cookie}, which was not asked`);
    if (magic === NBD.simple) {
      const isRead = pending.request.command === CMD.read;
      if (isRead && this.structured) throw new Error('a simple reply to a read, though chunks were agreed on');
      pending.error = head.readUInt32BE(4);
      if (isRead && pending.error === 0) (await this.need(pending.data.length)).copy(pending.data);
      this.#finish(cookie, pending);
      return;
    }
    if (magic !== NBD.structured || !this.structured) throw new Error(`no reply: ${head.toString('hex')}`);
    const isLast = (head.readUInt16BE(4) & 1) !== 0;
    const type = head.readUInt16BE(6);
    takeChunk(pending, type, await this.need((await this.need(4)).readUInt32BE(0)));
    if (!isLast) return;
    if (pending.error === 0 && pending.request.command === CMD.read && pending.covered !== pending.data.length)
      throw new Error(`${pending.covered} of ${pending.data.length} bytes came`);
    this.#finish(cookie, pending);
  }

  #finish(cookie: bigint, pending: Pending): void {
    this.#pending.delete(cookie);
    const { error, message, data, status, chunks } = pending;
    pending.done({ error, message, data, status, chunks });
  }
}

function takeChunk(pending: Pending, type: number, payload: Buffer): void {
  const from = Number(pending.request.offset ?? 0);
  if (type === CHUNK.data || type === CHUNK.hole) {
    const offset = Number(payload.readBigUInt64BE(0));
    const length = type === CHUNK.data ? payload.length - 8 : payload.readUInt32BE(8);
    const start = offset - from;
    if (start < 0 || length === 0 || start + length > pending.data.length) throw new Error('a chunk of something else');
    if (type === CHUNK.data) payload.copy(pending.data, start, 8);
    pending.covered += length;
    pending.chunks.push({ type, offset, length });
    return;
  }
  pending.chunks.push({ type, offset: 0, length: payload.length });
  if (type === CHUNK.status) {
    const runs: (readonly [number, number])[] = [];
    for (let at = 4; at < payload.length; at += 8) runs.push([payload.readUInt32BE(at), payload.readUInt32BE(at + 4)]);
    pending.status.set(payload.readUInt32BE(0), runs);
  } else if ((type & 0x8000) !== 0) {
    pending.error = payload.readUInt32BE(0);
    if (pending.error === 0) throw new Error('an error without a number');
    pending.message = payload.subarray(6, 6 + payload.readUInt16BE(4)).toString();
  } else if (type !== CHUNK.none || payload.length > 0) throw new Error(`a chunk of type ${type}`);
}
