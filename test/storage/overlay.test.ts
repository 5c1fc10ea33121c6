import { describe, expect, it } from 'vitest';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { Overlay } from '../../src/storage/overlay.ts';
import { noise } from '../support/content.ts';
import { SeededRandom } from '../support/random.ts';

const MIB = 1024 * 1024;

function overlayOf(base: Uint8Array) {
  const disk = MemoryDisk.from(base);
  const spilled: MemoryStorage[] = [];
  const overlay = new Overlay(new MemoryStorage(disk, { name: 'base', readOnly: true }), () => {
    const storage = new MemoryStorage();
    spilled.push(storage);
    return storage;
  });
  return { disk, overlay, spilled };
}

/** Changes `overlay` and what it must read as, step by step. */
function randomSteps(overlay: Overlay, start: Uint8Array, random: SeededRandom, maxBytes: number): void {
  let model = Buffer.from(start);
  for (let step = 0; step < 60; step++) {
    const at = random.below(model.length + maxBytes / 8);
    if (random.below(6) === 0) {
      const longer = Buffer.alloc(at);
      model.copy(longer);
      model = longer;
      overlay.truncate(at);
    } else {
      const bytes = noise(1 + random.below(random.below(2) === 0 ? 600 : maxBytes), step);
      if (at + bytes.length > model.length)
        model = Buffer.concat([model, Buffer.alloc(at + bytes.length - model.length)]);
      model.set(bytes, at);
      overlay.write(bytes, at);
    }
    expect(overlay.size()).toBe(model.length);
    const from = random.below(model.length + 10);
    const back = Buffer.alloc(random.below(2 * maxBytes), 255);
    const length = Math.max(0, Math.min(back.length, model.length - from));
    expect(overlay.read(back, from)).toBe(length);
    expect(back.subarray(0, length).equals(model.subarray(from, from + length))).toBe(true);
    expect(back.subarray(length).every((byte) => byte === 255)).toBe(true);
  }
  const all = Buffer.alloc(model.length);
  overlay.read(all, 0);
  expect(all.equals(model)).toBe(true);
}

describe('an overlay', () => {
  it.each([1, 2, 3, 4, 5, 6])('reads as what it covers with what was written to it (seed %d)', (seed) => {
    const random = new SeededRandom(seed);
    const base = noise(random.below(100_000), seed);
    const { disk, overlay } = overlayOf(base);
    randomSteps(overlay, base, random, 20_000);
    expect(Buffer.compare(disk.bytes(), base)).toBe(0);
  });

  it('goes on elsewhere when memory would grow', () => {
    const base = noise(MIB, 1);
    const { disk, overlay, spilled } = overlayOf(base);
    const model = Buffer.alloc(80 * MIB);
    model.set(base);
    for (let part = 0; part < 20; part++) {
      const bytes = noise(2 * MIB + 77, part);
      model.set(bytes, part * 4 * MIB - (part === 0 ? 0 : 5));
      overlay.write(bytes, part * 4 * MIB - (part === 0 ? 0 : 5));
    }
    expect(spilled).toHaveLength(1);
    const all = Buffer.alloc(overlay.size());
    expect(overlay.read(all, 0)).toBe(all.length);
    expect(all.equals(model.subarray(0, all.length))).toBe(true);
    randomSteps(overlay, all, new SeededRandom(1), 100_000);
    expect(Buffer.compare(disk.bytes(), base)).toBe(0);
    overlay.close();
    expect(() => spilled[0]?.size()).toThrow('closed');
  });

  it('takes few bytes at positions of terabytes', () => {
    const { overlay } = overlayOf(new Uint8Array([1, 2, 3]));
    const far = 8 * 2 ** 40;
    overlay.write(new Uint8Array([5, 6]), far);
    const back = new Uint8Array(4);
    expect([overlay.size(), overlay.read(back, far - 1), ...back]).toEqual([far + 2, 3, 0, 5, 6, 0]);
    overlay.truncate(2);
    expect([overlay.size(), overlay.read(back, 0), ...back]).toEqual([2, 2, 1, 2, 6, 0]);
  });
});
