import { linkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseImage, parseNewImage, parseTarget, requireDifferentFiles } from '../../src/cli/target.ts';
import { temporaryDirectory } from '../support/cli.ts';

function files(...names: string[]): (path: string) => boolean {
  return (path) => names.includes(path);
}

describe('parseTarget', () => {
  it.each([
    { text: 'd.vsi', there: ['d.vsi'], path: 'd.vsi', rev: null },
    { text: 'd.vsi@3', there: ['d.vsi'], path: 'd.vsi', rev: '3' },
    { text: 'd.vsi@HEAD~2', there: ['d.vsi'], path: 'd.vsi', rev: 'HEAD~2' },
    { text: 'd.vsi@feature/x', there: ['d.vsi'], path: 'd.vsi', rev: 'feature/x' },
    { text: 'd.vsi@3', there: ['d.vsi', 'd.vsi@3'], path: 'd.vsi@3', rev: null },
    { text: 'd.vsi@3@4', there: ['d.vsi', 'd.vsi@3'], path: 'd.vsi@3', rev: '4' },
    { text: 'a@b/d.vsi@v1', there: ['a@b/d.vsi', 'a'], path: 'a@b/d.vsi', rev: 'v1' },
    { text: 'd.vsi@a@b', there: ['d.vsi'], path: 'd.vsi', rev: 'a@b' },
    { text: '@d@1', there: ['@d'], path: '@d', rev: '1' },
  ])('$text with $there', ({ text, there, path, rev }) => {
    expect(parseTarget(text, undefined, files(...there))).toEqual({ path, rev });
  });

  it('takes the revision from -l', () => {
    expect(parseTarget('d.vsi', 'v1', files('d.vsi'))).toEqual({ path: 'd.vsi', rev: 'v1' });
    expect(parseTarget('d.vsi@3', 'v1', files('d.vsi@3'))).toEqual({ path: 'd.vsi@3', rev: 'v1' });
  });

  it.each([
    { text: 'd.vsi@3', option: 'v1', code: 'usage', why: 'a revision in both places' },
    { text: 'd.vsi@', option: undefined, code: 'usage', why: 'an empty revision' },
    { text: 'd.vsi', option: '', code: 'usage', why: 'an empty -l' },
    { text: '-', option: undefined, code: 'usage', why: 'stdin' },
    { text: '', option: undefined, code: 'usage', why: 'no name' },
    { text: 'e.vsi', option: undefined, code: 'not-found', why: 'a file that is not there' },
    { text: 'e.vsi@3', option: undefined, code: 'not-found', why: 'a file that is not there, with a revision' },
    { text: '@3', option: undefined, code: 'not-found', why: 'a revision of nothing' },
  ])('refuses $why', ({ text, option, code }) => {
    expect(() => parseTarget(text, option, files('d.vsi'))).toThrow(expect.objectContaining({ code }));
  });

  it('names both files it looked for', () => {
    expect(() => parseTarget('e.vsi@3', undefined, files())).toThrow(/'e\.vsi@3' and no 'e\.vsi'/);
  });
});

describe('parseImage', () => {
  it('takes no revision', () => {
    expect(parseImage('d.vsi', files('d.vsi'))).toBe('d.vsi');
    expect(() => parseImage('d.vsi@3', files('d.vsi'))).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('parseNewImage', () => {
  it('takes a name that is not there, but no revision of one that is', () => {
    expect(parseNewImage('new.vsi', files())).toBe('new.vsi');
    expect(parseNewImage('me@home.vsi', files())).toBe('me@home.vsi');
    expect(parseNewImage('d.vsi', files('d.vsi'))).toBe('d.vsi');
    expect(() => parseNewImage('d.vsi@3', files('d.vsi'))).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(() => parseNewImage('-', files())).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('requireDifferentFiles', () => {
  const directory = temporaryDirectory();

  it('sees through links', () => {
    const [file, hard, soft, other] = ['file', 'hard', 'soft', 'other'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
      string,
    ];
    writeFileSync(file, '');
    writeFileSync(other, '');
    linkSync(file, hard);
    symlinkSync('file', soft);
    for (const same of [file, hard, soft]) {
      expect(() => requireDifferentFiles(file, same)).toThrow(expect.objectContaining({ code: 'usage' }));
    }
    requireDifferentFiles(file, other);
    requireDifferentFiles(file, join(directory, 'nothing'));
  });
});
