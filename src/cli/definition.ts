import type { VsimgError } from '../errors.ts';
import type { CommandContext } from './context.ts';

/** All about a command's face as plain data: commander, `--help` and the man pages are made from it. */
export interface CommandDefinition {
  /** One or more sentences under the usage line. */
  readonly description: string;
  readonly arguments: readonly ArgumentDefinition[];
  readonly options: readonly OptionDefinition[];
  /** A command that changes the container also takes `--wait` and `--no-sync`. */
  readonly access: 'reads' | 'writes' | 'neither';
  /** A server that has the image open is not asked to carry it out. */
  readonly alone?: true;
  readonly examples: readonly Example[];
  /** Paragraphs for those who want to know more; help prints them last. */
  readonly details: readonly string[];
  /** Statuses that mean something particular here, besides 0 and those of every command. */
  readonly statuses: readonly StatusMeaning[];
}

/** What a shell offers for an argument or for the value of an option: words of a kind, or these words. */
export type Completes = 'branch' | 'file' | 'image' | 'nothing' | 'revision' | 'tag' | 'topic' | readonly string[];

export interface ArgumentDefinition {
  readonly name: string;
  readonly presence: 'required' | 'optional' | 'one-or-more' | 'any-number';
  /** Stands behind a `--`, whatever else is there. */
  readonly behindDashes?: true;
  /** A word such as `-1G` is this argument, and not an option. */
  readonly signed?: true;
  /** Where the name does not say it, as IMAGE, REV and FILE do. */
  readonly completes?: Completes;
  readonly description: string;
}

export interface OptionDefinition {
  readonly short?: string;
  /** Without the dashes; also the name by which the command asks for it. */
  readonly name: string;
  /** Only the short form is written on the command line. */
  readonly shortOnly?: true;
  /** Name of the value; an option without one is a switch. */
  readonly value?: string;
  /** The value where the option stands without one: its values are only taken behind `=`, as in `--json=lines`. */
  readonly bare?: string;
  /** Where the name of the value does not say it. */
  readonly completes?: Completes;
  /** `-5` is the value 5 of it. */
  readonly digits?: true;
  /** May be given several times. */
  readonly repeats?: true;
  readonly description: string;
}

export interface Example {
  readonly command: string;
  readonly explanation: string;
}

export interface StatusMeaning {
  readonly status: number;
  readonly meaning: string;
}

/** What each file in src/commands/ exports. */
export interface CommandModule {
  readonly definition: CommandDefinition;
  /** Does the work; the result is the exit status. */
  readonly run: (context: CommandContext) => Promise<number>;
  /** Exit status for an error, where it is not the one of the error's code. */
  readonly statusFor?: (error: VsimgError) => number;
}

/** One line of `vsimg --help`; the module behind it is loaded when the command is used. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

/** Options every command takes. */
export const COMMON_OPTIONS: readonly OptionDefinition[] = [
  {
    name: 'json',
    value: 'FORM',
    bare: 'document',
    completes: ['document', 'lines'],
    description: "print one JSON document, or with 'lines' a line of JSON for each item; errors too are JSON",
  },
  {
    name: 'output',
    value: 'FORMAT',
    completes: ['text', 'json', 'json-lines'],
    description: "'text', 'json' or 'json-lines'",
  },
  { short: 'q', name: 'quiet', description: 'no messages and no progress, only results and errors' },
  {
    short: 'p',
    name: 'progress',
    value: 'FORM',
    bare: 'bar',
    description: "show progress on stderr even if it is not a terminal; 'json': in lines of JSON; 'none': never",
  },
  { name: 'progress-fd', value: 'N', description: 'write progress in lines of JSON to this file descriptor' },
];

export const WAIT_OPTION: OptionDefinition = {
  name: 'wait',
  value: 'SECONDS',
  description: 'wait so long for another writer to finish (default: 0)',
};

/** For everything that writes files. */
export const SYNC_OPTION: OptionDefinition = {
  name: 'no-sync',
  description:
    'do not wait for the disk; for throw-away work: a power cut may lose or damage what is written, a killed process does not',
};

export const REVISION_OPTION: OptionDefinition = {
  short: 'l',
  name: 'revision',
  value: 'REV',
  description: 'the same as IMAGE@REV',
};

/** For lists of items. */
export const NULL_OPTION: OptionDefinition = {
  short: 'z',
  name: 'null',
  description: 'end items of a list with NUL instead of a line feed',
};

/** Every option of a command, its own first. */
export function allOptions(definition: CommandDefinition): readonly OptionDefinition[] {
  const writing = definition.access === 'writes' ? [WAIT_OPTION, SYNC_OPTION] : [];
  return [...definition.options, ...writing, ...COMMON_OPTIONS];
}

/** True for a word such as `-1G` where that is an argument. */
export function isSignedArgument(definition: CommandDefinition, word: string): boolean {
  return /^-[.\d]/.test(word) && definition.arguments.some(({ signed }) => signed === true);
}
