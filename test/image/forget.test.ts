import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KeepPolicy } from '../../src/image/api.ts';
import { type Candidate, planForget } from '../../src/image/forget.ts';

const at = (text: string): number => Date.parse(`${text}Z`) / 1000;
const NOW = at('2026-12-31T23:59:59');

/** Versions 1, 2, 3 ... of these times. */
function history(...times: string[]): Candidate[] {
  return times.map((time, index) => ({ number: index + 1, timeSeconds: at(time), tags: [], protections: [] }));
}

/** Number and reasons of those that stay, newest first. */
function kept(candidates: readonly Candidate[], policy: KeepPolicy, nowSeconds = NOW): (readonly [number, string])[] {
  const { keep, remove } = planForget(candidates, policy, nowSeconds);
  expect([...keep.map(({ number }) => number), ...remove].sort((a, b) => a - b)).toEqual(
    candidates.map(({ number }) => number).sort((a, b) => a - b),
  );
  return keep.map(({ number, reasons }) => [number, reasons.join(', ')]);
}

const span = (parts: Partial<Record<'years' | 'months' | 'days' | 'hours', number>>) => ({
  years: 0,
  months: 0,
  days: 0,
  hours: 0,
  ...parts,
});

describe('what forget keeps', () => {
  const week = history(
    '2026-01-01T10:00:00',
    '2026-01-04T08:59:00', // a Sunday
    '2026-01-05T00:00:00', // a Monday
    '2026-01-05T23:59:59',
    '2026-01-06T08:00:00',
    '2026-01-06T08:59:00',
  );

  it.each<[string, KeepPolicy, (readonly [number, string])[]]>([
    [
      'the newest',
      { last: 2 },
      [
        [6, 'last'],
        [5, 'last'],
      ],
    ],
    [
      'the newest of each hour',
      { hourly: 3 },
      [
        [6, 'hourly'],
        [4, 'hourly'],
        [3, 'hourly'],
      ],
    ],
    [
      'the newest of each day',
      { daily: 2 },
      [
        [6, 'daily'],
        [4, 'daily'],
      ],
    ],
    [
      'the newest of each week, from Monday to Sunday',
      { weekly: 2 },
      [
        [6, 'weekly'],
        [2, 'weekly'],
      ],
    ],
    [
      'and the oldest, while a rule may keep more',
      { monthly: 2 },
      [
        [6, 'monthly'],
        [1, 'oldest monthly'],
      ],
    ],
    ['but not when its count is used up', { yearly: 1 }, [[6, 'yearly']]],
    [
      'what several rules keep, once',
      { last: 1, daily: 2, weekly: 1 },
      [
        [6, 'last, daily, weekly'],
        [4, 'daily'],
      ],
    ],
    [
      'all days without end',
      { daily: Number.POSITIVE_INFINITY },
      [
        [6, 'daily'],
        [4, 'daily'],
        [2, 'daily'],
        [1, 'daily'],
      ],
    ],
    [
      'what is younger than a span, not what is as old',
      { within: span({ days: 2 }) },
      [
        [6, 'within 2d'],
        [5, 'within 2d'],
        [4, 'within 2d'],
        [3, 'within 2d'],
      ],
    ],
  ])('%s', (_, policy, expected) => expect(kept(week, policy)).toEqual(expected));

  it('weeks do not end with the year', () => {
    // Monday, December 28th to Sunday, January 3rd.
    const turn = history('2025-12-28T12:00:00', '2026-12-28T12:00:00', '2027-01-03T12:00:00', '2027-01-04T12:00:00');
    expect(kept(turn, { weekly: 2 }, at('2028-01-01T00:00:00'))).toEqual([
      [4, 'weekly'],
      [3, 'weekly'],
    ]);
  });

  it('spans go by the calendar', () => {
    const months = history('2026-02-28T12:00:00', '2026-03-03T12:00:00', '2026-03-03T12:00:01', '2026-03-31T12:00:00');
    // A month before is February 31st: three days after February 28th.
    expect(kept(months, { within: span({ months: 1 }) }).map(([number]) => number)).toEqual([4, 3]);
    expect(kept(months, { within: span({ years: 1 }) })).toHaveLength(4);
    expect(kept(months, { within: span({ years: 1950 }) })).toHaveLength(4);
    expect(kept(months, { within: span({ hours: 999_999_999, years: 999_999_999 }) })).toHaveLength(4);
  });

  it('spans are measured from the newest that is not in the future; where all are, nothing is too old', () => {
    const future = history('2026-01-01T00:00:00', '2026-01-09T00:00:00', '2099-01-01T00:00:00');
    expect(kept(future, { within: span({ days: 2 }) }).map(([number]) => number)).toEqual([3, 2]);
    expect(kept(future, { within: span({ days: 2 }) }, 0)).toHaveLength(3);
  });

  it('goes by time, and by number where times are equal', () => {
    const mixed = history('2026-01-05T00:00:00', '2026-01-09T00:00:00', '2026-01-07T00:00:00', '2026-01-07T00:00:00');
    expect(kept(mixed, { last: 3 }).map(([number]) => number)).toEqual([2, 4, 3]);
  });

  it('keeps what is protected, which counts all the same', () => {
    const [first, ...others] = week;
    const candidates = [{ ...(first as Candidate), protections: ['branch main', 'locked'] }, ...others];
    const all = candidates.map((item) => (item.number === 6 ? { ...item, protections: ['HEAD'] } : item));
    expect(kept(all, { last: 2 })).toEqual([
      [6, 'last, HEAD'],
      [5, 'last'],
      [1, 'branch main, locked'],
    ]);
  });

  it.each<[string, string[]]>([
    ['v1', ['v1']],
    ['v*', ['v1', 'v10', 'v2.1', 'v']],
    ['v?', ['v1']],
    ['*1*', ['v1', 'v10', 'v2.1', 'release/1.0']],
    ['v2?1', ['v2.1']],
    ['release/*', ['release/1.0']],
    ['*', ['v1', 'v10', 'v2.1', 'v', 'release/1.0']],
    ['*.*.*', []],
    ['**0', ['v10', 'release/1.0']],
    ['v+', []],
  ])('tags like %s', (pattern, expected) => {
    const names = ['v1', 'v10', 'v2.1', 'v', 'release/1.0'];
    const candidates = names.map((tag, index) => ({ number: index + 1, timeSeconds: 0, tags: [tag], protections: [] }));
    const reasons = planForget(candidates, { tags: [pattern] }, NOW).keep.flatMap((item) => item.reasons);
    expect(reasons.sort()).toEqual(expected.map((tag) => `tag ${tag}`).sort());
  });

  it('every rule keeps as many as it may, and one more rule never keeps less', () => {
    const times = fc.array(fc.integer({ min: 0, max: 5 * 366 * 86_400 }), { maxLength: 60 });
    const count = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(Number.POSITIVE_INFINITY));
    const rules = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
    const policies = fc.record(Object.fromEntries(rules.map((rule) => [rule, count])), { requiredKeys: [] });
    fc.assert(
      fc.property(times, policies, fc.constantFrom(...rules), count, (seconds, policy, rule, more) => {
        const candidates = seconds.map((timeSeconds, index) => ({
          number: index + 1,
          timeSeconds,
          tags: [],
          protections: [],
        }));
        const { [rule]: _, ...others } = policy as KeepPolicy;
        const both = kept(candidates, { ...others, [rule]: more });
        const numbers = new Set(both.map(([number]) => number));
        for (const [number] of kept(candidates, others)) expect(numbers).toContain(number);
        for (const name of rules) {
          const given = name === rule ? more : ((policy as KeepPolicy)[name] ?? 0);
          const found = both.filter(([, reasons]) => reasons.split(', ').some((reason) => reason.endsWith(name)));
          expect(found.length).toBeLessThanOrEqual(given);
        }
        if (more > 0 && rule === 'last') expect(both.length).toBeGreaterThanOrEqual(Math.min(more, candidates.length));
      }),
    );
  });
});
