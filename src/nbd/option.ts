import { CLIENT_FLAG, HANDSHAKE_FLAG, INFO, MAGIC, MAX_STRING_BYTES, type OptionReplyType } from './protocol.ts';

/** Layout of an option: magic (8), number (4), bytes of data (4), data. */
export const OPTION_HEAD_BYTES = 16;
export const CLIENT_FLAGS_BYTES = 4;

const REPLY_HEAD_BYTES = 20;
/** What follows size and flags where the client did not do without it. */
const EXPORT_PADDING_BYTES = 124;
const utf8 = new TextDecoder('utf-8', { fatal: true });

export interface OptionHead {
  readonly number: number;
  readonly dataBytes: number;
}

/** An export as the client is told of it. */
export interface ExportFacts {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  /** Of TRANSMISSION_FLAG. */
  readonly flags: number;
  readonly blockSizes: { readonly minimum: number; readonly preferred: number; readonly maximum: number };
}

/** What `info` and `go` ask for. */
export interface InfoQuery {
  readonly name: string;
  readonly items: readonly number[];
}

export interface ContextQuery {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** The first bytes on a connection. */
export function encodeGreeting(): Uint8Array {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(MAGIC.start, 0);
  bytes.writeBigUInt64BE(MAGIC.option, 8);
  bytes.writeUInt16BE(HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes, 16);
  return bytes;
}

export interface ClientFlags {
  /** False for an older client, which knows no option but `exportName`. */
  readonly fixedNewstyle: boolean;
  readonly noZeroes: boolean;
}

/** Undefined for flags that nobody knows. */
export function decodeClientFlags(bytes: Buffer): ClientFlags | undefined {
  const flags = bytes.readUInt32BE(0);
  if (flags > (CLIENT_FLAG.fixedNewstyle | CLIENT_FLAG.noZeroes)) return undefined;
  return {
    fixedNewstyle: (flags & CLIENT_FLAG.fixedNewstyle) !== 0,
    noZeroes: (flags & CLIENT_FLAG.noZeroes) !== 0,
  };
}

/** Undefined for what is no option. */
export function decodeOptionHead(bytes: Buffer): OptionHead | undefined {
  if (bytes.readBigUInt64BE(0) !== MAGIC.option) return undefined;
  return { number: bytes.readUInt32BE(8), dataBytes: bytes.readUInt32BE(12) };
}

export function encodeOptionReply(option: number, type: OptionReplyType, data: Uint8Array | string = ''): Uint8Array {
  const payload = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  const bytes = Buffer.alloc(REPLY_HEAD_BYTES + payload.length);
  bytes.writeBigUInt64BE(MAGIC.optionReply, 0);
  bytes.writeUInt32BE(option, 8);
  bytes.writeUInt32BE(type, 12);
  bytes.writeUInt32BE(payload.length, 16);
  bytes.set(payload, REPLY_HEAD_BYTES);
  return bytes;
}

/** A line of the list of exports: bytes of the name (4), name, description. */
export function encodeServer({ name, description }: Pick<ExportFacts, 'name' | 'description'>): Uint8Array {
  const nameBytes = Buffer.from(name, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(nameBytes.length);
  return Buffer.concat([length, nameBytes, Buffer.from(description, 'utf8')]);
}

/** One item: its number (2), and what it says. */
export function encodeInfo(item: number, facts: ExportFacts): Uint8Array {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(item);
  return Buffer.concat([head, infoData(item, facts)]);
}

function infoData(item: number, facts: ExportFacts): Uint8Array {
  if (item === INFO.name) return Buffer.from(facts.name, 'utf8');
  if (item === INFO.description) return Buffer.from(facts.description, 'utf8');
  if (item === INFO.export) return sizeAndFlags(facts);
  const { minimum, preferred, maximum } = facts.blockSizes;
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(minimum, 0);
  bytes.writeUInt32BE(preferred, 4);
  bytes.writeUInt32BE(maximum, 8);
  return bytes;
}

function sizeAndFlags({ sizeBytes, flags }: ExportFacts): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

/** The answer to the old option `exportName`, which has no head. */
export function encodeExport(facts: ExportFacts, { noZeroes }: { readonly noZeroes: boolean }): Uint8Array {
  const start = sizeAndFlags(facts);
  return noZeroes ? start : Buffer.concat([start, Buffer.alloc(EXPORT_PADDING_BYTES)]);
}

/** A context that was asked for: its id (4), 0 in lists, and its name. */
export function encodeContext(id: number, name: string): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id);
  return Buffer.concat([head, Buffer.from(name, 'utf8')]);
}

/** Name's bytes (4), name, count (2), items (2 each). Undefined for anything else. */
export function decodeInfoQuery(data: Buffer): InfoQuery | undefined {
  const fields = new Fields(data);
  const name = fields.string();
  const count = fields.number(2);
  const items: number[] = [];
  for (let index = 0; index < count && fields.isSound; index++) items.push(fields.number(2));
  return fields.isAtEnd && name !== undefined ? { name, items } : undefined;
}

/** Name's bytes (4), name, count (4), and for each query its bytes (4) and text. Undefined for anything else. */
export function decodeContextQuery(data: Buffer): ContextQuery | undefined {
  const fields = new Fields(data);
  const exportName = fields.string();
  const count = fields.number(4);
  const queries: string[] = [];
  for (let index = 0; index < count && fields.isSound; index++) {
    const query = fields.string();
    if (query !== undefined) queries.push(query);
  }
  return fields.isAtEnd && exportName !== undefined ? { exportName, queries } : undefined;
}

/** Undefined for what is no text, or too long. */
export function decodeName(data: Buffer): string | undefined {
  if (data.length > MAX_STRING_BYTES || data.includes(0)) return undefined;
  try {
    return utf8.decode(data);
  } catch {
    return undefined;
  }
}

/** Takes one field after the other; after an overrun nothing is sound any more. */
class Fields {
  readonly #data: Buffer;
  #at = 0;
  #isSound = true;

  constructor(data: Buffer) {
    this.#data = data;
  }

  get isSound(): boolean {
    return this.#isSound;
  }

  get isAtEnd(): boolean {
    return this.#isSound && this.#at === this.#data.length;
  }

  number(lengthBytes: 2 | 4): number {
    return this.#take(lengthBytes)?.readUIntBE(0, lengthBytes) ?? 0;
  }

  string(): string | undefined {
    const bytes = this.#take(this.number(4));
    const text = bytes === undefined ? undefined : decodeName(bytes);
    if (text === undefined) this.#isSound = false;
    return text;
  }

  #take(lengthBytes: number): Buffer | undefined {
    const end = this.#at + lengthBytes;
    if (!this.#isSound || end > this.#data.length) {
      this.#isSound = false;
      return undefined;
    }
    const bytes = this.#data.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}
