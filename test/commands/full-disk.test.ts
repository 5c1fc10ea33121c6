import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { mountFileSystem } from '../support/file-system.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const { ok, fails, path } = workspace();
const mounted = mountFileSystem(path('disk'), 16 * MIB);
if (typeof mounted === 'string') console.info(`skipped: ${mounted}`);

/** Disks so large that threads write them. */
describe.skipIf(typeof mounted === 'string')('a file system that gets full while threads write', () => {
  const place = typeof mounted === 'string' ? '' : mounted.directory;
  const FULL = /^vsimg: cannot write '[^\n]+: no space left on the file system; free some space[^\n]*\n$/;

  beforeAll(async () => {
    writeFileSync(path('big.raw'), noise(24 * MIB, 1));
    writeFileSync(path('small.raw'), noise(5 * MIB, 2));
    await ok(['import', 'big.raw', 'big.vsi', '-q']);
  });

  it.each(['none', 'zstd'])('leaves nothing of a new image with compression %s', async (compression) => {
    const argv = ['import', 'big.raw', join(place, 'b.vsi'), '--compression', compression, '-q'];
    expect(await fails(79, argv)).toMatch(FULL);
    expect(readdirSync(place)).toEqual(['lost+found']);
  });

  it('leaves nothing of an export', async () => {
    expect(await fails(79, ['export', 'big.vsi', join(place, 'b.raw'), '-q'])).toMatch(FULL);
    expect(readdirSync(place)).toEqual(['lost+found']);
  });

  it.each(['none', 'zstd'])('leaves an image with compression %s as it was', async (compression) => {
    await ok(['import', 'small.raw', 'a.vsi', '--compression', compression, '-q']);
    const image = join(place, 'a.vsi');
    copyFileSync(path('a.vsi'), image);
    expect(await fails(79, ['import', 'big.raw', image, '-q'])).toMatch(FULL);
    expect(readdirSync(place)).toEqual(['a.vsi', 'lost+found']);
    expect(readFileSync(image).equals(readFileSync(path('a.vsi')))).toBe(true);
    await ok(['check', image, '--data', '-q']);
    rmSync(image);
    rmSync(path('a.vsi'));
  });
});
