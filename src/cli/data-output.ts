import { VsimgError } from '../errors.ts';
import type { CommandContext } from './context.ts';

/**
 * Data on stdout leaves no room for a JSON document there.
 * @throws VsimgError 'usage'
 */
export function requireDataOutput(context: CommandContext, hint: string): void {
  if (context.output.format === 'text') return;
  throw new VsimgError('usage', 'stdout cannot take both the data and a JSON document', { hint });
}
