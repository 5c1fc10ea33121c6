import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph, type GraphNode } from '../../src/cli/graph.ts';
import { temporaryDirectory } from '../support/cli.ts';

type Parents = readonly (number | null)[];

/** Draws versions 1, 2, 3 ... with these parents, newest first, with `lineCount` lines of text each. */
function draw(parents: Parents, lineCount = 1): string[] {
  const graph = new Graph();
  const nodes = parents.map((parent, index): GraphNode => ({ number: index + 1, parent })).reverse();
  return nodes.flatMap(({ number, parent }) => {
    const { first, moves, rest } = graph.next({ number, parent });
    const prefixes = [first, ...moves];
    while (prefixes.length < lineCount) prefixes.push(rest);
    return prefixes.map((prefix, line) => (line < lineCount ? `${prefix}${number}` : prefix).trimEnd());
  });
}

const directory = temporaryDirectory();
const hasGit = spawnSync('git', ['--version']).error === undefined;
let repositories = 0;

/** What git draws of commits with these parents. */
function drawWithGit(parents: Parents, lineCount: number): string[] {
  const name = `${directory}/${repositories++}.git`;
  const git = (args: readonly string[], input = ''): string =>
    execFileSync('git', ['-c', 'core.pager=cat', '--git-dir', name, ...args], {
      input,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'ignore'],
    });
  git(['init', '-q', '--bare', name]);
  const commits = parents.flatMap((parent, index) => {
    const number = index + 1;
    return [
      `commit refs/heads/b${number}`,
      `mark :${number}`,
      `committer a <a@b> ${1_700_000_000 + number} +0000`,
      `data ${String(number).length}`,
      String(number),
      ...(parent === null ? [] : [`from :${parent}`]),
      '',
    ];
  });
  git(['fast-import', '--quiet'], `${commits.join('\n')}\n`);
  const format = `--format=tformat:${Array.from({ length: lineCount }, () => '%s').join('%n')}`;
  const text = git(['log', '--all', '--graph', '--date-order', '--no-color', format]);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd());
}

describe('Graph', () => {
  it('draws one line of history', () => {
    expect(draw([null, 1, 2])).toEqual(['* 3', '* 2', '* 1']);
  });

  it('draws a branch', () => {
    expect(draw([null, 1, 2, 3, 2])).toEqual(['* 5', '| * 4', '| * 3', '|/', '* 2', '* 1']);
  });

  it('lets text stand beside lines that move', () => {
    expect(draw([null, 1, 1], 3)).toEqual(['* 3', '| 3', '| 3', '| * 2', '|/  2', '|   2', '* 1', '  1', '  1']);
  });

  describe.skipIf(!hasGit)('draws as git does', () => {
    it.each<[string, Parents]>([
      ['one line', [null, 1, 2, 3]],
      ['a branch', [null, 1, 2, 3, 2]],
      ['a line that joins another one far to its left', [null, 1, 1, 1, 1, 2, 3, 4, 5, 2, 1]],
      ['many branches from one version', [null, ...new Array<number>(12).fill(1)]],
      ['branches of branches', [null, 1, 2, 3, 1, 2, 3, 5, 6, 7, 1]],
      ['a line that moves twice', [null, null, null, null, 1, 1, null, 4, null]],
      ['several beginnings', [null, null, 1, 2, null, 3, 5, 4]],
    ])('%s', (_name, parents) => {
      for (const lineCount of [1, 3]) expect(draw(parents, lineCount)).toEqual(drawWithGit(parents, lineCount));
    });

    it('any history', () => {
      const histories = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 9 })), { minLength: 1, maxLength: 30 }).map((lots) =>
        lots.map(([lot, kind], index) => {
          if (index === 0 || kind === 0) return null;
          return kind < 5 ? index : (lot % index) + 1;
        }),
      );
      fc.assert(
        fc.property(histories, fc.integer({ min: 1, max: 4 }), (parents, lineCount) => {
          expect(draw(parents, lineCount)).toEqual(drawWithGit(parents, lineCount));
        }),
        { numRuns: 25 },
      );
    });
  });
});
