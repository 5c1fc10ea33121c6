import { VsimgError } from '../errors.ts';
import type { CommandContext } from './context.ts';

/**
 * Data on stdout leaves no room for a JSON document there. Asked for by the environment, JSON is for errors then.
 * @throws VsimgError 'usage'
 */
export function requireDataOutput(context: CommandContext, hint: string): void {
  const { args, output } = context;
  if (output.format === 'text' || !(args.has('json') || args.has('output'))) return;
  throw new VsimgError('usage', 'stdout cannot take both the data and a JSON document', { hint });
}
