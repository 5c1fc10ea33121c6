import { allOptions, type CommandDefinition, isSignedArgument, type OptionDefinition } from './definition.ts';
import { Invocation, type OptionValue } from './invocation.ts';

/**
 * Parses the usual command line: known options in full, one a word, with their values, and as many arguments as there must
 * be. Undefined for all else: requests for help, mistakes, and rarer forms such as `-qp` or a value that begins with `-`.
 * Those are for commander, which says the same about everything that is parsed here, but takes 3 ms to begin.
 */
export function quickParse(definition: CommandDefinition, argv: readonly string[]): Invocation | undefined {
  const known = allOptions(definition);
  const options = new Map<string, OptionValue | undefined>(known.map(({ name }) => [name, undefined]));
  const operands: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string;
    if (!word.startsWith('-') || word === '-' || isSignedArgument(definition, word)) {
      operands.push(word);
      continue;
    }
    const option = known.find((candidate) => isWritten(candidate, word) || formOf(candidate, word) !== undefined);
    if (option === undefined) return undefined;
    let value: OptionValue = formOf(option, word) ?? true;
    if (option.value !== undefined && option.bare === undefined) {
      index++;
      const next = argv[index];
      if (next === undefined || next.startsWith('-')) return undefined;
      const before = options.get(option.name);
      value = option.repeats === true ? [...(typeof before === 'object' ? before : []), next] : next;
    }
    options.set(option.name, value);
  }
  return isCountRight(definition, operands.length) ? new Invocation(operands, options) : undefined;
}

/** Words such as `-5` as the option that they stand for, where the command has one. */
export function spellDigits(definition: CommandDefinition, argv: readonly string[]): readonly string[] {
  const option = definition.options.find(({ digits }) => digits === true);
  if (option === undefined) return argv;
  const end = argv.indexOf('--');
  const known = allOptions(definition);
  return argv.flatMap((word, index) => {
    if (!/^-\d+$/.test(word) || (end !== -1 && index > end)) return [word];
    const before = argv[index - 1] ?? '';
    const isValue = known.some(
      (each) => each.value !== undefined && each.bare === undefined && isWritten(each, before),
    );
    return isValue ? [word] : [`--${option.name}`, word.slice(1)];
  });
}

/** The value of an option that needs none, given behind `=` or not at all; undefined for other options and words. */
export function formOf(option: OptionDefinition, word: string): string | undefined {
  if (option.bare === undefined) return undefined;
  if (isWritten(option, word)) return option.bare;
  const before = `--${option.name}=`;
  return word.startsWith(before) ? word.slice(before.length) : undefined;
}

function isWritten({ short, name, shortOnly }: OptionDefinition, word: string): boolean {
  return (short !== undefined && word === `-${short}`) || (shortOnly !== true && word === `--${name}`);
}

function isCountRight({ arguments: all }: CommandDefinition, count: number): boolean {
  const needed = all.filter(({ presence }) => presence === 'required' || presence === 'one-or-more').length;
  const isOpen = all.some(({ presence }) => presence === 'one-or-more' || presence === 'any-number');
  return count >= needed && (isOpen || count <= all.length);
}
