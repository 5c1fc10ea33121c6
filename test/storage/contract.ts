import { describe, expect, it, onTestFinished } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import type { LockableStorage } from '../../src/storage/storage.ts';

/** One empty store of bytes; every call opens another handle on it. */
export interface StorageSubject {
  readonly open: () => LockableStorage;
  readonly openReadOnly: () => LockableStorage;
}

/** The code of the `VsimgError` that `action` throws; anything else fails the test. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(VsimgError);
    return (error as VsimgError).code;
  }
  throw new Error('nothing was thrown');
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function content(storage: LockableStorage): number[] {
  const all = new Uint8Array(storage.size());
  expect(storage.read(all, 0)).toBe(all.length);
  return [...all];
}

/** What every storage must do. `makeSubject` is called in each test. */
export function storageContract(title: string, makeSubject: () => StorageSubject): void {
  const open = (subject: StorageSubject): LockableStorage => closing(subject.open());
  const openReadOnly = (subject: StorageSubject): LockableStorage => closing(subject.openReadOnly());
  const fresh = (): LockableStorage => open(makeSubject());

  describe(`${title}: bytes`, () => {
    it('begins empty', () => {
      const storage = fresh();
      expect(storage.size()).toBe(0);
      expect(storage.read(new Uint8Array(4), 0)).toBe(0);
    });

    it('reads back what was written, at any position', () => {
      const storage = fresh();
      storage.write(bytes(1, 2, 3, 4), 0);
      storage.write(bytes(9, 8), 1);
      expect(content(storage)).toEqual([1, 9, 8, 4]);
    });

    it('grows with zeros when written behind the end', () => {
      const storage = fresh();
      storage.write(bytes(7), 3);
      expect(content(storage)).toEqual([0, 0, 0, 7]);
    });

    it('neither grows nor fails when nothing is written', () => {
      const storage = fresh();
      storage.write(new Uint8Array(0), 1000);
      expect(storage.size()).toBe(0);
    });

    it('reads short only at the end, and leaves the rest of the buffer alone', () => {
      const storage = fresh();
      storage.write(bytes(1, 2, 3), 0);
      const buffer = new Uint8Array(5).fill(255);
      expect(storage.read(buffer, 1)).toBe(2);
      expect([...buffer]).toEqual([2, 3, 255, 255, 255]);
      expect(storage.read(buffer, 3)).toBe(0);
      expect(storage.read(buffer, 1_000_000)).toBe(0);
      expect(storage.read(new Uint8Array(0), 0)).toBe(0);
    });

    it('fills stale buffers with the zeros of a hole', () => {
      const storage = fresh();
      storage.truncate(200_000);
      const buffer = new Uint8Array(200_000).fill(255);
      expect(storage.read(buffer, 0)).toBe(200_000);
      expect(buffer.every((byte) => byte === 0)).toBe(true);
    });

    it('reads and writes only the window of a view', () => {
      const storage = fresh();
      storage.write(bytes(0, 1, 2, 3, 4, 5).subarray(2, 4), 0);
      expect(content(storage)).toEqual([2, 3]);
      const whole = new Uint8Array(6);
      storage.read(whole.subarray(3, 5), 0);
      expect([...whole]).toEqual([0, 0, 0, 2, 3, 0]);
    });

    it('keeps no hold of the buffer it was given', () => {
      const storage = fresh();
      const buffer = bytes(1, 2);
      storage.write(buffer, 0);
      buffer.fill(9);
      expect(content(storage)).toEqual([1, 2]);
    });

    it('stores long writes that cross many pages', () => {
      const storage = fresh();
      const long = Uint8Array.from({ length: 300_001 }, (_, index) => (index * 31) & 255);
      storage.write(long, 65_535);
      const back = new Uint8Array(300_001);
      expect(storage.read(back, 65_535)).toBe(300_001);
      expect(Buffer.compare(back, long)).toBe(0);
    });

    it('takes few bytes at positions of terabytes', () => {
      const storage = fresh();
      const far = 8 * 2 ** 40;
      storage.write(bytes(5, 6), far);
      expect(storage.size()).toBe(far + 2);
      const back = new Uint8Array(4);
      expect(storage.read(back, far - 1)).toBe(3);
      expect([...back]).toEqual([0, 5, 6, 0]);
      storage.truncate(1);
      expect(storage.size()).toBe(1);
    });
  });

  describe(`${title}: length`, () => {
    it('cuts off, and shows zeros where it grows again', () => {
      const storage = fresh();
      storage.write(bytes(1, 2, 3, 4), 0);
      storage.truncate(2);
      expect(content(storage)).toEqual([1, 2]);
      storage.truncate(4);
      expect(content(storage)).toEqual([1, 2, 0, 0]);
    });

    it('keeps its length and its neighbours when a range is punched', () => {
      const storage = fresh();
      storage.write(new Uint8Array(200_000).fill(1), 0);
      storage.punch(4096, 131_072);
      storage.punch(10, 10);
      const back = new Uint8Array(200_000);
      expect(storage.read(back, 0)).toBe(200_000);
      expect(back.subarray(0, 4096).every((byte) => byte === 1)).toBe(true);
      expect(back.subarray(131_072).every((byte) => byte === 1)).toBe(true);
      const punched = back.subarray(4096, 131_072);
      expect(punched.every((byte) => byte === punched[0])).toBe(true);
      expect([0, 1]).toContain(punched[0]);
    });

    it('stays as long as it is when punched behind its end', () => {
      const storage = fresh();
      storage.write(bytes(1), 0);
      storage.punch(4096, 1_000_000);
      expect(storage.size()).toBe(1);
    });
  });

  describe(`${title}: handles`, () => {
    it('shows one handle what another wrote', () => {
      const subject = makeSubject();
      const writer = open(subject);
      const reader = openReadOnly(subject);
      writer.write(bytes(1, 2), 0);
      writer.sync();
      expect(content(reader)).toEqual([1, 2]);
    });

    it('refuses changes through a read-only handle', () => {
      const subject = makeSubject();
      const reader = openReadOnly(subject);
      expect(reader.readOnly).toBe(true);
      expect(codeOf(() => reader.write(bytes(1), 0))).toBe('permission');
      expect(codeOf(() => reader.truncate(1))).toBe('permission');
      expect(codeOf(() => reader.punch(0, 1))).toBe('permission');
      reader.sync();
      expect(reader.size()).toBe(0);
    });

    it('may be closed twice, and is of no use then', () => {
      const storage = fresh();
      expect(storage.readOnly).toBe(false);
      storage.close();
      storage.close();
      expect(codeOf(() => storage.read(new Uint8Array(1), 0))).toBe('internal');
      expect(codeOf(() => storage.write(bytes(1), 0))).toBe('internal');
      expect(codeOf(() => storage.sync())).toBe('internal');
    });

    it('has a name', () => {
      expect(fresh().name).not.toBe('');
    });
  });

  describe(`${title}: locks`, () => {
    const far = 2 ** 52;

    it('grants one of two handles an exclusive lock, until it is given back', () => {
      const subject = makeSubject();
      const [a, b] = [open(subject), open(subject)];
      expect(a.tryLock(far, 1, 'exclusive')).toBe(true);
      expect(b.tryLock(far, 1, 'exclusive')).toBe(false);
      expect(b.tryLock(far, 1, 'shared')).toBe(false);
      a.unlock(far, 1);
      expect(b.tryLock(far, 1, 'exclusive')).toBe(true);
    });

    it('lets many share, and keeps an exclusive one out until the last is gone', () => {
      const subject = makeSubject();
      const [a, b, c] = [openReadOnly(subject), openReadOnly(subject), open(subject)];
      expect(a.tryLock(far, 1, 'shared')).toBe(true);
      expect(b.tryLock(far, 1, 'shared')).toBe(true);
      expect(c.tryLock(far, 1, 'exclusive')).toBe(false);
      a.unlock(far, 1);
      expect(c.tryLock(far, 1, 'exclusive')).toBe(false);
      b.unlock(far, 1);
      expect(c.tryLock(far, 1, 'exclusive')).toBe(true);
    });

    it('keeps ranges apart', () => {
      const subject = makeSubject();
      const [a, b] = [open(subject), open(subject)];
      expect(a.tryLock(far, 10, 'exclusive')).toBe(true);
      expect(b.tryLock(far + 10, 10, 'exclusive')).toBe(true);
      expect(b.tryLock(far - 5, 5, 'exclusive')).toBe(true);
      expect(b.tryLock(far + 9, 1, 'shared')).toBe(false);
      expect(a.tryLock(far + 5, 10, 'shared')).toBe(false);
    });

    it('unlocks the middle of a range', () => {
      const subject = makeSubject();
      const [a, b] = [open(subject), open(subject)];
      a.tryLock(far, 9, 'exclusive');
      a.unlock(far + 3, 3);
      expect(b.tryLock(far + 3, 3, 'exclusive')).toBe(true);
      expect(b.tryLock(far, 1, 'shared')).toBe(false);
      expect(b.tryLock(far + 8, 1, 'shared')).toBe(false);
    });

    it('never conflicts with itself; the newer lock replaces the older one', () => {
      const subject = makeSubject();
      const [a, b] = [open(subject), open(subject)];
      expect(a.tryLock(far, 2, 'exclusive')).toBe(true);
      expect(a.tryLock(far, 2, 'exclusive')).toBe(true);
      expect(a.tryLock(far, 2, 'shared')).toBe(true);
      expect(b.tryLock(far, 2, 'shared')).toBe(true);
    });

    it('gives locks back when a handle is closed, but only its own', () => {
      const subject = makeSubject();
      const [a, b, c] = [open(subject), open(subject), open(subject)];
      a.tryLock(far, 1, 'exclusive');
      b.tryLock(far + 1, 1, 'exclusive');
      a.close();
      expect(c.tryLock(far, 1, 'exclusive')).toBe(true);
      expect(c.tryLock(far + 1, 1, 'exclusive')).toBe(false);
    });

    it('does not mind unlocking what is not locked', () => {
      expect(() => fresh().unlock(far, 5)).not.toThrow();
    });

    it('refuses an exclusive lock through a read-only handle, and ranges without length', () => {
      const subject = makeSubject();
      expect(codeOf(() => openReadOnly(subject).tryLock(far, 1, 'exclusive'))).toBe('permission');
      expect(codeOf(() => open(subject).tryLock(far, 0, 'shared'))).toBe('internal');
      expect(codeOf(() => open(subject).tryLock(2 ** 53 - 1, 1, 'shared'))).toBe('internal');
    });

    it('neither changes nor is changed by the bytes', () => {
      const subject = makeSubject();
      const [a, b] = [open(subject), open(subject)];
      a.tryLock(0, 100, 'exclusive');
      b.write(bytes(1, 2, 3), 0);
      expect(a.size()).toBe(3);
      a.truncate(0);
      expect(b.tryLock(0, 1, 'shared')).toBe(false);
    });
  });
}

function closing(storage: LockableStorage): LockableStorage {
  onTestFinished(() => storage.close());
  return storage;
}
