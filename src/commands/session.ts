import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition, CommandEntry, CommandModule } from '../cli/definition.ts';
import { asPassedError } from '../cli/failure.ts';
import type { Invocation } from '../cli/invocation.ts';
import { parseArguments } from '../cli/parse.ts';
import { VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { SharedContext } from './opening.ts';

/** What stands for IMAGE where no argument has that name. */
const IMAGE_ARGUMENTS: Readonly<Record<string, string>> = { compare: 'A', measure: 'SRC' };
/** What makes a file must not make it in place of one that is open. */
const MAKES_IMAGE = 'create';

export interface SessionSettings {
  readonly image: Image;
  readonly commands: readonly CommandEntry[];
  readonly stdin: SharedContext['stdin'];
  readonly sync: SharedContext['sync'];
}

/** Command lines for an image that is open already: they are those of the program, but for the name of the image. */
export class Session {
  readonly #settings: SessionSettings;

  constructor(settings: SessionSettings) {
    this.#settings = settings;
  }

  /** What the words of a command line ask for. Errors: 'usage'. */
  async command([name = '', ...words]: readonly string[]): Promise<SessionCommand> {
    const { commands } = this.#settings;
    const entry = commands.find((each) => each.name === name);
    if (entry === undefined) {
      const { hintFor } = await import('../cli/hints.ts');
      throw new VsimgError('usage', `unknown command '${name}'`, {
        hint: hintFor(name) ?? "'vsimg --help' lists the commands",
      });
    }
    const module = await entry.load();
    const index = imageIndex(entry, module.definition);
    if (index === -1)
      throw new VsimgError('usage', `'${name}' does not work on an image that is there`, { hint: 'run it by itself' });
    const definition = withoutImage(entry, module.definition, index);
    // '@v1' in front is that version of the image, as 'IMAGE@v1' is elsewhere.
    const takesRevision = module.definition.arguments[index]?.name.includes('@REV') === true;
    const [rev, rest] = takesRevision && isRevision(words[0] ?? '') ? [words[0], words.slice(1)] : ['', words];
    const parsed = await parseArguments(entry, definition, { words: rest, columns: () => 80 });
    if (parsed.kind === 'help')
      throw new VsimgError('usage', 'there is no help here', { hint: `see 'vsimg ${name} --help'` });
    const { args } = parsed;
    const { image } = this.#settings;
    const operands = name === 'compare' ? sides(args, image.path) : args.operands.toSpliced(index, 0, image.path + rev);
    return new SessionCommand(name, { module, args: args.withOperands(operands), settings: this.#settings });
  }
}

interface Prepared {
  readonly module: CommandModule;
  readonly args: Invocation;
  readonly settings: SessionSettings;
}

/** One command line that was understood. */
export class SessionCommand {
  readonly name: string;
  readonly #prepared: Prepared;

  constructor(name: string, prepared: Prepared) {
    this.name = name;
    this.#prepared = prepared;
  }

  get args(): Invocation {
    return this.#prepared.args;
  }

  get definition(): CommandDefinition {
    return this.#prepared.module.definition;
  }

  /** Carries it out; gives its status. Errors: those of the command, with the status that it gives for them. */
  async run(context: Omit<CommandContext, 'args'>): Promise<number> {
    const { module, args, settings } = this.#prepared;
    const { image, stdin, sync } = settings;
    const shared: SharedContext = { ...context, args, image, stdin, sync };
    try {
      return await module.run(shared);
    } catch (error) {
      const known = asPassedError(error);
      // What a batch does not allow has nothing to do with what the command would say.
      if (!(known instanceof VsimgError) || module.statusFor === undefined || known.code === 'refused') throw known;
      throw known.retold({ exitStatus: module.statusFor(known) });
    }
  }
}

function imageIndex({ name }: CommandEntry, { arguments: all }: CommandDefinition): number {
  if (name === MAKES_IMAGE) return -1;
  const wanted = IMAGE_ARGUMENTS[name];
  return all.findIndex((argument) =>
    wanted === undefined ? argument.name.startsWith('IMAGE') : argument.name === wanted,
  );
}

/** What is left to be said. Of two sides of a comparison one may be the image itself. */
function withoutImage({ name }: CommandEntry, definition: CommandDefinition, index: number): CommandDefinition {
  const others = definition.arguments.toSpliced(index, 1);
  const all =
    name === 'compare' ? others.flatMap((side) => [side, { ...side, presence: 'optional' as const }]) : others;
  return { ...definition, arguments: all };
}

/** `@REV` is a version of the image itself, which is also what a single side is compared with. */
function sides({ operands }: Invocation, path: string): readonly string[] {
  const named = operands.map((operand) => (isRevision(operand) ? path + operand : operand));
  return named.length === 1 ? [path, ...named] : named;
}

function isRevision(side: string): boolean {
  return /^@./.test(side);
}
