import type { OptionDefinition } from './definition.ts';
import type { Invocation } from './invocation.ts';
import { parseSize } from './size.ts';

/** Options of commands that look at a part of the disk. */
export const PART_OPTIONS: readonly OptionDefinition[] = [
  { name: 'offset', value: 'N', description: 'first byte (default: 0)' },
  { name: 'length', value: 'N', description: 'number of bytes (default: to the end)' },
];

/** The bytes that `PART_OPTIONS` name; without an end they go to the end of the disk. Errors: 'usage'. */
export function parsePart(args: Invocation): { readonly start: number; readonly end: number | undefined } {
  const start = parseSize(args.value('offset') ?? '0', '--offset');
  const length = args.value('length');
  return { start, end: length === undefined ? undefined : start + parseSize(length, '--length') };
}
