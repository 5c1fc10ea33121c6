import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { workspace } from '../support/workspace.ts';

describe('vsimg create', () => {
  const { ok, json, fails, path } = workspace();

  it('makes an image that reads as zeros', async () => {
    expect(await ok(['create', 'a.vsi', '10G'])).toBe('created a.vsi: 10 GiB (10737418240 bytes)\n');
    const info = await json(['info', 'a.vsi']);
    expect(info).toMatchObject({
      'virtual-size': 10 * 1024 ** 3,
      'cluster-size': 4096,
      snapshots: [],
      'dirty-flag': false,
    });
    expect(await ok(['read', 'a.vsi', '--offset', '9G', '--length', '16'])).toBe('\0'.repeat(16));
    expect(await ok(['check', 'a.vsi', '-q'])).toBe('');
  });

  it('takes sizes that are no multiple of anything, down to nothing', async () => {
    for (const size of ['0', '1', '4097', '0x201']) {
      await ok(['create', `s${size}.vsi`, size, '-q']);
      expect((await json(['info', `s${size}.vsi`]))['virtual-size']).toBe(Number(size));
    }
  });

  it('prints one JSON document', async () => {
    const made = await json(['create', 'j.vsi', '1M', '--block-size', '512', '--compression', 'none']);
    expect(made).toEqual({
      filename: 'j.vsi',
      format: 'vsi',
      'virtual-size': 1048576,
      'cluster-size': 512,
      compression: 'none',
      'image-id': expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });

  it('is silent with -q', async () => {
    expect(await ok(['create', 'q.vsi', '1M', '--compression', 'zstd:3', '--quiet'])).toBe('');
    expect((await json(['info', 'q.vsi']))['format-specific'].data.compression).toBe('zstd:3');
  });

  it('replaces a file only with --force', async () => {
    writeFileSync(path('old'), 'precious');
    expect(await fails(73, ['create', 'old', '1M'])).toMatch(/'old' exists already/);
    expect(readFileSync(path('old'), 'utf8')).toBe('precious');
    await ok(['create', 'old', '1M', '--force']);
    expect((await json(['info', 'old'])).format).toBe('vsi');
  });

  it.each([
    ['a block size that is no power of two', ['--block-size', '3000']],
    ['a block size that is too small', ['--block-size', '256']],
    ['a block size that is too large', ['--block-size', '128k']],
    ['an unknown codec', ['--compression', 'gzip']],
    ['a level that does not exist', ['--compression', 'zstd:99']],
  ])('refuses %s and leaves nothing', async (_what, options) => {
    await fails(64, ['create', 'bad.vsi', '1M', ...options]);
    expect(existsSync(path('bad.vsi'))).toBe(false);
  });

  it('says that a directory is missing or cannot be written', async () => {
    await fails(66, ['create', 'nowhere/a.vsi', '1M']);
    await fails(77, ['create', '/sys/a.vsi', '1M']);
  });
});
