/**
 * Makes the manual pages of the program and its commands from the definitions that `--help` is made of, so that
 * the two cannot disagree. The pages vsi.5, vsimg-design.7 and vsimg-scripting.7 are written by hand.
 */
import {
  allOptions,
  COMMON_OPTIONS,
  type CommandDefinition,
  type OptionDefinition,
  SYNC_OPTION,
  WAIT_OPTION,
} from '../src/cli/definition.ts';
import { argumentUsage, buildProgram, parseProgram, wrap } from '../src/cli/program.ts';
import { COMMANDS } from '../src/cli/registry.ts';
import { ENVIRONMENT } from '../src/commands/environment.ts';
import { STATUS_MEANINGS } from '../src/commands/exit-statuses.ts';
import { TOPICS } from '../src/commands/topics.ts';
import { type ErrorCode, EXIT_STATUS } from '../src/errors.ts';

/** Shown at the foot of every generated page; change it when what users read changes. */
const DATE = 'November 24, 2026';
const TEXT_COLUMNS = 78;

const HELP_OPTION: OptionDefinition = { short: 'h', name: 'help', description: 'print a summary' };

/** Text of every generated page by file name. */
export async function manPages(): Promise<ReadonlyMap<string, string>> {
  const pages = new Map<string, string>([['vsimg.1', programPage()]]);
  for (const entry of COMMANDS) {
    const { definition } = await entry.load();
    pages.set(`vsimg-${entry.name}.1`, commandPage(entry.name, entry.summary, definition));
  }
  return pages;
}

function commandPage(name: string, summary: string, definition: CommandDefinition): string {
  const own = definition.options;
  const common = allOptions(definition).slice(own.length);
  return page([
    ...head(`vsimg-${name}`, summary),
    '.Sh SYNOPSIS',
    `.Nm vsimg ${name}`,
    ...definition.arguments.map((argument) => `.Ar ${argumentUsage(argument)}`),
    ...own.map((option) => `.Oo ${optionMacro(option)} Oc${option.repeats === true ? ' ...' : ''}`),
    '.Op Ar OPTION ...',
    '.Sh DESCRIPTION',
    ...prose(definition.description),
    ...definition.details.flatMap((paragraph) => ['.Pp', ...prose(paragraph)]),
    ...list(
      'The arguments are:',
      definition.arguments.map(({ name: argument, description }) => [`Ar ${argument}`, description]),
    ),
    ...list('The options are:', own.map(optionItem)),
    ...list('Options that other commands have too:', [...common, HELP_OPTION].map(optionItem)),
    '.Sh EXIT STATUS',
    ...statusList(definition),
    '.Sh EXAMPLES',
    ...definition.examples.flatMap(({ command, explanation }, index) => [
      ...(index === 0 ? [] : ['.Pp']),
      ...prose(`${explanation.charAt(0).toUpperCase()}${explanation.slice(1)}:`),
      '.Bd -literal -offset indent',
      literal(command),
      '.Ed',
    ]),
    '.Sh SEE ALSO',
    ...seeAlso([...referredTo(name, definition), 'vsimg 1']),
  ]);
}

function statusList(definition: CommandDefinition): string[] {
  const done = definition.statuses.some(({ status }) => status === 0)
    ? []
    : [{ status: 0, meaning: 'done, or nothing to complain about' }];
  const items = [...done, ...definition.statuses].map(({ status, meaning }): Item => [`${status}`, meaning]);
  return [...tagged('-width "000"', items), '.Pp', 'The other statuses are listed in', '.Xr vsimg 1 .'];
}

/** Commands that a definition's text sends the reader to. */
function referredTo(name: string, { description, details, arguments: operands, options }: CommandDefinition): string[] {
  const text = [description, ...details, ...[...operands, ...options].map((item) => item.description)].join('\n');
  const known = new Set(COMMANDS.map((command) => command.name));
  const named = [...text.matchAll(/'vsimg ([a-z]+)/g)].map(([, other = '']) => other);
  return named.filter((other) => other !== name && known.has(other)).map((other) => `vsimg-${other} 1`);
}

function programPage(): string {
  return page([
    ...head('vsimg', 'keep many versions of one virtual disk in one file'),
    '.Sh SYNOPSIS',
    '.Nm vsimg',
    '.Ar COMMAND',
    '.Op Ar ARGUMENT ...',
    '.Op Ar OPTION ...',
    '.Nm vsimg',
    '.Fl -help | Fl -version',
    '.Sh DESCRIPTION',
    ...prose(
      'An image is a file that holds a virtual disk: any number of versions of it, which never change, and a working ' +
        'state, which does. Versions share what they have in common, and each can be read at any time.',
    ),
    '.Pp',
    'The format of the file is described in',
    '.Xr vsi 5 ,',
    'how it is kept whole in',
    '.Xr vsimg-design 7 ,',
    'and what scripts can rely on in',
    '.Xr vsimg-scripting 7 .',
    ...list(
      'The commands are:',
      COMMANDS.map(({ name, summary }): Item => [`Xr vsimg-${name} 1`, summary]),
    ),
    ...list(
      'Most commands take these options, behind the command:',
      [...COMMON_OPTIONS, WAIT_OPTION, SYNC_OPTION, HELP_OPTION].map(optionItem),
    ),
    ...TOPICS.filter(({ name }) => name !== 'exit-statuses' && name !== 'environment').flatMap(({ name, lines }) => [
      `.Sh ${name.toUpperCase()}`,
      '.Bd -literal',
      ...lines(80).map(literal),
      '.Ed',
    ]),
    '.Sh ENVIRONMENT',
    ...tagged(
      '-width Ds',
      ENVIRONMENT.map(([name, meaning]): Item => [`Ev ${name}`, meaning]),
    ),
    '.Sh EXIT STATUS',
    ...prose(
      'With --json an error is one JSON document on the standard error output; its code is the word behind the status.',
    ),
    '.Bl -tag -width "130 check-incomplete" -compact',
    '.It 0',
    'done, or nothing to complain about',
    ...statuses().flatMap(([status, code]) => [`.It ${status} ${escapeText(code)}`, literal(STATUS_MEANINGS[code])]),
    '.El',
    '.Sh EXAMPLES',
    '.Bd -literal',
    ...firstSteps().map(literal),
    '.Ed',
    '.Sh SEE ALSO',
    ...seeAlso([...COMMANDS.map(({ name }) => `vsimg-${name} 1`), 'vsi 5', 'vsimg-design 7', 'vsimg-scripting 7']),
  ]);
}

function statuses(): (readonly [number, ErrorCode])[] {
  const codes = Object.keys(STATUS_MEANINGS) as ErrorCode[];
  return codes.map((code) => [EXIT_STATUS[code], code] as const).sort(([a], [b]) => a - b);
}

/** The lines under "Two minutes:" of the program's help. */
function firstSteps(): string[] {
  const help =
    parseProgram(
      buildProgram(COMMANDS, () => 80),
      ['--help'],
    ) ?? '';
  const lines = (/^Two minutes:\n((?: {2}.*\n)+)/m.exec(help)?.[1] ?? '').trimEnd().split('\n');
  if (lines.length < 2) throw new Error('the help of the program has no first steps');
  return lines.map((line) => line.slice(2));
}

type Item = readonly [tag: string, text: string];

function head(name: string, summary: string): string[] {
  return [
    `.Dd ${DATE}`,
    `.Dt ${name.toUpperCase()} 1`,
    '.Os vsimg',
    '.Sh NAME',
    `.Nm ${name}`,
    `.Nd ${escapeText(summary)}`,
  ];
}

function list(title: string, items: readonly Item[]): string[] {
  return items.length === 0 ? [] : ['.Pp', title, ...tagged('-width Ds', items)];
}

function tagged(width: string, items: readonly Item[]): string[] {
  return [`.Bl -tag ${width}`, ...items.flatMap(([tag, text]) => [`.It ${tag}`, ...prose(asSentence(text))]), '.El'];
}

function asSentence(text: string): string {
  const first = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function optionItem(option: OptionDefinition): Item {
  return [optionMacro(option).replace(' | ', ' , '), option.description];
}

function optionMacro({ short, name, shortOnly, value, bare }: OptionDefinition): string {
  const forms = [...(short === undefined ? [] : [`Fl ${short}`]), ...(shortOnly === true ? [] : [`Fl -${name}`])];
  const argument = bare === undefined ? ` Ar ${value}` : ` Ns Oo Ns = Ns Ar ${value} Oc`;
  return `${forms.join(' | ')}${value === undefined ? '' : argument}`;
}

/** Sorted by section, then by name, a comma behind all but the last. */
function seeAlso(references: readonly string[]): string[] {
  const order = (reference: string): string => reference.split(' ').reverse().join(' ');
  const unique = [...new Set(references)].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  return unique.map((reference, index) => `.Xr ${reference}${index < unique.length - 1 ? ' ,' : ''}`);
}

/** A paragraph: every sentence begins a line. */
function prose(paragraph: string): string[] {
  const sentences = paragraph.split(/(?<=[.!?]) (?=[A-Z'"(-])/);
  return sentences.flatMap((sentence) => wrap(sentence, TEXT_COLUMNS)).map(literal);
}

function literal(line: string): string {
  const escaped = escapeText(line);
  return escaped.startsWith('.') ? `\\&${escaped}` : escaped;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\e',
  '-': '\\-',
  "'": '\\(aq',
  '`': '\\(ga',
  '^': '\\(ha',
  '~': '\\(ti',
};

function escapeText(text: string): string {
  return text.replace(/[\\\-'`^~]/g, (character) => ESCAPES[character] ?? character);
}

function page(lines: readonly string[]): string {
  return `.\\" Made by "npm run man" from the definitions in src/commands: do not edit.\n${lines.join('\n')}\n`;
}
