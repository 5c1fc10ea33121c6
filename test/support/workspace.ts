import { join } from 'node:path';
import { expect } from 'vitest';
import { type RunOptions, type RunResult, runBinary, temporaryDirectory } from './cli.ts';
import { checkJson } from './schema.ts';

/** A directory of its own in which a test runs the real program. */
export interface Workspace {
  readonly directory: string;
  readonly path: (name: string) => string;
  /** Runs `vsimg` and gives back whatever comes out; all JSON must fit its schema. */
  readonly run: (argv: readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Runs `vsimg`, which must succeed silently on stderr; gives back its stdout. */
  readonly ok: (argv: readonly string[], options?: RunOptions) => Promise<string>;
  /** The same with `--json`; gives back the document. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into documents of all shapes
  readonly json: (argv: readonly string[], options?: RunOptions) => Promise<any>;
  /** Runs `vsimg`, which must end with `status` and one line on stderr; gives back that line. */
  readonly fails: (status: number, argv: readonly string[], options?: RunOptions) => Promise<string>;
}

/** Date of all versions made in a workspace. */
export const EPOCH = 1_700_000_000;

export function workspace(): Workspace {
  const directory = temporaryDirectory();
  const run = async (argv: readonly string[], options: RunOptions = {}) => {
    const env: Record<string, string> = { SOURCE_DATE_EPOCH: String(EPOCH), ...options.env };
    const result = await runBinary(argv, { cwd: directory, ...options, env });
    // What is loaded into the program prints what it likes.
    if (!('NODE_OPTIONS' in env)) checkJson(argv, result);
    return result;
  };
  const ok = async (argv: readonly string[], options: RunOptions = {}) => {
    const { status, stdout, stderr } = await run(argv, options);
    expect({ argv, status, stderr }).toEqual({ argv, status: 0, stderr: '' });
    return stdout;
  };
  return {
    directory,
    path: (name) => join(directory, name),
    run,
    ok,
    json: async (argv, options = {}) => JSON.parse(await ok([...argv, '--json'], options)),
    fails: async (status, argv, options = {}) => {
      const result = await run(argv, options);
      expect({ argv, status: result.status, stdout: result.stdout }).toEqual({ argv, status, stdout: '' });
      expect(result.stderr).toMatch(/^vsimg: [^\n]+\n$/);
      return result.stderr;
    },
  };
}

/** `length` bytes that do not compress and are the same at every call with the same `seed`. */
export function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    bytes[at] = state & 0xff;
  }
  return bytes;
}
