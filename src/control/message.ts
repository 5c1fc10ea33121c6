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

/** What comes back: output as it is written, and at last the status. */
export type ControlReply =
  | { readonly kind: 'stdout' | 'stderr'; readonly bytes: Uint8Array }
  | { readonly kind: 'status'; readonly status: number };

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
  const value =
    reply.kind === 'status'
      ? { status: reply.status }
      : {
          [reply.kind]: Buffer.from(reply.bytes.buffer, reply.bytes.byteOffset, reply.bytes.length).toString('base64'),
        };
  return `${JSON.stringify(value)}\n`;
}

/** Undefined for what is no reply. */
export function decodeReply(line: string): ControlReply | undefined {
  const value = parse(line);
  if (value === undefined) return undefined;
  for (const kind of ['stdout', 'stderr'] as const) {
    const text = value[kind];
    if (typeof text === 'string') return { kind, bytes: Buffer.from(text, 'base64') };
  }
  return typeof value.status === 'number' ? { kind: 'status', status: value.status } : undefined;
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
