import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OwnedRanges, SHARED } from '../../src/image/owned-ranges.ts';

const WORLD = 40;

interface Added {
  readonly start: number;
  readonly length: number;
  readonly owner: number;
}

/** Who has each block, found one by one. */
function model(added: readonly Added[]): (number | undefined)[] {
  const owners = new Array<number | undefined>(WORLD).fill(undefined);
  for (const { start, length, owner } of added)
    for (let at = start; at < start + length; at++) {
      const before = owners[at];
      owners[at] = before === undefined || before === owner ? owner : SHARED;
    }
  return owners;
}

function found(ranges: OwnedRanges, base: number, scale: number): (number | undefined)[] {
  const owners = new Array<number | undefined>(WORLD).fill(undefined);
  let end = -1;
  for (const range of ranges.within(base, base + WORLD * scale)) {
    expect(range.start).toBeGreaterThanOrEqual(end);
    end = range.end;
    for (let at = (range.start - base) / scale; at < (range.end - base) / scale; at++) owners[at] = range.owner;
  }
  return owners;
}

const additions = fc.array(
  fc.record({
    start: fc.nat(WORLD - 11),
    length: fc.nat(10),
    owner: fc.oneof(fc.nat(4), fc.constant(SHARED)),
  }),
  { maxLength: 60 },
);

describe('OwnedRanges', () => {
  // The second scale is too large to be sorted by whole numbers.
  it.each([
    { base: 7, scale: 1 },
    { base: 0, scale: 2 ** 47 },
  ])('knows whose each block is, asked in between or at the end (blocks of $scale)', ({ base, scale }) => {
    fc.assert(
      fc.property(additions, additions, (first, second) => {
        const ranges = new OwnedRanges();
        const add = (all: readonly Added[]) => {
          for (const { start, length, owner } of all)
            ranges.add(base + start * scale, base + (start + length) * scale, owner);
        };
        add(first);
        expect(found(ranges, base, scale)).toEqual(model(first));
        add(second);
        expect(found(ranges, base, scale)).toEqual(model([...first, ...second]));
      }),
    );
  });

  it('takes more than it has room for at first', () => {
    const ranges = new OwnedRanges();
    for (let round = 0; round < 3; round++)
      for (let at = 0; at < 5000; at++) ranges.add(at * 3, at * 3 + 2, at % 7 === 0 ? round : 9);
    const owners = [...ranges.within(0, 15_000)].map(({ start, owner }) => [start % 21 === 0, owner]);
    expect(owners).toHaveLength(5000);
    for (const [isOften, owner] of owners) expect(owner).toBe(isOften ? SHARED : 9);
  });
});
