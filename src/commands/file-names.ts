import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CommandDefinition, Completes } from '../cli/definition.ts';
import type { Invocation } from '../cli/invocation.ts';
import { VsimgError } from '../errors.ts';

export interface Naming {
  readonly definition: CommandDefinition;
  readonly directory: string;
}

/** What is another thing in each process, though its name is the same. */
const OF_ONE_PROCESS = /^\/(dev|proc)\//;

/**
 * With names of files that mean the same in every working directory and every process. Errors: 'usage' for what is no file:
 * whoever waits for a pipe, or stops in the middle of one, would keep the others waiting, or leave a part of the change.
 */
export async function withFullNames(args: Invocation, { definition, directory }: Naming): Promise<Invocation> {
  const { argumentAt, operandKind, valueKind } = await import('./candidates.ts');
  const name = (text: string, kind: Completes | undefined): string =>
    text !== '' && text !== '-' && (kind === 'file' || kind === 'image') ? fullName(directory, text) : text;
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

function fullName(directory: string, text: string): string {
  const path = resolve(directory, text);
  const stat = OF_ONE_PROCESS.test(path) ? undefined : statSync(path, { throwIfNoEntry: false });
  if (!OF_ONE_PROCESS.test(path) && (stat === undefined || stat.isFile())) return path;
  throw new VsimgError(
    'usage',
    `'${text}' is no regular file, and the server that has the image open reads nothing else`,
    {
      path,
      hint: 'put the data into a file, or end the server',
    },
  );
}
