import { resolve } from 'node:path';
import type { CommandDefinition, Completes } from '../cli/definition.ts';
import type { Invocation } from '../cli/invocation.ts';

export interface Naming {
  readonly definition: CommandDefinition;
  readonly directory: string;
}

/** With names of files that mean the same in every working directory. */
export async function withFullNames(args: Invocation, { definition, directory }: Naming): Promise<Invocation> {
  const { argumentAt, operandKind, valueKind } = await import('./candidates.ts');
  const name = (text: string, kind: Completes | undefined): string =>
    text !== '' && text !== '-' && (kind === 'file' || kind === 'image') ? resolve(directory, text) : text;
  const operands = args.operands.map((operand, index) => {
    const argument = argumentAt(definition.arguments, index);
    return name(operand, argument === undefined ? undefined : operandKind(argument, definition));
  });
  const values = new Map<string, string>();
  for (const option of definition.options) {
    if (option.value === undefined || option.repeats === true) continue;
    const value = args.value(option.name);
    if (value !== undefined) values.set(option.name, name(value, valueKind(option)));
  }
  return args.withOperands(operands).withValues(values);
}
