import type { CommandContext } from '../cli/context.ts';
import { allOptions, type CommandDefinition } from '../cli/definition.ts';
import type { JsonObject, JsonValue } from '../cli/json.ts';
import { plural } from '../cli/number.ts';
import { KeptOutput } from '../cli/output.ts';
import { parseImage } from '../cli/target.ts';
import { type ErrorCode, EXIT_STATUS, VsimgError } from '../errors.ts';
import { turnGiver } from '../storage/turns.ts';
import { withImage, writingOf } from './opening.ts';
import { commandLines, fileLines, type ScriptLine, wordsOf } from './script.ts';
import { Session, type SessionCommand } from './session.ts';

/** Commands that can be part of one change, or look at what it is so far. */
const COMMANDS = (
  'import export info status log show rev-parse read write resize commit diff map blame compare measure checkout tag branch ' +
  'amend delete du forget squash check'
).split(' ');

const HELP = "'vsimg batch --help' lists them";

interface Refusal {
  readonly why: string;
  readonly hint: string;
}

/** What can not be part of one change, a command or an option of one. */
const REFUSED: Readonly<Record<string, Refusal>> = {
  create: { why: 'it makes another image', hint: 'make the image before the batch' },
  batch: { why: 'it is one already', hint: 'give its commands here' },
  gc: { why: 'it publishes step by step', hint: "run 'vsimg gc' after the batch" },
  'forget --gc': { why: 'gc publishes step by step', hint: "leave it out, and run 'vsimg gc' after the batch" },
  'check --repair': { why: 'a repair publishes by itself', hint: "run 'vsimg check --repair' before the batch" },
  serve: { why: 'it keeps the image to itself', hint: 'run it by itself' },
  bench: { why: 'it measures an image that nobody else uses', hint: 'run it by itself' },
  completion: { why: 'it works on no image', hint: 'run it by itself' },
  help: { why: 'it works on no image', hint: 'run it by itself' },
};

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
      command: "vsimg batch disk.vsi -c 'write --data hello --offset 4k' -c 'commit -m \"say hello\"' -q",
      explanation: 'a change and the version that has it',
    },
    { command: 'vsimg batch disk.vsi changes.txt -q', explanation: 'a script' },
    {
      command: "vsimg batch disk.vsi -c 'check -q' -c 'import disk.raw' -q",
      explanation: 'a new version, unless the image is damaged',
    },
    {
      command: "seq -f 'write -P 1 --length 1k --offset %gk' 0 8 999 | vsimg batch disk.vsi -q",
      explanation: 'many small writes at the price of one start and one wait for the disk',
    },
  ],
  details: [
    `The commands are ${COMMANDS.slice(0, -1).join(', ')} and ${COMMANDS.at(-1)}, with the words that they have elsewhere, but ` +
      "without IMAGE: 'write boot.img --offset 1M', 'import disk.raw'. Another version is named by @REV in front or by -l, as in 'export @v1 v1.raw' and 'read -l v1'. 'compare B' compares " +
      "the working state with B; @REV is a version of the image there, as in 'compare @1 old.raw'.",
    'Options that all commands have, such as --json and --wait, are given once, to batch; only -q may stand in a line, for what ' +
      'that one prints. Messages go to stderr, so that stdout has the results alone.',
    'Words are quoted as in a shell, with \'...\', "..." and backslash, and nothing is expanded; # begins a comment. A command ends with its line.',
    'Each command sees what those before it did; nobody else sees anything before the end, when all is published at once. At the first ' +
      "error the batch ends with the status of that command, names the line, and leaves the image as it was. 'diff --exit-code', " +
      "'status --exit-code', compare and check, which say something by their status, can so be used as conditions, with -q without a word. What was " +
      'printed, and files that were written, stay. In the file only space that was free may have other bytes then.',
    'check, du and show --space tell of what is published, and so stand before the first command that changes something. gc, ' +
      'forget --gc and check --repair publish by themselves: they are for before or after a batch.',
    'With --json the document has a result for each command, which is the document that the command itself prints.',
  ],
  statuses: [
    {
      status: EXIT_STATUS.differs,
      meaning: 'a condition was not met',
    },
    { status: EXIT_STATUS['check-errors'], meaning: 'check found errors' },
    { status: EXIT_STATUS['check-leaks'], meaning: 'check found leaked space, but no error' },
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
    const { sync } = writingOf(context);
    const session = new Session({ image, commands: context.commands, stdin, sync });
    const batch = new Batch(context, session);
    output.sendMessagesToStderr();
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
  readonly #context: CommandContext;
  readonly #session: Session;

  constructor(context: CommandContext, session: Session) {
    this.#context = context;
    this.#session = session;
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
    const words = wordsOf(line);
    const [name] = words;
    if (name === undefined) return undefined;
    refuse(name);
    const isElsewhere = this.#context.commands.some((each) => each.name === name);
    if (isElsewhere && !COMMANDS.includes(name)) throw notPart(name);
    const command = await this.#session.command(words);
    refuseOptions(command);
    const { io, output } = this.#context;
    const kept = output.format === 'json' ? new KeptOutput(io) : undefined;
    const target = kept ?? output;
    const run = () => command.run({ ...this.#context, output: target });
    // A command that writes to stdout past the output must find there what came before.
    if (kept === undefined) await output.flush();
    const status = await (command.args.has('quiet') ? target.quietly(run) : run());
    if (status !== 0) throw unmet(name, status);
    return { command: name, result: kept?.take() ?? null };
  }
}

/** Errors: 'usage' for what can not be part of a batch. */
function refuse(what: string): void {
  const refusal = Object.hasOwn(REFUSED, what) ? REFUSED[what] : undefined;
  if (refusal !== undefined) throw notPart(what, refusal);
}

function notPart(what: string, { why, hint }: Refusal = { why: 'it is none of its commands', hint: HELP }): VsimgError {
  return new VsimgError('usage', `'${what}' can not be part of a batch: ${why}`, { hint });
}

/** The same for options: those that are not the command's own, but for `-q`, are for all lines. */
function refuseOptions({ name, args, definition }: SessionCommand): void {
  for (const option of definition.options) if (args.has(option.name)) refuse(`${name} --${option.name}`);
  const common = allOptions(definition).slice(definition.options.length);
  const given = common.find((option) => option.name !== 'quiet' && args.has(option.name));
  if (given === undefined) return;
  throw new VsimgError('usage', `--${given.name} is for a whole batch`, { hint: "give it to 'vsimg batch' itself" });
}

const UNMET: Readonly<Partial<Record<ErrorCode, string>>> = {
  differs: 'there are differences',
  'check-errors': 'there are errors in the image',
  'check-leaks': 'there is leaked space in the image',
  'not-found': 'there is no such version',
};

/** What a command told by its status alone. */
function unmet(name: string, status: number): VsimgError {
  const code = (Object.keys(UNMET) as ErrorCode[]).find((each) => EXIT_STATUS[each] === status) ?? 'refused';
  return new VsimgError(code, UNMET[code] ?? `${name} ended with status ${status}`, { exitStatus: status });
}

function inLine(error: VsimgError, { place }: ScriptLine): VsimgError {
  const { message, hint } = error;
  const unchanged = 'the image is unchanged';
  const advice = hint === undefined ? unchanged : hint.includes(unchanged) ? hint : `${hint}; ${unchanged}`;
  return error.retold({ message: `${place}: ${message}`, hint: advice });
}
