import { VsimgError } from '../errors.ts';

/**
 * A count as the user writes it. `what` names the argument in the error.
 * @throws VsimgError 'usage'
 */
export function parseCount(text: string, what: string): number {
  const count = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(count)) {
    throw new VsimgError('usage', `${what} '${text}' is not a number`, { hint: 'give one such as 10' });
  }
  return count;
}

/** `1 version`, `2 versions`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
