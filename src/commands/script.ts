import type { CommandContext } from '../cli/context.ts';
import { splitWords } from '../cli/words.ts';
import { VsimgError } from '../errors.ts';
import { openFileSource, streamSource } from '../storage/source.ts';
import type { DataSource } from '../storage/transfer.ts';

const PIECE_BYTES = 65_536;
/** A longer line is no line of a script. */
const MAX_LINE_CHARACTERS = 16 * 1024 * 1024;

export interface ScriptLine {
  /** Counts from 1. */
  readonly number: number;
  /** For errors: `line 3`, or `-c 3`. */
  readonly place: string;
  readonly text: string;
}

/** Words of a line; none for a comment. @throws VsimgError 'usage' */
export function wordsOf({ text }: ScriptLine): string[] {
  return splitWords(text);
}

export function* commandLines(commands: readonly string[]): Generator<ScriptLine> {
  for (const [index, text] of commands.entries()) yield { number: index + 1, place: `-c ${index + 1}`, text };
}

/** Line by line, so that a script may be of any length. Errors: 'usage' for what is no text, and all of `openFileSource`. */
export async function* fileLines({ io, cleanup }: CommandContext, file: string): AsyncGenerator<ScriptLine> {
  const source = file === '-' ? streamSource(io.stdin) : openFileSource(file);
  const forget = cleanup.add(() => source.close());
  let number = 0;
  const line = (text: string): ScriptLine => {
    number++;
    return { number, place: `line ${number}`, text };
  };
  try {
    let rest = '';
    for await (const text of texts(source)) {
      const [first = '', ...more] = text.split('\n');
      rest += first;
      for (const next of more) {
        yield line(rest);
        rest = next;
      }
      if (rest.length > MAX_LINE_CHARACTERS) throw noScript('it has a line of more than 16 MiB');
    }
    if (rest !== '') yield line(rest);
  } finally {
    forget();
    source.close();
  }
}

async function* texts(source: DataSource): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw noScript('it is not valid UTF-8');
    }
  };
  for await (const piece of source.pieces(PIECE_BYTES)) {
    if (piece.kind === 'hole' || piece.bytes.includes(0)) throw noScript('it has bytes of zero');
    yield decode(piece.bytes);
  }
  yield decode();
}

function noScript(why: string): VsimgError {
  return new VsimgError('usage', `this is no script: ${why}`, { hint: 'give one command a line' });
}
