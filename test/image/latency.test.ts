import { expect, it } from 'vitest';
import { Latencies } from '../../src/image/latency.ts';

it('tells percentiles to within 1 % and the extremes exactly', () => {
  const latencies = new Latencies();
  for (let value = 100_000; value >= 1; value--) latencies.add(value * 7);
  for (const share of [0.001, 0.5, 0.9, 0.99, 1]) {
    const exact = share * 700_000;
    expect(latencies.percentile(share)).toBeGreaterThanOrEqual(exact);
    expect(latencies.percentile(share)).toBeLessThanOrEqual(exact * 1.01);
  }
  expect([latencies.least, latencies.greatest, latencies.mean]).toEqual([7, 700_000, 350_003.5]);
});

it('takes nothing, one value, and values of any length', () => {
  const none = new Latencies();
  expect([none.least, none.greatest, none.mean, none.percentile(0.5)]).toEqual([0, 0, 0, 0]);
  for (const value of [0, 1, 127, 128, 129, 255, 256, 1e9, 2 ** 53 - 1]) {
    const one = new Latencies();
    one.add(value);
    expect([one.least, one.greatest, one.percentile(0.5), one.percentile(1)]).toEqual([value, value, value, value]);
  }
});
