/** What one process asks another one to carry out. */
export interface ControlRequest {
  /** The command line, from the name of the command on. */
  readonly argv: readonly string[];
  /** Where relative names of files begin. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly columns: number;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
}

/** What comes back: that input is wanted, once; output as it is written, and at last the status. */
export type ControlReply =
  | { readonly kind: 'stdout' | 'stderr'; readonly bytes: Uint8Array }
  | { readonly kind: 'input' }
  | { readonly kind: 'status'; readonly status: number };

/** What follows a request when input is wanted, until its end or its failure. */
export type ControlInput =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'failure'; readonly message: string; readonly code: string | undefined };

const MAX_LINE_CHARACTERS = 16 * 1024 * 1024;

/** Takes messages, a line of JSON each, out of text as it comes. */
export class ControlLines {
  #rest = '';

  /** Undefined for a line that is too long. */
  push(text: string): string[] | undefined {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    return this.#rest.length > MAX_LINE_CHARACTERS ? undefined : lines;
  }
}

export function encodeRequest(request: ControlRequest): string {
  return `${JSON.stringify(request)}\n`;
}

/** Undefined for what is no request. */
export function decodeRequest(line: string): ControlRequest | undefined {
  const value = parse(line);
  if (value === undefined) return undefined;
  const { argv, directory, env, columns, stdoutIsTerminal, stderrIsTerminal } = value;
  if (!isTexts(argv) || typeof directory !== 'string' || typeof columns !== 'number') return undefined;
  if (typeof env !== 'object' || env === null || !isTexts(Object.values(env))) return undefined;
  return {
    argv,
    directory,
    env: env as Record<string, string>,
    columns,
    stdoutIsTerminal: stdoutIsTerminal === true,
    stderrIsTerminal: stderrIsTerminal === true,
  };
}

export function encodeReply(reply: ControlReply): string {
  if (reply.kind === 'status') return `${JSON.stringify({ status: reply.status })}\n`;
  return `${JSON.stringify(reply.kind === 'input' ? { input: true } : { [reply.kind]: base64(reply.bytes) })}\n`;
}

/** Undefined for what is no reply. */
export function decodeReply(line: string): ControlReply | undefined {
  const value = parse(line);
  if (value === undefined) return undefined;
  for (const kind of ['stdout', 'stderr'] as const) {
    const text = value[kind];
    if (typeof text === 'string') return { kind, bytes: Buffer.from(text, 'base64') };
  }
  if (value.input === true) return { kind: 'input' };
  return typeof value.status === 'number' ? { kind: 'status', status: value.status } : undefined;
}

export function encodeInput(input: ControlInput): string {
  const value =
    input.kind === 'bytes'
      ? { bytes: base64(input.bytes) }
      : input.kind === 'end'
        ? { end: true }
        : { failure: input.message, code: input.code };
  return `${JSON.stringify(value)}\n`;
}

/** Undefined for what is no input. */
export function decodeInput(line: string): ControlInput | undefined {
  const { bytes, end, failure, code } = parse(line) ?? {};
  if (typeof bytes === 'string') return { kind: 'bytes', bytes: Buffer.from(bytes, 'base64') };
  if (end === true) return { kind: 'end' };
  if (typeof failure !== 'string') return undefined;
  return { kind: 'failure', message: failure, code: typeof code === 'string' ? code : undefined };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
