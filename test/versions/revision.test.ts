import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { resolveRevision } from '../../src/versions/revision.ts';
import { newHistory, record } from '../support/history.ts';

/** 1 - 2 - 3 - 4 on main, and 5 beside them as a child of 2. */
function context() {
  const { versions, refs } = newHistory();
  versions.add(record(null, 'aaaa1111'));
  versions.add(record(1, 'aaaa2222'));
  versions.add(record(2, 'bbbb3333'));
  versions.add(record(3, 'cccc4444'));
  versions.add(record(2, '1234'));
  refs.set({ name: 'main', kind: 'branch', version: 4 });
  refs.set({ name: 'side', kind: 'branch', version: 5 });
  refs.set({ name: 'v1.0', kind: 'tag', version: 1 });
  refs.set({ name: 'bbbb', kind: 'tag', version: 1 });
  return { versions, refs, head: 4 };
}

function failure(text: string, changes: object = {}): VsimgError {
  try {
    resolveRevision(text, { ...context(), ...changes });
  } catch (error) {
    expect(error).toBeInstanceOf(VsimgError);
    return error as VsimgError;
  }
  return expect.fail(`${text} names a version`);
}

describe('revision', () => {
  it.each([
    ['1', 1],
    ['0004', 4],
    ['HEAD', 4],
    ['HEAD^', 3],
    ['HEAD~', 3],
    ['HEAD~0', 4],
    ['HEAD~1', 3],
    ['HEAD~3', 1],
    ['HEAD^^', 2],
    ['HEAD~1^', 2],
    ['HEAD^~2', 1],
    ['HEAD~~~', 1],
    ['main', 4],
    ['side~1', 2],
    ['5^', 2],
    ['v1.0', 1],
    ['aaaa1', 1],
    ['AAAA2', 2],
    ['cccc', 4],
    ['cccc4444000000000000000000000000', 4],
    ['cccc~2', 2],
  ])('%s names version %d', (text, number) => {
    expect(resolveRevision(text, context())).toBe(number);
  });

  it('is a name before it is the start of an id, and a number before it is either', () => {
    expect(resolveRevision('bbbb', context())).toBe(1);
    expect(resolveRevision('bbbb3', context())).toBe(3);
    expect(resolveRevision('5', context())).toBe(5);
  });

  it('of digits is the start of an id where there is no such number', () => {
    expect(resolveRevision('1234', context())).toBe(5);
  });

  it.each([
    '',
    '~',
    '^',
    '~1',
    'HEAD~-1',
    'HEAD~x',
    'HEAD~1.5',
    '99',
    'aaa',
    'ffff',
    'head',
    '@',
    'HEAD@{1}',
    '1..2',
    'cccc44440000000000000000000000000',
    '9'.repeat(40),
  ])('%j is not found', (text) => {
    expect(failure(text).code).toBe('not-found');
  });

  it('that is the start of several ids names them all', () => {
    const error = failure('aaaa');
    expect(error.code).toBe('usage');
    expect(error.message).toMatch(/aaaa11110000 \(version 1\), aaaa22220000 \(version 2\)/);
  });

  it('that goes beyond the first version says so', () => {
    expect(failure('HEAD~4')).toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/'HEAD~4' goes beyond version 1, which has no parent/),
    });
    expect(failure('HEAD~99999999999999999999').code).toBe('not-found');
  });

  it('HEAD of an image without versions says so', () => {
    expect(failure('HEAD', { head: null }).message).toMatch(/the image has none yet/);
    expect(failure('HEAD~1', { head: null }).code).toBe('not-found');
  });

  it.each([
    ['mian', 'main'],
    ['Main', 'main'],
    ['v1.1', 'v1.0'],
    ['sid', 'side'],
  ])('%s is taken for a slip of %s', (text, name) => {
    expect(failure(text).hint).toBe(`did you mean '${name}'?`);
  });

  it('that is like nothing suggests nothing', () => {
    expect(failure('something-else').hint).not.toMatch(/did you mean/);
    expect(failure('x'.repeat(100_000)).code).toBe('not-found');
  });
});

describe('VersionTable', () => {
  it('gives the children of a deleted version to its parent', () => {
    const { versions } = context();
    versions.remove(versions.need(2));
    expect([3, 5].map((number) => versions.need(number).parent)).toEqual([1, 1]);
    expect(versions.childrenOf(1)).toEqual([3, 5]);
    expect(versions.childrenOf(2)).toEqual([]);
    versions.remove(versions.need(1));
    expect([3, 5].map((number) => versions.need(number).parent)).toEqual([null, null]);
    expect(versions.count).toBe(3);
    expect(versions.withIdPrefix('aaaa', 5)).toEqual([]);
    expect(versions.next).toBe(6);
  });

  it('goes through time both ways, over gaps', () => {
    const { versions } = context();
    versions.remove(versions.need(3));
    expect([...versions.oldestFirst()].map(({ number }) => number)).toEqual([1, 2, 4, 5]);
    expect([...versions.newestFirst()].map(({ number }) => number)).toEqual([5, 4, 2, 1]);
    expect([1, 2, 3, 4, 5].map((number) => versions.after(number))).toEqual([2, 4, 4, 5, undefined]);
  });

  it('finds ids by any number of digits', () => {
    const { versions } = context();
    expect(versions.withIdPrefix('aaaa', 1)).toEqual([1]);
    expect(versions.withIdPrefix('aaaa', 5)).toEqual([1, 2]);
    expect(versions.withIdPrefix('a', 5)).toEqual([1, 2]);
    expect(versions.withIdPrefix('aaaa2', 5)).toEqual([2]);
    expect(versions.withIdPrefix('', 9)).toHaveLength(5);
  });
});
