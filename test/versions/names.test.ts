import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { checkRefName } from '../../src/versions/refs.ts';

const hasGit = spawnSync('git', ['--version']).error === undefined;

function isOurs(name: string): boolean {
  try {
    checkRefName(name);
    return true;
  } catch (error) {
    if (error instanceof VsimgError && error.code === 'usage') return false;
    throw error;
  }
}

function isGits(name: string): boolean {
  return spawnSync('git', ['check-ref-format', '--branch', name], { cwd: '/' }).status === 0;
}

const GOOD = [
  'a',
  'v1.0',
  'a/b',
  'a/b/c',
  'a-b',
  'a_b',
  '1a',
  'a1',
  'ä',
  '日本',
  '🚀',
  'a.b.c',
  'a+b',
  'a=b',
  'a,b',
  'a;b',
  '(a)',
  '{a}',
];
const MORE_GOOD = [
  'a"b',
  "a'b",
  '$a',
  'a&b',
  'a|b',
  'a!',
  '#1',
  '%a',
  '<a>',
  'a/-b',
  'a]',
  'lock',
  'a.lockb',
  'Head',
  'x'.repeat(100),
];
const BAD = [
  '',
  '.a',
  'a.',
  'a..b',
  'a/.b',
  'a.lock',
  'a.lock/b',
  'a//b',
  '/a',
  'a/',
  '-a',
  '-',
  'a b',
  'a~b',
  'a^b',
  'a:b',
  'a?b',
];
const MORE_BAD = [
  'a*b',
  'a[b',
  'a\\b',
  'a\tb',
  'a\nb',
  'a\x7fb',
  'a\x01b',
  '.',
  '..',
  'a@{b',
  '@{',
  '/',
  'HEAD',
  'a/../b',
  ' a',
  'a ',
];

/** Where the rules are stricter: numbers name versions, `@` stands between image and revision, and HEAD is no part of a path there. */
const STRICTER = ['@', '1', '007', 'a@b', 'a@', '@a', 'user@host', 'x'.repeat(256), 'ä'.repeat(128)];

describe('names of tags and branches', () => {
  it.each([...GOOD, ...MORE_GOOD])('%j is good', (name) => {
    expect(isOurs(name)).toBe(true);
    if (hasGit) expect(isGits(name)).toBe(true);
  });

  it.each([...BAD, ...MORE_BAD])('%j is bad', (name) => {
    expect(isOurs(name)).toBe(false);
    if (hasGit) expect(isGits(name)).toBe(false);
  });

  it.each(STRICTER)('%j is a name for git only', (name) => {
    expect(isOurs(name)).toBe(false);
    if (hasGit) expect(isGits(name)).toBe(true);
  });
});
