import { expect, it } from 'vitest';
import { LOST, Renumbering } from '../../src/log/renumbering.ts';
import { SeededRandom } from '../support/random.ts';

it.each([1, 2, 3])('tells of each block what was set for it, and joins what continues (seed %d)', (seed) => {
  const random = new SeededRandom(seed);
  const renumbering = new Renumbering();
  const size = 20_000;
  const truth: (number | typeof LOST | undefined)[] = new Array(size).fill(undefined);
  let next = size;
  for (let step = 0; step < 6000; step++) {
    const start = random.below(size);
    if (truth[start] !== undefined) continue;
    let count = 1;
    while (count < 1 + random.below(9) && start + count < size && truth[start + count] === undefined) count++;
    const number = random.below(10) === 0 ? LOST : next;
    renumbering.set(start, count, number);
    for (let index = 0; index < count; index++) truth[start + index] = number === LOST ? LOST : number + index;
    next += count;
  }
  for (let query = 0; query < 200; query++) {
    const start = random.below(size);
    const count = 1 + random.below(Math.min(1500, size - start));
    const told: (number | typeof LOST | undefined)[] = [];
    const places: number[] = [];
    for (const run of renumbering.runs(start, count)) {
      places.push(run.log - start - told.length);
      for (let index = 0; index < run.count; index++)
        told.push(typeof run.next === 'number' ? run.next + index : run.next);
    }
    expect(new Set(places)).toEqual(new Set([0]));
    expect(told).toEqual(truth.slice(start, start + count));
  }
});

it('keeps blocks that follow each other before and after as one run', () => {
  const renumbering = new Renumbering();
  for (let block = 0; block < 5000; block++) renumbering.set(block, 1, 10_000 + block);
  expect([...renumbering.runs(0, 6000)]).toEqual([
    { log: 0, count: 5000, next: 10_000 },
    { log: 5000, count: 1000, next: undefined },
  ]);
});
