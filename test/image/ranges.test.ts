import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RangeSet } from '../../src/image/ranges.ts';

const END = 200;
const range = fc.record({ start: fc.nat(END - 20), length: fc.nat(20) });

it('is the same as a list of numbers, whenever it is looked at', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ range, isLook: fc.boolean() })), (steps) => {
      const set = new RangeSet();
      const held = new Array<number>(END).fill(0);
      for (const { range, isLook } of steps) {
        set.add(range.start, range.start + range.length);
        for (let at = range.start; at < range.start + range.length; at++) held[at] = (held[at] ?? 0) + 1;
        if (isLook) expect(set.totalBytes).toBe(held.filter((count) => count > 0).length);
      }
      const expected: { start: number; end: number }[] = [];
      for (let at = 0; at < END; at++) {
        const last = expected.at(-1);
        if (held[at] === 0) continue;
        if (last?.end === at) last.end = at + 1;
        else expected.push({ start: at, end: at + 1 });
      }
      expect([...set.ranges()]).toEqual(expected);
      expect(set.overlap !== undefined).toBe(held.some((count) => count > 1));
      if (set.overlap !== undefined)
        for (let at = set.overlap.start; at < set.overlap.end; at++) expect(held[at]).toBeGreaterThan(1);
      expect([...set.within(50, 100)]).toEqual(
        expected
          .filter(({ start, end }) => end > 50 && start < 100)
          .map(({ start, end }) => ({ start: Math.max(50, start), end: Math.min(100, end) })),
      );
    }),
    { numRuns: 2000 },
  );
});
