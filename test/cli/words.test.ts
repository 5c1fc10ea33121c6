import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitWords } from '../../src/cli/words.ts';

describe('splitWords', () => {
  it.each<[line: string, words: string[]]>([
    ['', []],
    ['  \t ', []],
    ['write --offset 4k', ['write', '--offset', '4k']],
    ['# all of it', []],
    ["tag 'a # b' # c", ['tag', 'a # b']],
    ['a#b \\# c', ['a#b', '#', 'c']],
    [`-m 'it'"'"'s' ""`, ['-m', "it's", '']],
    ['"a \\" \\\\ \\$ \\n" \\"', ['a " \\ $ \\n', '"']],
    ["a\\ b 'c\\'", ['a b', 'c\\']],
    ['$HOME *.raw `x` ~', ['$HOME', '*.raw', '`x`', '~']],
    ['checkout main\r', ['checkout', 'main']],
  ])('%s', (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });

  it.each([
    ["a 'b", /single quote is not closed/],
    ['a "b\\"', /double quote is not closed/],
    ['a \\', /backslash ends the line/],
  ])('refuses %s', (line, message) => {
    expect(() => splitWords(line)).toThrow(message);
  });

  it('quotes as a shell does', () => {
    const character = fc.constantFrom(...'ab \t\'"\\#');
    const lines = fc.sample(fc.string({ unit: character, maxLength: 12 }), { numRuns: 300, seed: 5 });
    for (const line of lines) {
      let words: string[];
      try {
        words = splitWords(line);
      } catch {
        continue;
      }
      const { stdout } = spawnSync('sh', ['-c', `set -- ${line}\nfor word; do printf '%s\\0' "$word"; done`]);
      expect({ line, words }).toEqual({ line, words: stdout.toString().split('\0').slice(0, -1) });
    }
  }, 60_000);
});
