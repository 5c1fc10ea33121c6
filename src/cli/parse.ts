import type { CommandDefinition, CommandEntry } from './definition.ts';
import type { Parsed } from './program.ts';
import { quickParse, spellDigits } from './quick-parse.ts';

/** The words behind the name of a command, as its definition has them; `columns` is asked for the help. @throws VsimgError 'usage' */
export async function parseArguments(
  entry: CommandEntry,
  definition: CommandDefinition,
  { words, columns }: { readonly words: readonly string[]; readonly columns: () => number },
): Promise<Parsed> {
  const spelled = spellDigits(definition, words);
  const args = quickParse(definition, spelled);
  if (args !== undefined) return { kind: 'run', args };
  const { buildCommand, parseCommand } = await import('./program.ts');
  return parseCommand(buildCommand(entry, definition, columns), definition, spelled);
}
