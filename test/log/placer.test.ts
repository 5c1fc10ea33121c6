import { expect, it } from 'vitest';
import { ChunkPlacer } from '../../src/log/placer.ts';

it('places chunks in the first range with room, and tells what is left', () => {
  const placer = new ChunkPlacer([
    { start: 100, end: 160 },
    { start: 1000, end: 1200 },
  ]);
  expect([50, 50, 10, 100].map((length) => placer.place(length))).toEqual([100, 1000, 150, 1050]);
  expect(placer.left).toEqual([{ start: 1150, end: 1200 }]);
  expect(() => placer.place(51)).toThrow(expect.objectContaining({ code: 'internal' }));
  expect(placer.place(50)).toBe(1150);
  expect(placer.left).toEqual([]);
});

it('gives the same places to whoever places the same chunks in the same ranges', () => {
  const spans = [5, 300, 70, 64].map((length, index) => ({ start: index * 1000, end: index * 1000 + length }));
  const [one, other] = [new ChunkPlacer(spans), new ChunkPlacer(spans)];
  const lengths = [64, 64, 64, 64, 64, 6, 20, 3];
  expect(lengths.map((length) => one.place(length))).toEqual(lengths.map((length) => other.place(length)));
  expect(one.left).toEqual(other.left);
});
