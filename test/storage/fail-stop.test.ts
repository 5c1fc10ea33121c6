import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { FailStopStorage } from '../../src/storage/fail-stop.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';

const BYTES = Uint8Array.of(1, 2, 3, 4);

/** A storage whose writes of other threads end when they are told to. */
class SlowStorage extends MemoryStorage {
  readonly ends: ((failure?: VsimgError) => void)[] = [];
  isClosed = false;

  writeMeanwhile(buffer: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.ends.push((failure) => {
        if (failure !== undefined) return reject(failure);
        this.write(buffer, position);
        resolve();
      });
    });
  }

  override close(): void {
    this.isClosed = true;
    super.close();
  }
}

function slow(): { readonly disk: MemoryDisk; readonly inner: SlowStorage; readonly storage: FailStopStorage } {
  const disk = MemoryDisk.from(BYTES);
  const inner = new SlowStorage(disk);
  return { disk, inner, storage: new FailStopStorage(inner) };
}

const failed = (code: 'no-space' | 'io'): VsimgError => new VsimgError(code, `failed: ${code}`);

describe('a storage on which other threads write', () => {
  it('is cut and closed when they are done, and not made longer by them afterwards', async () => {
    const { disk, inner, storage } = slow();
    const writing = storage.writeMeanwhile(BYTES, 100);
    storage.closeAt(BYTES.length);
    expect(inner.isClosed).toBe(false);
    inner.ends[0]?.();
    await writing;
    await storage.settled();
    expect(inner.isClosed).toBe(true);
    expect(disk.sizeBytes).toBe(BYTES.length);
  });

  it('is settled when all of them are done, well or not', async () => {
    const { inner, storage } = slow();
    const writes = [storage.writeMeanwhile(BYTES, 0), storage.writeMeanwhile(BYTES, 8)];
    const results = Promise.allSettled(writes);
    let isSettled = false;
    const settled = storage.settled().then(() => {
      isSettled = true;
    });
    inner.ends[0]?.(failed('no-space'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSettled).toBe(false);
    inner.ends[1]?.();
    await settled;
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it.each([
    [['no-space'], true],
    [['io'], false],
    [['no-space', 'io'], false],
    [['io', 'no-space'], false],
    [['no-space', 'no-space'], true],
  ] as const)('can be begun anew after writes that failed as %j: %s', async (codes, isRenewed) => {
    const { inner, storage } = slow();
    const results = Promise.allSettled(codes.map((_code, index) => storage.writeMeanwhile(BYTES, 8 * index)));
    for (const [index, code] of codes.entries()) inner.ends[index]?.(failed(code));
    await results;
    expect(storage.renewed === inner).toBe(isRenewed);
  });
});
