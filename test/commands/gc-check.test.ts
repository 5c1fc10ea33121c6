import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

describe('vsimg gc and check', () => {
  const { ok, json, fails, run, path } = workspace();

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(4 * MIB, 1));
    writeFileSync(path('two.raw'), noise(2 * MIB, 2));
    await ok(['import', 'one.raw', 'a.vsi', '-q']);
    await ok(['import', 'two.raw', 'a.vsi', '-q']);
  });

  it('check finds nothing in a good image', async () => {
    const text = await ok(['check', 'a.vsi', '--data']);
    expect(text).toMatch(
      /^No errors were found on the image\.\nchecked: 2 versions, \d+ pages?, \d+ segments?, .* of stored data\n$/,
    );
    expect(await ok(['check', 'a.vsi'])).toContain('data not read (--data does)');
    expect(await ok(['check', 'a.vsi', '-q'])).toBe('');
    expect(await json(['check', 'a.vsi', '--data'])).toEqual({
      filename: 'a.vsi',
      format: 'vsi',
      'check-errors': 0,
      corruptions: 0,
      leaks: 0,
      'image-end-offset': statSync(path('a.vsi')).size,
      errors: [],
      'leaked-bytes': 0,
      'pages-checked': expect.any(Number),
      'segments-checked': expect.any(Number),
      'versions-checked': 2,
      'data-bytes-checked': expect.any(Number),
      lost: [],
      'lost-complete': true,
      'damaged-header': null,
    });
  });

  it('check changes nothing', async () => {
    const before = readFileSync(path('a.vsi'));
    await ok(['check', 'a.vsi', '--data', '-q']);
    await ok(['info', 'a.vsi', '-q']);
    await ok(['gc', 'a.vsi', '--dry-run', '-q']);
    expect(readFileSync(path('a.vsi')).equals(before)).toBe(true);
  });

  it('gc gives back what deleted versions held', async () => {
    await ok(['delete', 'a.vsi', '1', '-q']);
    const size = statSync(path('a.vsi')).size;
    const dry = await json(['gc', 'a.vsi', '--dry-run']);
    expect(dry).toMatchObject({ filename: 'a.vsi', 'dry-run': true, 'file-size-before': size });
    expect(dry['reclaimed-bytes']).toBeGreaterThan(3.9 * MIB);
    expect(statSync(path('a.vsi')).size).toBe(size);
    expect(await ok(['gc', 'a.vsi'])).toMatch(/^freed [34](\.\d+)? MiB: 6(\.\d+)? MiB -> 2(\.\d+)? MiB\n$/);
    expect(statSync(path('a.vsi')).size).toBe(dry['file-size-after']);
    expect(statSync(path('a.vsi')).size).toBeLessThan(2.1 * MIB);
    const { stdoutBytes } = await run(['read', 'a.vsi@2']);
    expect(stdoutBytes.equals(noise(2 * MIB, 2))).toBe(true);
    await ok(['check', 'a.vsi', '--data', '-q']);
    expect(await json(['gc', 'a.vsi'])).toMatchObject({ 'dry-run': false, 'reclaimed-bytes': 0 });
  });

  it('gc --compact makes the file of many small writes that of a fresh import, once', async () => {
    const bytes = noise(2 * MIB, 5);
    writeFileSync(path('fresh.raw'), bytes);
    await ok(['import', 'fresh.raw', 'fresh.vsi', '-q', '--compression', 'none']);
    await ok(['create', 'small.vsi', '2M', '-q', '--compression', 'none']);
    for (const first of [3, 1]) {
      for (let block = first; block < 512; block += 64) {
        writeFileSync(path('piece'), bytes.subarray(block * 4096, block * 4096 + 4096));
        await ok(['write', 'small.vsi', 'piece', '--offset', String(block * 4096), '-q']);
      }
      await ok(['commit', 'small.vsi', '-m', 'x', '-q']);
    }
    await ok(['import', 'fresh.raw', 'small.vsi', '-q']);
    await ok(['delete', 'small.vsi', '1', '2', '-q']);
    expect(await ok(['gc', 'small.vsi', '--compact', '--dry-run'])).toMatch(
      /^(would (free|grow by) |nothing to free: )/,
    );
    const promised = (await json(['gc', 'small.vsi', '--compact', '--dry-run']))['file-size-after'];
    expect(await ok(['gc', 'small.vsi', '--compact'])).toMatch(
      /^((freed|grew by) [^:]+: 2(\.\d+)? MiB -> |nothing to free: )2(\.\d+)? MiB\n$/,
    );
    expect(statSync(path('small.vsi')).size).toBe(promised);
    expect(statSync(path('small.vsi')).size).toBeLessThan(statSync(path('fresh.vsi')).size * 1.03);
    const before = readFileSync(path('small.vsi'));
    expect(await json(['gc', 'small.vsi', '--compact'])).toMatchObject({ 'reclaimed-bytes': 0 });
    expect(readFileSync(path('small.vsi')).equals(before)).toBe(true);
    expect((await run(['read', 'small.vsi@3'])).stdoutBytes.equals(bytes)).toBe(true);
    await ok(['check', 'small.vsi', '--data', '-q']);
  });

  it('check ends with 2 where data is damaged, and reads name the place', async () => {
    copyFileSync(path('a.vsi'), path('bad.vsi'));
    const fd = openSync(path('bad.vsi'), 'r+');
    // Noise does not compress, so the middle of the file is data.
    writeSync(fd, noise(64, 9), 0, 64, MIB);
    closeSync(fd);
    const { status, stdout, stderr } = await run(['check', 'bad.vsi', '--data']);
    expect({ status, stderr }).toEqual({ status: 2, stderr: '' });
    expect(stdout).toMatch(/^error: /);
    expect(stdout).toMatch(/^\d+ errors? found on the image\.$/m);
    const quiet = await run(['check', 'bad.vsi', '--data', '-q']);
    expect(quiet).toMatchObject({ status: 2, stdout: '', stderr: '' });
    const report = JSON.parse((await run(['check', 'bad.vsi', '--data', '--json'])).stdout);
    expect(report.corruptions).toBe(report.errors.length + report.lost.length);
    expect(report.errors.length).toBeGreaterThan(0);
    expect((await run(['check', 'bad.vsi'])).status).toBe(0);
    const read = await run(['export', 'bad.vsi', 'out.raw']);
    expect(read).toMatchObject({ status: 65, stdout: '' });
    expect(read.stderr).toMatch(/^vsimg: [^\n]*at byte \d+[^\n]*\n$/);
  });

  it('check ends with 1 where it could not be carried out, all else with 65', async () => {
    copyFileSync(path('a.vsi'), path('cut.vsi'));
    truncateSync(path('cut.vsi'), 100);
    writeFileSync(path('empty.vsi'), '');
    for (const name of ['cut.vsi', 'empty.vsi', 'one.raw']) {
      await fails(1, ['check', name]);
      await fails(65, ['info', name]);
    }
    await fails(1, ['check', 'nothing.vsi']);
    const { stderr } = await run(['check', 'cut.vsi', '--json']);
    expect(JSON.parse(stderr)).toMatchObject({ code: 'corrupt', 'exit-status': 1 });
    await fails(64, ['check', 'a.vsi', '--mend']);
  });
});
