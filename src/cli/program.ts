import { Argument, Command, CommanderError, Option } from 'commander';
import { VsimgError } from '../errors.ts';
import {
  type ArgumentDefinition,
  allOptions,
  type CommandDefinition,
  type CommandEntry,
  isSignedArgument,
  type OptionDefinition,
} from './definition.ts';
import { Invocation, type OptionValue } from './invocation.ts';
import { hintWithin } from './option-hints.ts';
import { formOf } from './quick-parse.ts';

/** Wider lines are hard to read. */
const MAX_COLUMNS = 100;

/** What a command line came to: work to do, or help to print. */
export type Parsed =
  | { readonly kind: 'run'; readonly args: Invocation }
  | { readonly kind: 'help'; readonly text: string };

/** Commander's command for one of ours, made from its definition. */
export function buildCommand(entry: CommandEntry, definition: CommandDefinition, columns: () => number): Command {
  const command = bare(`vsimg ${entry.name}`, columns).description(definition.description);
  for (const argument of definition.arguments) {
    command.addArgument(new Argument(argumentSyntax(argument), argument.description));
  }
  for (const option of allOptions(definition)) command.addOption(buildOption(option));
  command.usage(usageLine(definition));
  command.helpOption('-h, --help', 'show this help');
  command.addHelpText('after', () => `\n${helpTail(definition, columns())}`);
  return command;
}

/** @throws VsimgError 'usage' */
export function parseCommand(command: Command, definition: CommandDefinition, argv: readonly string[]): Parsed {
  const known = allOptions(definition);
  const { words, forms } = takeForms(known, argv);
  const help = parse(command, signedLast(definition, words));
  if (help !== undefined) return { kind: 'help', text: help };
  const values = command.opts<Record<string, OptionValue | false | undefined>>();
  const options = new Map<string, OptionValue | undefined>();
  for (const option of known) {
    const { negate } = buildOption(option);
    const value = values[attribute(option)];
    if (option.bare !== undefined) {
      options.set(option.name, value === true ? (forms.get(option.name) ?? option.bare) : undefined);
      continue;
    }
    // To commander --no-x makes an x false that is true otherwise; here it is a switch like others.
    if (negate) options.set(option.name, value === false ? true : undefined);
    else options.set(option.name, value === false ? undefined : value);
  }
  const behind = wordsBehind(known, argv);
  const dashes = { behindCount: behind ?? 0, hasDashes: behind !== undefined };
  return { kind: 'run', args: new Invocation(command.args, options, dashes) };
}

/** How many words stand behind the `--` that ends the options; undefined without one. */
function wordsBehind(known: readonly OptionDefinition[], argv: readonly string[]): number | undefined {
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string;
    if (word === '--') return argv.length - index - 1;
    if (takesNext(known, word)) index++;
  }
  return undefined;
}

/** All arguments behind a `--`, where commander takes none of them for an option, if one looks like an option. */
function signedLast(definition: CommandDefinition, argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  const words = end === -1 ? argv : argv.slice(0, end);
  const options: string[] = [];
  const operands: string[] = [];
  for (const [index, word] of words.entries()) {
    const isValue = index > 0 && takesNext(allOptions(definition), words[index - 1] as string);
    const isOption = word.startsWith('-') && word !== '-' && !isSignedArgument(definition, word);
    (isValue || isOption ? options : operands).push(word);
  }
  if (!operands.some((word) => isSignedArgument(definition, word))) return argv;
  return [...options, '--', ...operands, ...(end === -1 ? [] : argv.slice(end + 1))];
}

interface Forms {
  readonly words: readonly string[];
  readonly forms: ReadonlyMap<string, string>;
}

/** Makes switches of options that need no value: commander would take the next word for theirs, whatever it is. */
function takeForms(known: readonly OptionDefinition[], argv: readonly string[]): Forms {
  const end = argv.indexOf('--');
  const forms = new Map<string, string>();
  const words = argv.map((word, index) => {
    const isOption = (end === -1 || index < end) && !takesNext(known, argv[index - 1] ?? '');
    const option = isOption ? known.find((candidate) => formOf(candidate, word) !== undefined) : undefined;
    if (option === undefined) return word;
    forms.set(option.name, formOf(option, word) ?? '');
    return `--${option.name}`;
  });
  return { words, forms };
}

/** Whether the word behind `word` is its value. */
function takesNext(known: readonly OptionDefinition[], word: string): boolean {
  return known.some(
    ({ short, name, value, bare }) =>
      value !== undefined &&
      bare === undefined &&
      (word === `--${name}` || (short !== undefined && /^-\w+$/.test(word) && word.endsWith(short))),
  );
}

/** The program as a whole: for its help, and for what to say about a command it does not have. */
export function buildProgram(entries: readonly CommandEntry[], columns: () => number): Command {
  const program = bare('vsimg', columns);
  program.description('Keeps many versions of one virtual disk in one file.');
  program.usage('COMMAND [ARGUMENT...] [OPTION...]');
  for (const entry of entries) program.addCommand(bare(entry.name, columns).summary(entry.summary).usage(''));
  program.helpCommand(false);
  program.helpOption('-h, --help', "show this help; 'vsimg COMMAND --help' explains one command");
  program.option('-V, --version', 'show the version of the program');
  program.addHelpText('after', () => `\n${PROGRAM_TAIL}`);
  return program;
}

/** Help text if that was asked for. @throws VsimgError 'usage' */
export function parseProgram(program: Command, argv: readonly string[]): string | undefined {
  return parse(program, argv);
}

const PROGRAM_TAIL = `Two minutes:
  vsimg import disk.raw disk.vsi -m first    a raw image becomes version 1
  vsimg import disk.raw disk.vsi -m second   only what changed is stored
  vsimg log disk.vsi                         what is there
  vsimg diff disk.vsi 1 2                    what changed
  vsimg export disk.vsi@1 old.raw            the first state again

All commands and topics: vsimg help -a
`;

/** `columns` is asked only when help is printed. */
function bare(name: string, columns: () => number): Command {
  const command = new Command(name);
  command.exitOverride();
  command.allowExcessArguments(false);
  command.configureOutput({
    writeErr: () => undefined,
    outputError: () => undefined,
    getOutHelpWidth: () => Math.min(columns(), MAX_COLUMNS),
    getOutHasColors: () => false,
  });
  command.configureHelp({
    subcommandTerm: (subcommand) => subcommand.name(),
    argumentTerm: (argument) => argument.name(),
  });
  return command;
}

function argumentSyntax(argument: ArgumentDefinition): string {
  switch (argument.presence) {
    case 'required':
      return `<${argument.name}>`;
    case 'optional':
      return `[${argument.name}]`;
    case 'one-or-more':
      return `<${argument.name}...>`;
    case 'any-number':
      return `[${argument.name}...]`;
  }
}

/** An argument as manuals write it: `IMAGE`, `[FILE]`, `REV...`. */
export function argumentUsage(argument: ArgumentDefinition): string {
  const syntax = argumentSyntax(argument).replace(/[<>]/g, '');
  return argument.behindDashes === true ? syntax.replace('[', '[-- ') : syntax;
}

/** What stands behind the name of a command. */
export function usageLine({ arguments: all }: CommandDefinition): string {
  const [front, behind] = [false, true].map((isBehind) =>
    all.filter(({ behindDashes = false }) => behindDashes === isBehind).map(argumentUsage),
  ) as [string[], string[]];
  return [...front, '[OPTION...]', ...behind].join(' ');
}

function optionFlags(option: OptionDefinition): string {
  const short = option.short === undefined ? [] : [`-${option.short}`];
  const long = option.shortOnly === true ? [] : [`--${option.name}`];
  return [...short, ...long].join(', ') + optionValue(option);
}

function optionValue({ value, bare }: OptionDefinition): string {
  if (value === undefined) return '';
  return bare === undefined ? ` <${value}>` : `[=${value}]`;
}

function buildOption(definition: OptionDefinition): Option {
  const flags = optionFlags(definition);
  const option = new Option(flags.replace(/\[.*/, ''), definition.description);
  option.flags = flags;
  if (definition.repeats === true) {
    option.argParser((value: string, former: readonly string[] | undefined) => [...(former ?? []), value]);
  }
  return option;
}

/** Commander's name for the value of an option: `blockSize` for `--block-size`, `sync` for `--no-sync`. */
function attribute(definition: OptionDefinition): string {
  return buildOption(definition).attributeName();
}

function helpTail(definition: CommandDefinition, columns: number): string {
  const width = Math.min(columns, MAX_COLUMNS);
  const parts: string[] = [];
  if (definition.examples.length > 0) {
    const lines = definition.examples.map((example) => `  ${example.command}\n      ${example.explanation}`);
    parts.push(`Examples:\n${lines.join('\n')}`);
  }
  if (definition.statuses.length > 0) {
    const lines = definition.statuses.map(({ status, meaning }) => `  ${String(status).padEnd(4)} ${meaning}`);
    parts.push(`Exit statuses ('vsimg help exit-statuses' has all):\n${lines.join('\n')}`);
  }
  parts.push(...definition.details.map((paragraph) => wrap(paragraph, width).join('\n')));
  return `${parts.join('\n\n')}\n`;
}

/** Breaks a paragraph into lines of at most `width` columns. */
export function wrap(paragraph: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of paragraph.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function parse(command: Command, argv: readonly string[]): string | undefined {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  try {
    command.parse([...argv], { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return text;
    throw usageError(error, command);
  }
}

function usageError(error: CommanderError, command: Command): VsimgError {
  const name = command.name();
  const [first = '', ...rest] = error.message.split('\n');
  const guess = rest.map((line) => line.replace(/^\((.*)\)$/, '$1').replace(/^Did/, 'did')).join(' ');
  const message = first
    .replace(/^error: /, '')
    .replace(/^option '(.*)' argument missing$/, "option '$1' needs a value")
    .replace(/^too many arguments\b.*Expected (\d+) .*got (\d+)\.$/, 'too many arguments: $2 instead of $1');
  const see = `see '${name} --help'`;
  const typed = /^unknown option '(-[^'=]*)/.exec(message)?.[1] ?? (message.startsWith('too many') ? 'more' : '');
  const known = hintWithin(name.replace(/^vsimg /, ''), typed);
  if (known !== undefined) return new VsimgError('usage', message, { hint: known });
  if (error.code === 'commander.missingArgument') {
    const words = command.usage().replace(/ \[OPTION\.\.\.\]/, '');
    return new VsimgError('usage', message, { hint: `write '${name} ${words}'; ${see}` });
  }
  // What commander says when nothing is left to parse is meant for its own code.
  if (error.code === 'commander.help') return new VsimgError('usage', 'no command given', { hint: see });
  return new VsimgError('usage', message, { hint: guess === '' ? see : `${guess} ${see}` });
}
