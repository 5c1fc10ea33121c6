import { VsimgError } from '../errors.ts';

/** What backslash keeps from its meaning within double quotes. */
const ESCAPED_IN_QUOTES = /[$`"\\]/;

/**
 * The words of one line, quoted as in a shell: '...', "..." and backslash; from a word that begins with # on it is a comment.
 * Nothing is expanded. @throws VsimgError 'usage'
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  const take = (end: number, quote: string): string => {
    if (end === -1) throw new VsimgError('usage', `${quote} is not closed`, { hint: 'a quoted word ends on its line' });
    const text = line.slice(at + 1, end);
    at = end + 1;
    return text;
  };
  while (at < line.length) {
    const character = line[at] as string;
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      at++;
    } else if (character === '#' && word === undefined) {
      return words;
    } else if (character === "'") {
      word = (word ?? '') + take(line.indexOf("'", at + 1), 'a single quote');
    } else if (character === '"') {
      word = (word ?? '') + take(closingQuote(line, at + 1), 'a double quote').replace(/\\([$`"\\])/g, '$1');
    } else if (character === '\\') {
      if (at + 1 === line.length)
        throw new VsimgError('usage', 'a backslash ends the line', { hint: 'write each command on one line' });
      word = (word ?? '') + line[at + 1];
      at += 2;
    } else {
      word = (word ?? '') + character;
      at++;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

function closingQuote(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === '"') return at;
    if (line[at] === '\\' && ESCAPED_IN_QUOTES.test(line[at + 1] ?? '')) at++;
  }
  return -1;
}
