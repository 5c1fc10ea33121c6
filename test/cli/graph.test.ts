import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph, type GraphNode } from '../../src/cli/graph.ts';

/** Draws versions 1, 2, 3 ... with these parents, newest first. */
function draw(parents: readonly (number | null)[]): string[] {
  const graph = new Graph();
  const nodes = parents.map((parent, index): GraphNode => ({ number: index + 1, parent })).reverse();
  return nodes.flatMap((node) => {
    const row = graph.next(node);
    return [...row.before, `${row.first} ${node.number}`];
  });
}

describe('Graph', () => {
  it('draws one line of history', () => {
    expect(draw([null, 1, 2])).toEqual(['* 3', '* 2', '* 1']);
  });

  it('draws a branch as git does', () => {
    expect(draw([null, 1, 2, 3, 2])).toEqual(['* 5', '| * 4', '| * 3', '|/', '* 2', '* 1']);
  });

  it('joins a line over another one in two steps', () => {
    expect(draw([null, 1, 1, 2, 3, 2])).toEqual([
      '* 6',
      '| * 5',
      '| | * 4',
      '| * | 3',
      '| |/',
      '|/|',
      '* | 2',
      '|/',
      '* 1',
    ]);
  });

  it('joins a line over two others with a bar', () => {
    const graph = new Graph();
    const rows = [
      { number: 9, parent: 5 },
      { number: 8, parent: 4 },
      { number: 7, parent: 3 },
      { number: 6, parent: 5 },
      { number: 5, parent: 2 },
    ].map((node) => graph.next(node));
    expect(rows[4]).toEqual({ before: ['| |_|/', '|/| |'], first: '* | |', rest: '| | |' });
  });

  it('moves lines on the right of a joined one to the left', () => {
    const graph = new Graph();
    const rows = [
      { number: 9, parent: 5 },
      { number: 8, parent: 5 },
      { number: 7, parent: 4 },
      { number: 5, parent: 2 },
    ].map((node) => graph.next(node));
    expect(rows[3]).toEqual({ before: ['|/ /'], first: '* |', rest: '| |' });
  });

  it('closes up behind a history that ended', () => {
    expect(draw([null, null, 1, 2])).toEqual(['* 4', '| * 3', '* | 2', ' /', '* 1']);
    expect(draw([null, null])).toEqual(['* 2', '* 1']);
  });

  it('puts every version into exactly one row, with a line down to its parent', () => {
    const histories = fc
      .array(fc.nat(), { minLength: 1, maxLength: 40 })
      .map((seeds) => seeds.map((seed, index) => (index === 0 || seed % 11 === 0 ? null : (seed % index) + 1)));
    fc.assert(
      fc.property(histories, (parents) => {
        const lines = draw(parents);
        expect(lines.filter((line) => line.includes('*'))).toHaveLength(parents.length);
        for (const line of lines) expect(line).toMatch(/^[*|/_ ]+( \d+)?$/);
      }),
    );
  });
});
