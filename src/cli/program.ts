import { Argument, Command, CommanderError, Option } from 'commander';
import { VsimgError } from '../errors.ts';
import {
  type ArgumentDefinition,
  allOptions,
  type CommandDefinition,
  type CommandEntry,
  type OptionDefinition,
} from './definition.ts';
import { Invocation, type OptionValue } from './invocation.ts';

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
  command.usage([...definition.arguments.map(argumentUsage), '[OPTION...]'].join(' '));
  command.helpOption('-h, --help', 'show this help');
  command.addHelpText('after', () => `\n${helpTail(definition, columns())}`);
  return command;
}

/** @throws VsimgError 'usage' */
export function parseCommand(command: Command, definition: CommandDefinition, argv: readonly string[]): Parsed {
  const help = parse(command, argv);
  if (help !== undefined) return { kind: 'help', text: help };
  const values = command.opts<Record<string, OptionValue | false | undefined>>();
  const options = new Map<string, OptionValue | undefined>();
  for (const option of allOptions(definition)) {
    const { negate } = buildOption(option);
    const value = values[attribute(option)];
    // To commander --no-x makes an x false that is true otherwise; here it is a switch like others.
    if (negate) options.set(option.name, value === false ? true : undefined);
    else options.set(option.name, value === false ? undefined : value);
  }
  return { kind: 'run', args: new Invocation(command.args, options) };
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
  return argumentSyntax(argument).replace(/[<>]/g, '');
}

/** An option as manuals write it: `-m, --message MESSAGE`. */
export function optionUsage(option: OptionDefinition): string {
  return optionFlags(option).replace(/[<>]/g, '');
}

function optionFlags(option: OptionDefinition): string {
  const short = option.short === undefined ? [] : [`-${option.short}`];
  const long = option.shortOnly === true ? [] : [`--${option.name}`];
  const value = option.value === undefined ? '' : ` <${option.value}>`;
  return [...short, ...long].join(', ') + value;
}

function buildOption(definition: OptionDefinition): Option {
  const option = new Option(optionFlags(definition), definition.description);
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
    throw usageError(error, command.name());
  }
}

function usageError(error: CommanderError, name: string): VsimgError {
  const [first = '', ...rest] = error.message.split('\n');
  const guess = rest.map((line) => line.replace(/^\((.*)\)$/, '$1').replace(/^Did/, 'did')).join(' ');
  const message = first
    .replace(/^error: /, '')
    .replace(/^option '(.*)' argument missing$/, "option '$1' needs a value");
  const see = `see '${name} --help'`;
  // What commander says when nothing is left to parse is meant for its own code.
  if (error.code === 'commander.help') return new VsimgError('usage', 'no command given', { hint: see });
  return new VsimgError('usage', message, { hint: guess === '' ? see : `${guess} ${see}` });
}
