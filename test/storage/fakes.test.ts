import { describe, expect, it } from 'vitest';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { PowerCutStorage } from '../support/power-cut.ts';
import { CountingStorage, FailingStorage } from '../support/storages.ts';
import { codeOf } from './contract.ts';

const one = Uint8Array.of(1);
const image = (disk: MemoryDisk): string => [...disk.bytes()].join('');

describe('CountingStorage', () => {
  it('counts what an action costs', () => {
    const storage = new CountingStorage(new MemoryStorage());
    storage.write(one, 0);
    const costs = storage.during(() => {
      storage.write(Uint8Array.of(1, 2, 3), 0);
      storage.read(new Uint8Array(10), 1);
      storage.sync();
    });
    expect(costs).toMatchObject({ writes: 1, writtenBytes: 3, reads: 1, readBytes: 2, syncs: 1, truncates: 0 });
    expect(storage.counts.writes).toBe(0);
  });
});

describe('FailingStorage', () => {
  it('fails the n-th call of a kind, once', () => {
    const storage = new FailingStorage(new MemoryStorage(), { kind: 'write', call: 2, code: 'no-space' });
    storage.write(one, 0);
    storage.sync();
    expect(storage.fired).toBe(false);
    expect(codeOf(() => storage.write(one, 1))).toBe('no-space');
    expect(storage.fired).toBe(true);
    expect(storage.size()).toBe(1);
    storage.write(one, 1);
  });

  it('goes on failing if asked, and may leave half a write', () => {
    const storage = new FailingStorage(new MemoryStorage(), {
      kind: 'change',
      call: 2,
      code: 'io',
      lasting: true,
      effect: 'half',
    });
    storage.truncate(1);
    expect(codeOf(() => storage.write(Uint8Array.of(1, 2, 3, 4), 1))).toBe('io');
    expect(storage.size()).toBe(3);
    expect(codeOf(() => storage.sync())).toBe('io');
    expect(storage.read(new Uint8Array(3), 0)).toBe(3);
  });
});

describe('PowerCutStorage', () => {
  function threeWrites(): PowerCutStorage {
    const storage = new PowerCutStorage(MemoryDisk.from(new Uint8Array(4)));
    storage.write(Uint8Array.of(1), 0);
    storage.sync();
    storage.write(Uint8Array.of(2), 1);
    storage.write(Uint8Array.of(3), 2);
    return storage;
  }

  it('keeps what was synced and loses nothing else unasked', () => {
    const storage = threeWrites();
    expect(image(storage.afterCut(4, 'all-lost'))).toBe('1000');
    expect(image(storage.afterCut(4, 'all-kept'))).toBe('1230');
    expect(image(storage.afterCut(3, 'all-kept'))).toBe('1200');
    expect(image(storage.afterCut(1, 'all-lost'))).toBe('0000');
    expect(image(storage.afterCut(4, 'all-lost'))).toBe('1000');
    expect(storage.pending(4)).toEqual([2, 3]);
    expect(image(storage.afterCut(4, { keep: new Set([3]) }))).toBe('1030');
  });

  it('finds every subset by seeds, and the same again by the same seed', () => {
    const storage = threeWrites();
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const found = image(storage.afterCut(4, { seed, tearing: 'none' }));
      expect(image(storage.afterCut(4, { seed, tearing: 'none' }))).toBe(found);
      seen.add(found);
    }
    expect([...seen].sort()).toEqual(['1000', '1030', '1200', '1230']);
  });

  it('tears writes at sectors or bytes', () => {
    for (const [tearing, unit] of [
      ['sector', 512],
      ['byte', 1],
    ] as const) {
      const storage = new PowerCutStorage(MemoryDisk.from(new Uint8Array(4096)));
      storage.write(new Uint8Array(2048).fill(1), 100);
      const sums = new Set<number>();
      for (let seed = 0; seed < 100; seed++) {
        const bytes = storage.afterCut(1, { seed, tearing }).bytes();
        expect(bytes.length).toBe(4096);
        const borders = [...bytes.keys()].filter((at) => at > 0 && bytes[at] !== bytes[at - 1]);
        const odd = borders.filter((at) => at < 100 || at > 2148 || (at % unit !== 0 && at !== 100 && at !== 2148));
        expect(odd, `seed ${seed}`).toEqual([]);
        sums.add(bytes.reduce((sum, byte) => sum + byte, 0));
      }
      expect(sums.size).toBeGreaterThan(5);
    }
  });

  it('may lose the bytes of a file that grew, but not shorten what was durable', () => {
    const storage = new PowerCutStorage(MemoryDisk.from(Uint8Array.of(5)));
    storage.write(new Uint8Array(2000).fill(1), 1);
    const sizes = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      const disk = storage.afterCut(1, { seed, tearing: 'sector' });
      expect(disk.bytes()[0]).toBe(5);
      sizes.add(disk.sizeBytes);
    }
    expect(sizes).toContain(1);
    expect(sizes).toContain(2001);
    expect(sizes.size).toBeGreaterThan(3);
  });

  it('is not changed by what is done to a state it gave', () => {
    const storage = threeWrites();
    storage.afterCut(4, 'all-kept').write(Uint8Array.of(9), 0);
    expect(image(storage.afterCut(4, 'all-kept'))).toBe('1230');
    expect(image(storage.disk)).toBe('1230');
  });
});
