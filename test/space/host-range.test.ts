import { describe, expect, it } from 'vitest';
import { joinRanges } from '../../src/space/host-range.ts';

describe('joinRanges', () => {
  it('sorts, and joins what touches', () => {
    expect(
      joinRanges([
        { start: 5, end: 7 },
        { start: 1, end: 2 },
        { start: 2, end: 4 },
        { start: 7, end: 9 },
      ]),
    ).toEqual([
      { start: 1, end: 4 },
      { start: 5, end: 9 },
    ]);
    expect(joinRanges([])).toEqual([]);
  });

  it('joins only what is of one kind', () => {
    const [a, b, c] = [
      { start: 1, end: 2, birth: 1 },
      { start: 2, end: 3, birth: 1 },
      { start: 3, end: 4, birth: 2 },
    ];
    expect(joinRanges([c, b, a], ({ birth }) => birth)).toEqual([{ ...a, end: 3 }, c]);
  });
});
