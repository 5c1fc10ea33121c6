import type { Writable } from 'node:stream';
import type { VsimgError } from '../errors.ts';
import { isBrokenPipe, systemError } from '../storage/system-error.ts';
import type { Io } from './io.ts';
import { formatJson, type JsonLayout, JsonListDocument, type JsonObject, type JsonValue } from './json.ts';
import { loadColours, type Paint, PLAIN, wantsColour } from './paint.ts';

export type OutputFormat = 'text' | 'json';

export interface OutputSettings {
  readonly format: OutputFormat;
  readonly jsonLayout?: JsonLayout;
  readonly quiet: boolean;
}

/** Text is gathered to writes of this many characters. */
const BUFFER_CHARACTERS = 65536;

/**
 * The result of a command on stdout. When the reader goes away (`vsimg log disk.vsi | head`) the rest is
 * dropped quietly and `closed` tells loops that they may stop.
 */
export class Output {
  readonly format: OutputFormat;
  /** Whether bytes of a disk may be written here, beside whatever else is. */
  readonly takesData: boolean = true;
  readonly #jsonLayout: JsonLayout;
  readonly #io: Io;
  #text = '';
  #quiet: boolean;
  #messages: 'stdout' | 'stderr' = 'stdout';
  #closed = false;
  #failure: VsimgError | undefined;
  #stream: Writable | undefined;
  #hasData = false;
  #hasTold = false;

  constructor(io: Io, settings: OutputSettings) {
    this.#io = io;
    this.format = settings.format;
    this.#quiet = settings.quiet;
    this.#jsonLayout = settings.jsonLayout ?? 'document';
  }

  get quiet(): boolean {
    return this.#quiet;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** From now on stdout has results only: where there are results of many commands, nobody could tell them from messages. */
  sendMessagesToStderr(): void {
    this.#messages = 'stderr';
  }

  /** As if `-q` was given until `action` ends. */
  async quietly<T>(action: () => Promise<T>): Promise<T> {
    const before = this.#quiet;
    this.#quiet = true;
    try {
      return await action();
    } finally {
      this.#quiet = before;
    }
  }

  /** Whether bytes of a disk were written that nobody took: a list that is cut off serves, half a disk does not. */
  get lostData(): boolean {
    return this.#closed && this.#hasData;
  }

  /** Stdout itself, for whoever moves bytes to it; errors on it are noted here all the same. */
  get stream(): Writable {
    this.#hasData = true;
    return this.#openStream();
  }

  #openStream(): Writable {
    if (this.#stream === undefined) {
      this.#stream = this.#io.stdout;
      this.#stream.on('error', (error) => this.#noteError(error));
    }
    return this.#stream;
  }

  /** A line of the result that was asked for; text format only. */
  async line(text: string): Promise<void> {
    if (this.format === 'text') await this.write(`${text}\n`);
  }

  /** A line of a list or, with `-z`, an item that ends with NUL and may hold anything else; text format only. */
  async item(text: string, end: '\n' | '\0'): Promise<void> {
    if (this.format === 'text') await this.write(text + end);
  }

  async lines(texts: readonly string[]): Promise<void> {
    for (const text of texts) await this.line(text);
  }

  /** Says what was done; left out with `-q` and in JSON. */
  async message(text: string): Promise<void> {
    if (this.#messages === 'stdout') return this.finding(text);
    if (this.quiet || this.format !== 'text') return;
    // On a terminal both are seen, in their order.
    await this.flush();
    this.tell(text);
  }

  /** A line on stderr, whatever the format. */
  tell(line: string): void {
    // Nobody is left to be told if it is closed.
    if (!this.#hasTold) this.#io.stderr.on('error', () => undefined);
    this.#hasTold = true;
    this.#io.stderr.write(`${line}\n`);
  }

  /** A line of a result of which the exit status tells the most: left out with `-q` and in JSON. */
  async finding(text: string): Promise<void> {
    if (!this.quiet) await this.line(text);
  }

  /** The one JSON document; JSON format only. */
  async document(value: JsonValue): Promise<void> {
    if (this.format === 'json') await this.write(formatJson(value, this.#jsonLayout));
  }

  /** A document around a list that is at hand; JSON format only. */
  async listDocument(head: JsonObject, listName: string, items: readonly JsonValue[]): Promise<void> {
    if (this.format !== 'json') return;
    const list = this.list();
    await list.open(head, listName);
    for (const item of items) await list.item(item);
    await list.close();
  }

  /** A document around a long list, for JSON format. */
  list(): JsonListDocument {
    return new JsonListDocument((text) => this.write(text), this.#jsonLayout);
  }

  async write(text: string): Promise<void> {
    this.#text += text;
    if (this.#text.length >= BUFFER_CHARACTERS) await this.flush();
  }

  /** Raw bytes; they are free to be reused when this returns. */
  async bytes(data: Uint8Array): Promise<void> {
    this.#hasData = true;
    await this.flush();
    await this.#writeThrough(data);
  }

  /** @throws the stream's error, except that a reader who went away is no error. */
  async flush(): Promise<void> {
    if (this.#text === '') return this.#throwFailure();
    const text = Buffer.from(this.#text);
    this.#text = '';
    await this.#writeThrough(text);
  }

  async #writeThrough(data: Uint8Array): Promise<void> {
    this.#throwFailure();
    if (this.#closed) return;
    try {
      const rest = this.#io.writeAtOnce(data);
      if (rest.length > 0) await this.#push(rest);
    } catch (error) {
      this.#noteError(error);
    }
    this.#throwFailure();
  }

  async #push(data: Uint8Array): Promise<void> {
    this.#throwFailure();
    if (this.#closed) return;
    const stream = this.#openStream();
    await new Promise<void>((resolve) => {
      stream.write(data, (error) => {
        if (error != null) this.#noteError(error);
        resolve();
      });
    });
    this.#throwFailure();
  }

  #noteError(error: unknown): void {
    this.#closed = true;
    if (!isBrokenPipe(error)) this.#failure ??= systemError('cannot write to stdout', error);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Styles for a terminal; identities where there is none. */
  async paint(): Promise<Paint> {
    const wanted = this.format === 'text' && wantsColour(this.#io.stdoutIsTerminal, this.#io.env);
    return wanted ? loadColours() : PLAIN;
  }
}

/** Keeps the one document of a command for somebody else to print. */
export class KeptOutput extends Output {
  override readonly takesData = false;
  readonly #parts: string[] = [];

  constructor(io: Io) {
    super(io, { format: 'json', quiet: false });
  }

  override async write(text: string): Promise<void> {
    this.#parts.push(text);
  }

  override async flush(): Promise<void> {}

  /** Null if there was none. */
  take(): JsonValue {
    const text = this.#parts.splice(0).join('');
    return text === '' ? null : (JSON.parse(text) as JsonValue);
  }
}
