import { VsimgError } from '../errors.ts';
import type { CommandContext } from './context.ts';

/**
 * Data on stdout leaves no room for a JSON document there. Asked for by the environment, JSON is for errors then.
 * @throws VsimgError 'usage'
 */
export function requireDataOutput(context: CommandContext, hint: string): void {
  const { args, output } = context;
  const isAskedFor = args.has('json') || args.has('output') || !output.takesData;
  if (output.format === 'text' || !isAskedFor) return;
  throw new VsimgError('usage', 'stdout cannot take both the data and a JSON document', { hint });
}
