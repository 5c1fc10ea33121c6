import { describe, expect, it } from 'vitest';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';

describe('MemoryDisk', () => {
  it('takes memory for what was written only', () => {
    const disk = new MemoryDisk();
    disk.truncate(2 ** 43);
    expect(disk.allocatedBytes).toBe(0);
    disk.write(Uint8Array.of(1), 2 ** 42);
    expect(disk.allocatedBytes).toBe(65_536);
    disk.punch(0, 2 ** 43);
    expect(disk.allocatedBytes).toBe(0);
    expect(disk.sizeBytes).toBe(2 ** 43);
  });

  it('gives memory back when it is cut off', () => {
    const disk = MemoryDisk.from(new Uint8Array(1_000_000).fill(1));
    disk.truncate(70_000);
    expect(disk.allocatedBytes).toBe(131_072);
  });

  it('has clones that go their own ways', () => {
    const disk = MemoryDisk.from(Uint8Array.of(1, 2, 3));
    const copy = disk.clone();
    disk.write(Uint8Array.of(9), 0);
    copy.write(Uint8Array.of(8), 1);
    const third = copy.clone();
    copy.punch(2, 3);
    third.truncate(1);
    expect([...disk.bytes()]).toEqual([9, 2, 3]);
    expect([...copy.bytes()]).toEqual([1, 8, 0]);
    expect([...third.bytes()]).toEqual([1]);
  });

  it('does not pass locks on to clones', () => {
    const disk = new MemoryDisk();
    new MemoryStorage(disk).tryLock(1, 1, 'exclusive');
    expect(new MemoryStorage(disk.clone()).tryLock(1, 1, 'exclusive')).toBe(true);
  });
});
