import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { numberKey } from '../../src/format/record-page.ts';
import { putRecord } from '../../src/map/records.ts';
import { checkRefName } from '../../src/versions/refs.ts';
import { newHistory } from '../support/history.ts';
import { decodeHostile } from '../support/hostile.ts';

function isValid(name: string): boolean {
  try {
    checkRefName(name);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ name: 'VsimgError', code: 'usage', hint: expect.any(String) });
    return false;
  }
}

/** Names that git takes, and those it does not. */
const GIT_TAKES = [
  'a',
  'main',
  'v1.0',
  'a/b',
  'a-b_c',
  'feature/x/y',
  'ü',
  '日本',
  'a.b',
  '1.2',
  'v1',
  'a.lock.b',
  'x{',
  'a}',
  '#',
  "it's",
  '%20',
  'a,b',
  'a!',
  '(x)',
  'a+b',
  'a=b',
  'head',
  'HEAD2',
  'x'.repeat(255),
];
const GIT_REFUSES = [
  '',
  '.',
  '..',
  'a..b',
  '.a',
  'a/.b',
  'a.',
  'a/',
  '/a',
  'a//b',
  'a.lock',
  'a.lock/b',
  'a b',
  'a~b',
  'a^',
  'a:b',
  'a?b',
  'a*',
  'a[b',
  'a\\b',
  'a\tb',
  'a\nb',
  'a\u0000b',
  'a\u007fb',
  'a@{b',
  '@',
  '-a',
];

describe('names of tags and branches', () => {
  it.each(GIT_TAKES)('may be %j', (name) => expect(isValid(name)).toBe(true));
  it.each(GIT_REFUSES)('are never %j', (name) => expect(isValid(name)).toBe(false));

  it.each([
    '1',
    '007',
    '123456789012345678901234567890',
    'HEAD',
    'a@b',
    '@a',
    'x'.repeat(256),
    'ü'.repeat(128),
    '\ud800',
    'a\udc00b',
  ])('are, unlike those of git, never %j', (name) => {
    expect(isValid(name)).toBe(false);
  });

  it('follow the rules of git check-ref-format', ({ skip }) => {
    const git = (name: string): number | null => spawnSync('git', ['check-ref-format', '--branch', name]).status;
    if (git('main') !== 0) skip('git is not installed');
    const characters = fc.constantFrom(
      'a',
      'b',
      '.',
      '/',
      '-',
      '@',
      '{',
      '~',
      '^',
      ':',
      ' ',
      'lock',
      '.lock',
      '\\',
      'é',
      '1',
    );
    const names = fc.array(characters, { maxLength: 6 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(names, (name) => {
        if (name === '' || /^[0-9]+$/.test(name) || name.includes('@')) return;
        expect(isValid(name)).toBe(git(name) === 0);
      }),
      { numRuns: 60 },
    );
  });
});

describe('Refs', () => {
  it('agrees with a Map, by name and by version', () => {
    const names = fc.constantFrom('a', 'b', 'main', 'v1', 'ü', 'x'.repeat(255));
    const steps = fc.record({
      name: names,
      kind: fc.constantFrom<'tag' | 'branch'>('tag', 'branch'),
      version: fc.integer({ min: 1, max: 3 }),
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 60 }), (list) => {
        const { refs } = newHistory();
        const model = new Map<string, { name: string; kind: 'tag' | 'branch'; version: number }>();
        for (const { remove, ...ref } of list) {
          const old = model.get(ref.name);
          if (remove && old !== undefined) {
            refs.remove(old);
            model.delete(ref.name);
          } else if (!remove) {
            refs.set(ref);
            model.set(ref.name, ref);
          }
        }
        const all = [...model.values()].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
        expect([...refs.all()]).toEqual(all);
        for (const version of [1, 2, 3, 4])
          expect(refs.of(version)).toEqual(all.filter((ref) => ref.version === version));
        for (const name of ['a', 'b', 'nowhere']) expect(refs.get(name)).toEqual(model.get(name));
      }),
    );
  });

  it('refuses records that no writer makes', () => {
    for (const value of [[], [1], [3, 1], [0, 1], [1, 1, 1], [1, 0x80]]) {
      const { refs, trees } = newHistory();
      putRecord(trees.refs, 'name', Uint8Array.from(value));
      expect(decodeHostile(() => refs.get('name'))).toEqual({ code: 'corrupt' });
      expect(decodeHostile(() => [...refs.all()])).toEqual({ code: 'corrupt' });
    }
  });

  it.each([
    ['of control characters', '\x1b[2J'],
    ['that is no UTF-8', '\xff\xfe'],
    ['that is a number', '17'],
    ['that is empty', ''],
    ['that is too long', 'x'.repeat(256)],
    ['of the version checked out', 'HEAD'],
  ])('refuses a name %s', (_what, key) => {
    const { refs, trees } = newHistory();
    putRecord(trees.refs, key, Uint8Array.of(1, 1));
    putRecord(trees.marks, numberKey(1) + key, new Uint8Array(0));
    expect(decodeHostile(() => [...refs.all()])).toEqual({ code: 'corrupt' });
    expect(decodeHostile(() => refs.of(1))).toEqual({ code: 'corrupt' });
    expect(refs.of(2)).toEqual([]);
    expect(decodeHostile(() => refs.set({ name: 'x y', kind: 'branch', version: 1 }))).toEqual({ code: 'corrupt' });
  });
});
