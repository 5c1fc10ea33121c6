import {
  type ArgumentDefinition,
  allOptions,
  type CommandDefinition,
  type CommandEntry,
  type Completes,
  type OptionDefinition,
} from '../cli/definition.ts';
import { TOPICS } from './topics.ts';

/** A word that may stand where the cursor is. */
export interface Candidate {
  readonly word: string;
  readonly description: string;
}

/** What a word may become: one of `words`, or more that only the shell or the image knows. */
export interface Wanted {
  readonly words: readonly Candidate[];
  /** What the last word is to be, if that is not among `words`. */
  readonly kind: 'branch' | 'file' | 'image' | 'nothing' | 'revision' | 'tag';
  /** What stands before it in the same word, such as `--output=`. */
  readonly before: string;
  /** The image that the command line names, for names within it. */
  readonly image?: string | undefined;
}

/** Topics are words too, once they are looked up. */
type WantedOrTopic = Omit<Wanted, 'kind'> & { readonly kind: Wanted['kind'] | 'topic' };

const NOTHING: Wanted = { words: [], kind: 'nothing', before: '' };
const PROGRAM_OPTIONS: readonly Candidate[] = [
  { word: '--help', description: 'list the commands' },
  { word: '--version', description: 'show the version of the program' },
];
const HELP: OptionDefinition = { short: 'h', name: 'help', description: 'show help for this command' };

/** What can follow in a command line of which `words` are there, without the program's name; the last is being typed. */
export async function wantedAt(words: readonly string[], commands: readonly CommandEntry[]): Promise<Wanted> {
  const [first = '', ...rest] = words;
  if (rest.length === 0) return { ...NOTHING, words: first.startsWith('-') ? PROGRAM_OPTIONS : named(commands) };
  const entry = commands.find(({ name }) => name === first);
  if (entry === undefined) return NOTHING;
  const { kind, ...wanted } = wantedOf((await entry.load()).definition, rest);
  return kind === 'topic' ? { ...NOTHING, words: named([...commands, ...TOPICS]) } : { ...wanted, kind };
}

function named(all: readonly { readonly name: string; readonly summary: string }[]): Candidate[] {
  return all.map(({ name, summary }) => ({ word: name, description: summary }));
}

function wantedOf(definition: CommandDefinition, words: readonly string[]): WantedOrTopic {
  const options = [...allOptions(definition), HELP];
  const current = words.at(-1) ?? '';
  const { operands, given, open, onlyOperands } = readWords(options, words.slice(0, -1));
  const image = operands[definition.arguments.findIndex(({ name }) => isImage(name))];
  if (open !== undefined) return { ...wantedValue(open), image };
  if (!onlyOperands && current.startsWith('-')) {
    const [, before = '', name = ''] = /^(--([^=]+)=)/.exec(current) ?? [];
    const option = options.find((candidate) => candidate.value !== undefined && candidate.name === name);
    if (option !== undefined) return { ...wantedValue(option), before, image };
    const left = options.filter((candidate) => candidate.repeats === true || !given.has(candidate.name));
    return {
      ...NOTHING,
      words: left.map((candidate) => ({ word: flag(candidate), description: candidate.description })),
    };
  }
  const argument = argumentAt(definition.arguments, operands.length);
  return argument === undefined ? NOTHING : { ...fill(operandKind(argument, definition)), image };
}

interface WordsRead {
  readonly operands: readonly string[];
  /** Names of options that are there. */
  readonly given: ReadonlySet<string>;
  /** The option whose value comes next. */
  readonly open: OptionDefinition | undefined;
  /** A `--` came. */
  readonly onlyOperands: boolean;
}

function readWords(options: readonly OptionDefinition[], words: readonly string[]): WordsRead {
  const operands: string[] = [];
  const given = new Set<string>();
  let open: OptionDefinition | undefined;
  let onlyOperands = false;
  for (const word of words) {
    if (open !== undefined) open = undefined;
    else if (onlyOperands || word === '-' || !word.startsWith('-')) operands.push(word);
    else if (word === '--') onlyOperands = true;
    else {
      const [flagWord] = word.split('=', 1);
      const option = options.find(({ short, name }) => flagWord === `--${name}` || flagWord === `-${short}`);
      if (option === undefined) continue;
      given.add(option.name);
      if (option.value !== undefined && !word.includes('=')) open = option;
    }
  }
  return { operands, given, open, onlyOperands };
}

/** The argument that the operand at `index` is. */
export function argumentAt(all: readonly ArgumentDefinition[], index: number): ArgumentDefinition | undefined {
  const last = all.at(-1);
  const isOpen = last?.presence === 'one-or-more' || last?.presence === 'any-number';
  return all[index] ?? (isOpen ? last : undefined);
}

function flag({ short, name, shortOnly }: OptionDefinition): string {
  return shortOnly === true ? `-${short}` : `--${name}`;
}

function isImage(name: string): boolean {
  return name.startsWith('IMAGE');
}

/** The sides of a comparison are versions of an image that is named, or whole images. */
export function operandKind({ name, completes }: ArgumentDefinition, { arguments: all }: CommandDefinition): Completes {
  if (completes !== undefined) return completes;
  if (name === 'A' || name === 'B') return all.some((argument) => isImage(argument.name)) ? 'revision' : 'image';
  return kindByName(name);
}

function wantedValue(option: OptionDefinition): WantedOrTopic {
  return fill(valueKind(option));
}

export function valueKind({ value = '', completes }: Pick<OptionDefinition, 'value' | 'completes'>): Completes {
  return completes ?? kindByName(value);
}

function kindByName(name: string): Completes {
  if (isImage(name)) return 'image';
  if (/^REV|^A\.\.B$/.test(name)) return 'revision';
  return /^(SRC|DST|PATH|SCRIPT|.*FILE)$/.test(name) ? 'file' : 'nothing';
}

function fill(completes: Completes): WantedOrTopic {
  if (typeof completes === 'string') return { ...NOTHING, kind: completes };
  return { ...NOTHING, words: completes.map((word) => ({ word, description: '' })) };
}
