import { VsimgError } from '../errors.ts';
import type { Export, Exports, Opened } from './exports.ts';
import type { Input } from './input.ts';
import {
  CLIENT_FLAGS_BYTES,
  type ClientFlags,
  decodeClientFlags,
  decodeContextQuery,
  decodeInfoQuery,
  decodeName,
  decodeOptionHead,
  type ExportFacts,
  encodeContext,
  encodeExport,
  encodeInfo,
  encodeOptionReply,
  encodeServer,
  OPTION_HEAD_BYTES,
  type OptionHead,
} from './option.ts';
import {
  BASE_ALLOCATION,
  INFO,
  MAX_OPTION_BYTES,
  MAX_STRING_BYTES,
  OPTION,
  OPTION_REPLY,
  type OptionReplyType,
  TRANSMISSION_FLAG,
} from './protocol.ts';

/** One context that the client will ask block status of. */
export interface ChosenContext {
  readonly id: number;
  readonly name: string;
}

/** What was agreed on when requests begin. */
export interface Agreement {
  readonly opened: Opened;
  readonly sizeBytes: number;
  readonly structured: boolean;
  readonly contexts: readonly ChosenContext[];
}

export type Step =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  /** To be encrypted from the next byte on. */
  | { readonly kind: 'encrypt' }
  | { readonly kind: 'serve'; readonly agreement: Agreement }
  | { readonly kind: 'close' };

/** 'required': nothing is told before the connection is encrypted. */
export type Encryption = 'none' | 'offered' | 'required' | 'done';

/** More than any client needs; each costs a pass through the map. */
const MAX_CONTEXTS = 16;
/** Each is looked for among all contexts that there are. */
const MAX_QUERIES = 256;
/** Options that one client may give, some for each export of a list: a hostile one must not be busy with them forever. */
const MAX_OPTIONS = 5000;

/**
 * The part of a connection in which client and server agree on what is served and how: bytes in, steps out, no socket. It
 * is over after 'serve' or 'close'.
 */
export class Negotiation {
  readonly #exports: Exports;
  #encryption: Encryption;
  #flags: ClientFlags | undefined;
  #head: OptionHead | undefined;
  /** Of an option that is too long: bytes still to come. */
  #unread = 0;
  #optionCount = 0;
  #structured = false;
  #chosen: { readonly exportName: string; readonly contexts: readonly ChosenContext[] } | undefined;

  constructor(exports: Exports, encryption: Encryption) {
    this.#exports = exports;
    this.#encryption = encryption;
  }

  /** All that can be done with what has come. */
  async *steps(input: Input): AsyncGenerator<Step> {
    if (this.#flags === undefined) {
      const bytes = input.take(CLIENT_FLAGS_BYTES);
      if (bytes === undefined) return;
      this.#flags = decodeClientFlags(bytes);
      if (this.#flags === undefined) return yield { kind: 'close' };
    }
    for (;;) {
      this.#unread -= input.skip(this.#unread);
      if (this.#unread > 0) return;
      if (this.#head === undefined) {
        const bytes = input.take(OPTION_HEAD_BYTES);
        if (bytes === undefined) return;
        this.#head = decodeOptionHead(bytes);
        if (this.#head === undefined || ++this.#optionCount > MAX_OPTIONS) return yield { kind: 'close' };
      }
      const { number, dataBytes } = this.#head;
      // No reply to it would be understood.
      if (!this.#flags.fixedNewstyle && number !== OPTION.exportName) return yield { kind: 'close' };
      if (dataBytes > MAX_OPTION_BYTES) {
        this.#head = undefined;
        this.#unread = dataBytes;
        if (number === OPTION.exportName) return yield { kind: 'close' };
        yield reply(number, OPTION_REPLY.tooBig, 'the option is too long');
        continue;
      }
      const data = input.take(dataBytes);
      if (data === undefined) return;
      this.#head = undefined;
      for await (const step of this.#answer(number, data, input)) {
        yield step;
        if (step.kind === 'serve' || step.kind === 'close') return;
      }
    }
  }

  async *#answer(option: number, data: Buffer, input: Input): AsyncGenerator<Step> {
    if (this.#flags?.fixedNewstyle !== true && option !== OPTION.exportName) return yield { kind: 'close' };
    if (this.#encryption === 'required' && option !== OPTION.startTls && option !== OPTION.abort) {
      if (option === OPTION.exportName) return yield { kind: 'close' };
      return yield reply(option, OPTION_REPLY.tlsRequired, 'this server wants TLS');
    }
    switch (option) {
      case OPTION.exportName:
        return yield* this.#serveOldWay(data);
      case OPTION.abort:
        yield reply(option, OPTION_REPLY.ack);
        return yield { kind: 'close' };
      case OPTION.list:
        return yield* this.#list(data);
      case OPTION.startTls:
        return yield* this.#startTls(data, input);
      case OPTION.info:
      case OPTION.go:
        return yield* this.#inform(option, data);
      case OPTION.structuredReply:
        if (data.length > 0) return yield reply(option, OPTION_REPLY.invalid, 'the option takes no data');
        this.#structured = true;
        return yield reply(option, OPTION_REPLY.ack);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return yield* this.#contexts(option, data);
      default:
        return yield reply(option, OPTION_REPLY.unsupported, 'there is no such option here');
    }
  }

  /** An option that has no way to say no. */
  async *#serveOldWay(data: Buffer): AsyncGenerator<Step> {
    const name = decodeName(data);
    const found = name === undefined ? undefined : this.#find(name);
    const opened = found === undefined || found instanceof VsimgError ? undefined : await openedOf(found);
    if (found === undefined || found instanceof VsimgError || opened === undefined || opened instanceof VsimgError)
      return yield { kind: 'close' };
    const noZeroes = this.#flags?.noZeroes === true;
    yield { kind: 'send', bytes: encodeExport({ ...factsOf(found), flags: this.#flagsOf(opened) }, { noZeroes }) };
    yield this.#serve(name ?? '', found, opened);
  }

  async *#list(data: Buffer): AsyncGenerator<Step> {
    if (data.length > 0) return yield reply(OPTION.list, OPTION_REPLY.invalid, 'the option takes no data');
    for (const facts of this.#exports.list()) yield reply(OPTION.list, OPTION_REPLY.server, encodeServer(short(facts)));
    yield reply(OPTION.list, OPTION_REPLY.ack);
  }

  async *#startTls(data: Buffer, input: Input): AsyncGenerator<Step> {
    if (this.#encryption === 'none') return yield reply(OPTION.startTls, OPTION_REPLY.policy, 'TLS is not set up here');
    if (this.#encryption === 'done') return yield reply(OPTION.startTls, OPTION_REPLY.invalid, 'TLS is there already');
    if (data.length > 0) return yield reply(OPTION.startTls, OPTION_REPLY.invalid, 'the option takes no data');
    // Whatever came in the clear behind it could be somebody else's, and would count as encrypted.
    if (input.lengthBytes > 0) return yield { kind: 'close' };
    yield reply(OPTION.startTls, OPTION_REPLY.ack);
    // What was agreed on so far may be somebody else's too.
    this.#encryption = 'done';
    this.#structured = false;
    this.#chosen = undefined;
    yield { kind: 'encrypt' };
  }

  async *#inform(option: number, data: Buffer): AsyncGenerator<Step> {
    const query = decodeInfoQuery(data);
    if (query === undefined) return yield reply(option, OPTION_REPLY.invalid, 'the option makes no sense');
    const found = this.#find(query.name);
    if (found === undefined) return yield reply(option, OPTION_REPLY.unknown, unknown(query.name));
    if (found instanceof VsimgError) return yield reply(option, OPTION_REPLY.policy, found.message);
    const opened = option === OPTION.go ? await openedOf(found) : undefined;
    if (opened instanceof VsimgError) return yield reply(option, OPTION_REPLY.policy, opened.message);
    const facts = short({ ...factsOf(found), flags: this.#flagsOf(opened ?? found) });
    for (const item of [
      INFO.export,
      ...[INFO.name, INFO.description].filter((each) => query.items.includes(each)),
      INFO.blockSize,
    ])
      yield reply(option, OPTION_REPLY.info, encodeInfo(item, facts));
    yield reply(option, OPTION_REPLY.ack);
    if (opened !== undefined) yield this.#serve(query.name, found, opened);
  }

  async *#contexts(option: number, data: Buffer): AsyncGenerator<Step> {
    const query = decodeContextQuery(data);
    if (query === undefined) return yield reply(option, OPTION_REPLY.invalid, 'the option makes no sense');
    if (option === OPTION.setMetaContext) {
      this.#chosen = undefined;
      if (!this.#structured) return yield reply(option, OPTION_REPLY.invalid, 'it needs structured replies');
    }
    if (query.queries.length > MAX_QUERIES)
      return yield reply(option, OPTION_REPLY.tooBig, 'there are too many queries');
    const found = this.#find(query.exportName);
    if (found === undefined) return yield reply(option, OPTION_REPLY.unknown, unknown(query.exportName));
    if (found instanceof VsimgError) return yield reply(option, OPTION_REPLY.policy, found.message);
    const names = option === OPTION.setMetaContext ? chosenOf(found, query.queries) : listedOf(found, query.queries);
    const contexts: ChosenContext[] = [];
    for (const name of names) {
      const id = option === OPTION.setMetaContext ? contexts.length + 1 : 0;
      contexts.push({ id, name });
      yield reply(option, OPTION_REPLY.metaContext, encodeContext(id, name));
    }
    if (option === OPTION.setMetaContext) this.#chosen = { exportName: query.exportName, contexts };
    yield reply(option, OPTION_REPLY.ack);
  }

  #find(name: string): Export | VsimgError | undefined {
    try {
      return this.#exports.find(name);
    } catch (error) {
      if (error instanceof VsimgError) return error;
      throw error;
    }
  }

  /** Of TRANSMISSION_FLAG. Only chunks can come in parts. */
  #flagsOf({ flags }: Pick<Opened, 'flags'>): number {
    return this.#structured ? flags : flags & ~TRANSMISSION_FLAG.sendDf;
  }

  #serve(name: string, found: Export, opened: Opened): Step {
    const { sizeBytes } = found;
    // Contexts of another export do not count.
    const contexts = this.#chosen?.exportName === name ? this.#chosen.contexts : [];
    return { kind: 'serve', agreement: { opened, sizeBytes, structured: this.#structured, contexts } };
  }
}

/** Exactly what was asked for, as far as it is there. */
function chosenOf(found: Export, queries: readonly string[]): string[] {
  const names = [...new Set(queries)].filter((name) => isContext(found, name));
  return names.slice(0, MAX_CONTEXTS);
}

/** A query that ends in `:` stands for all that begin so; none for all. */
function listedOf(found: Export, queries: readonly string[]): string[] {
  const all = [BASE_ALLOCATION, ...found.contexts.list()];
  if (queries.length === 0) return all;
  const listed = all.filter((name) => queries.some((query) => query.endsWith(':') && name.startsWith(query)));
  const exact = queries.filter((query) => !query.endsWith(':') && isContext(found, query));
  return [...new Set([...listed, ...exact])];
}

function isContext(found: Export, name: string): boolean {
  return name === BASE_ALLOCATION || found.contexts.has(name);
}

async function openedOf(found: Export): Promise<Opened | VsimgError> {
  try {
    return await found.open();
  } catch (error) {
    if (error instanceof VsimgError) return error;
    throw error;
  }
}

function factsOf({ name, description, sizeBytes, flags, blockSizes }: Export): ExportFacts {
  return { name, description, sizeBytes, flags, blockSizes };
}

/** With texts that the protocol has room for. */
function short<T extends { readonly name: string; readonly description: string }>(facts: T): T {
  return { ...facts, description: cut(facts.description) };
}

function cut(text: string): string {
  return Buffer.byteLength(text, 'utf8') <= MAX_STRING_BYTES
    ? text
    : Buffer.from(text, 'utf8').subarray(0, MAX_STRING_BYTES).toString('utf8').slice(0, -2);
}

function unknown(name: string): string {
  return `there is no export '${name}'`;
}

function reply(option: number, type: OptionReplyType, data?: Uint8Array | string): Step {
  return { kind: 'send', bytes: encodeOptionReply(option, type, data) };
}
