import { describe, expect, it } from 'vitest';
import { displayWidth, fitWidth, formatFields, formatTable, oneLine, pad, subject } from '../../src/cli/table.ts';

describe('table', () => {
  it('aligns columns and leaves nothing behind the last', () => {
    const columns = [
      { title: 'N', align: 'right' },
      { title: 'NAME', align: 'left' },
      { title: 'X', align: 'left' },
    ] as const;
    expect(
      formatTable(columns, [
        ['1', 'a', ''],
        ['10', 'longer', 'x'],
      ]),
    ).toEqual([' N  NAME    X', ' 1  a', '10  longer  x']);
  });

  it('counts wide characters twice and combining marks not at all', () => {
    expect(displayWidth('abc')).toBe(3);
    expect(displayWidth('日本')).toBe(4);
    expect(displayWidth('e\u0301')).toBe(1);
    expect(displayWidth('😀')).toBe(2);
    expect(pad('日', 4, 'right')).toBe('  日');
  });

  it.each([
    ['ｆｕｌｌ', 8],
    ['한국어', 6],
    ['\u1112\u1161\u11ab', 2],
    ['🚀', 2],
    ['🪐', 2],
    ['⌛', 2],
    ['✅', 2],
    ['✔', 1],
    ['🇩🇪', 2],
    ['ไทย้', 3],
    ['a\u200bb', 2],
    ['né\u0301e', 3],
    ['ﾊﾝｶｸ', 4],
  ])('%s takes %d columns', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  it('cuts to a width', () => {
    expect(fitWidth('abcdef', 6)).toBe('abcdef');
    expect(fitWidth('abcdef', 4)).toBe('abc…');
    expect(fitWidth('日本語', 4)).toBe('日…');
  });

  it('lines up values', () => {
    expect(
      formatFields([
        ['a', '1'],
        ['long', '2'],
      ]),
    ).toEqual(['a:    1', 'long: 2']);
  });

  it('lets no control character through', () => {
    expect(oneLine('a\nb\x1b[31m\x7f\u009b')).toBe('a b\\x1b[31m\\x7f\\x9b');
    expect(subject('first\nsecond')).toBe('first');
    expect(subject('')).toBe('');
  });
});
