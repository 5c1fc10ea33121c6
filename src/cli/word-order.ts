import { VsimgError } from '../errors.ts';
import type { CommandDefinition } from './definition.ts';
import { parseTarget } from './target.ts';

function isImage(word: string): boolean {
  try {
    parseTarget(word);
    return true;
  } catch {
    return false;
  }
}

/** An error about an image that is not there, with the words in their order if one that follows is there. */
export function withOrder(
  error: VsimgError,
  { name, definition }: { readonly name: string; readonly definition: CommandDefinition },
  operands: readonly string[],
): VsimgError {
  const [first = '', ...others] = operands;
  const isMissing = error.code === 'not-found' || (error.code === 'usage' && first === '-');
  if (!isMissing || definition.arguments[0]?.name.startsWith('IMAGE') !== true || isImage(first)) return error;
  const { code, message } = error;
  const image = others.find(isImage);
  if (image === undefined) {
    // Files of images have a dot in their name; a word without one is meant for a revision.
    if (/[./@]/.test(first)) return error;
    return new VsimgError(code, message, {
      hint: 'IMAGE comes first, the name of a file such as disk.vsi',
      cause: error,
    });
  }
  const words = [image, ...operands.filter((word) => word !== image)];
  return new VsimgError(code, message, { hint: `IMAGE comes first: 'vsimg ${name} ${words.join(' ')}'`, cause: error });
}
