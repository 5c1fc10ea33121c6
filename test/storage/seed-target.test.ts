import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSeedTarget } from '../../src/storage/seed-target.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { codeOf } from './contract.ts';
import { withLoopDevice } from './loop-device.ts';

const MiB = 1_048_576;

function oldFile(lengthBytes: number): string {
  const path = join(scratchDirectory(), 'raw');
  fs.writeFileSync(path, Buffer.alloc(lengthBytes, 'o'));
  return path;
}

describe('openSeedTarget', () => {
  it('writes what it is given, and nothing else', async () => {
    const path = oldFile(4 * MiB);
    const target = openSeedTarget(path, { seedBytes: 4 * MiB, sizeBytes: 4 * MiB });
    const expected = Buffer.alloc(4 * MiB, 'o');
    await target.data(1000, Buffer.alloc(500, 'n'));
    await target.hole(MiB + 3, 3 * MiB + 5);
    await target.finish(4 * MiB);
    target.abort();
    expected.fill('n', 1000, 1500).fill(0, MiB + 3, 3 * MiB + 5);
    expect(fs.readFileSync(path).equals(expected)).toBe(true);
    expect(fs.statSync(path).blocks * 512).toBeLessThan(3 * MiB);
  });

  it('is cut last and grown first, so that it never has a third length', async () => {
    const path = oldFile(MiB);
    const grown = openSeedTarget(path, { seedBytes: MiB, sizeBytes: 3 * MiB });
    expect(fs.statSync(path).size).toBe(MiB);
    await grown.data(2 * MiB, Buffer.alloc(10, 'n'));
    expect(fs.statSync(path).size).toBe(3 * MiB);
    grown.abort();
    const again = openSeedTarget(path, { seedBytes: MiB, sizeBytes: 3 * MiB });
    await again.hole(MiB, 3 * MiB);
    await again.finish(3 * MiB);
    const expected = Buffer.concat([Buffer.alloc(MiB, 'o'), Buffer.alloc(2 * MiB)]);
    expect(fs.readFileSync(path).equals(expected)).toBe(true);

    const cut = openSeedTarget(path, { seedBytes: 3 * MiB, sizeBytes: 10 });
    await cut.data(0, Buffer.from('n'));
    expect(fs.statSync(path).size).toBe(3 * MiB);
    await cut.finish(10);
    expect(fs.readFileSync(path, 'latin1')).toBe('nooooooooo');
  });

  it('refuses what can not be that version', async () => {
    const path = oldFile(1000);
    for (const [seedBytes, sizeBytes] of [
      [999, 999],
      [1001, 2000],
    ] as const)
      expect(codeOf(() => openSeedTarget(path, { seedBytes, sizeBytes }))).toBe('refused');
    expect(fs.readFileSync(path).equals(Buffer.alloc(1000, 'o'))).toBe(true);
    const sizes = { seedBytes: 1000, sizeBytes: 1000 };
    expect(codeOf(() => openSeedTarget(join(path, '..', 'none'), sizes))).toBe('not-found');
    expect(codeOf(() => openSeedTarget(join(path, '..'), sizes))).toBe('refused');
    expect(codeOf(() => openSeedTarget('/dev/null', sizes))).toBe('refused');
  });

  withLoopDevice('makes zeros on a device, which keeps its length', async (device, backingPath) => {
    fs.writeFileSync(backingPath, Buffer.alloc(6 * MiB, 'o'));
    const path = device.attach();
    expect(codeOf(() => openSeedTarget(path, { seedBytes: 7 * MiB, sizeBytes: MiB }))).toBe('refused');
    expect(codeOf(() => openSeedTarget(path, { seedBytes: MiB, sizeBytes: 7 * MiB }))).toBe('refused');
    const target = openSeedTarget(path, { seedBytes: 2 * MiB, sizeBytes: 5 * MiB });
    await target.data(7, Buffer.from('n'));
    await target.hole(2 * MiB - 1, 5 * MiB - 1);
    await target.finish(5 * MiB);
    const expected = Buffer.alloc(6 * MiB, 'o')
      .fill('n', 7, 8)
      .fill(0, 2 * MiB - 1, 5 * MiB - 1);
    expect(fs.readFileSync(path).equals(expected)).toBe(true);
  });
});
