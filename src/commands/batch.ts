import type { CommandContext } from '../cli/context.ts';
import { allOptions, type CommandDefinition, type CommandEntry, type CommandModule } from '../cli/definition.ts';
import type { Invocation } from '../cli/invocation.ts';
import type { JsonObject, JsonValue } from '../cli/json.ts';
import { plural } from '../cli/number.ts';
import { KeptOutput } from '../cli/output.ts';
import { parseArguments } from '../cli/parse.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { withImage } from './opening.ts';
import { commandLines, fileLines, type ScriptLine, wordsOf } from './script.ts';

/** Commands that do their work with an image that is open already, and in one publication with others. */
const KNOWN = ['read', 'write', 'resize', 'commit', 'diff', 'log', 'checkout', 'tag', 'branch', 'delete'];

export const definition: CommandDefinition = {
  description: 'Carries out many commands on one image as one change: all of them, or after an error none.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'FILE', presence: 'optional', description: "a script of one command a line (default: '-', stdin)" },
  ],
  options: [
    {
      short: 'c',
      name: 'command',
      value: 'COMMAND',
      repeats: true,
      description: 'a command, in place of a script; may be given several times',
    },
  ],
  access: 'writes',
  examples: [
    {
      command: "vsimg batch disk.vsi -c 'write --data hello --offset 4k' -c 'commit -m \"say hello\"'",
      explanation: 'a change and the version that has it',
    },
    { command: 'vsimg batch disk.vsi changes.txt -q', explanation: 'a script' },
    {
      command: "seq -f 'write -P 1 --length 512 --offset %gk' 0 8 9999 | vsimg batch disk.vsi",
      explanation: 'many small writes at the price of one start and one wait for the disk',
    },
  ],
  details: [
    `The commands are ${KNOWN.slice(0, -1).join(', ')} and ${KNOWN.at(-1)}, with the words that they have elsewhere, but without ` +
      "IMAGE: 'write boot.img --offset 1M'. Another version is named by 'read -l REV'. Options that all commands have, such as -q and " +
      '--wait, are given once, to batch.',
    'Words are quoted as in a shell, with \'...\', "..." and backslash, and nothing is expanded; # begins a comment. A command ends with its line.',
    'Each command sees what those before it did; nobody else sees anything before the end, when all is published at once. At the first ' +
      "error the batch ends with the status of that command, names the line, and leaves the image as it was; 'diff --exit-code' can so be used as a condition. " +
      'What was printed, and files that read -o wrote, stay.',
    'With --json the document has a result for each command, which is the document that the command itself prints.',
  ],
  statuses: [
    { status: EXIT_STATUS.differs, meaning: "'diff --exit-code' found differences" },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseImage(args.operand(0));
  const commands = args.values('command');
  const file = args.operands[1] ?? '-';
  if (commands.length > 0 && args.operands.length > 1)
    throw new VsimgError('usage', 'a script and -c are given together', { hint: 'give one of them' });
  const lines = commands.length > 0 ? commandLines(commands) : fileLines(context, file);
  const stdin = commands.length === 0 && file === '-' ? 'script' : 'free';
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const batch = new Batch({ ...context, image, stdin });
    const list = output.format === 'json' ? output.list() : undefined;
    await list?.open({ filename: path }, 'operations');
    try {
      await image.transaction(() => batch.run(lines, async (done) => list?.item(done)));
    } catch (error) {
      await list?.close(batch.describe('dropped'));
      throw error;
    }
    await output.message(batch.count === 0 ? 'no commands' : `${plural(batch.count, 'command')}, published at once`);
    await list?.close(batch.describe('published'));
    return 0;
  });
}

class Batch {
  count = 0;
  readonly #context: CommandContext & { readonly image: Image };

  constructor(context: CommandContext & { readonly image: Image; readonly stdin: 'script' | 'free' }) {
    this.#context = context;
  }

  async run(
    lines: Iterable<ScriptLine> | AsyncIterable<ScriptLine>,
    onDone: (operation: JsonObject) => Promise<void>,
  ): Promise<void> {
    const giveTurn = turnGiver();
    for await (const line of lines) {
      const done = await this.#runLine(line).catch((error: unknown) => {
        throw error instanceof VsimgError ? inLine(error, line) : error;
      });
      if (done !== undefined) {
        this.count++;
        await onDone({ line: line.number, ...done });
      }
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
  }

  describe(end: 'published' | 'dropped'): JsonObject {
    return { 'operation-count': this.count, published: end === 'published' };
  }

  /** Undefined for a line without a command. */
  async #runLine(line: ScriptLine): Promise<{ readonly command: string; readonly result: JsonValue } | undefined> {
    const [name, ...words] = wordsOf(line);
    if (name === undefined) return undefined;
    const { output, io, image } = this.#context;
    const entry = this.#find(name);
    const module = await entry.load();
    const argv = [operandOf(image.path), ...words];
    const parsed = await parseArguments(entry, module.definition, { words: argv, columns: () => io.columns });
    if (parsed.kind === 'help')
      throw new VsimgError('usage', 'there is no help in a batch', { hint: `see 'vsimg ${name} --help'` });
    refuseCommonOptions(module, parsed.args);
    const kept = output.format === 'json' ? new KeptOutput(io) : undefined;
    const status = await module.run({ ...this.#context, args: parsed.args, output: kept ?? output });
    if (status === EXIT_STATUS.differs) throw new VsimgError('differs', 'there are differences');
    return { command: name, result: kept?.take() ?? null };
  }

  #find(name: string): CommandEntry {
    const entry = KNOWN.includes(name) ? this.#context.commands.find((each) => each.name === name) : undefined;
    if (entry !== undefined) return entry;
    const isElsewhere = this.#context.commands.some((each) => each.name === name);
    throw new VsimgError('usage', isElsewhere ? `'${name}' can not be part of a batch` : `unknown command '${name}'`, {
      hint: `there are ${KNOWN.join(', ')}`,
    });
  }
}

/** A name that no parser takes for an option. */
function operandOf(path: string): string {
  return path.startsWith('-') ? `./${path}` : path;
}

/** Errors: 'usage' for options that are not the command's own. */
function refuseCommonOptions({ definition: { options }, definition: all }: CommandModule, args: Invocation): void {
  const common = allOptions(all).slice(options.length);
  const given = common.find(({ name }) => args.has(name));
  if (given === undefined) return;
  throw new VsimgError('usage', `--${given.name} is for a whole batch`, { hint: "give it to 'vsimg batch' itself" });
}

function inLine(error: VsimgError, { place }: ScriptLine): VsimgError {
  const { code, message, hint, path, hostOffset, guestOffset, holder } = error;
  const unchanged = 'the image is unchanged';
  const advice = hint === undefined ? unchanged : hint.includes(unchanged) ? hint : `${hint}; ${unchanged}`;
  return new VsimgError(code, `${place}: ${message}`, {
    hint: advice,
    ...(path === undefined ? {} : { path }),
    ...(hostOffset === undefined ? {} : { hostOffset }),
    ...(guestOffset === undefined ? {} : { guestOffset }),
    ...(holder === undefined ? {} : { holder }),
    cause: error,
  });
}
