import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

describe('vsimg import and export', () => {
  const { ok, json, fails, run, path, directory } = workspace();

  beforeAll(() => {
    const fd = openSync(path('one.raw'), 'w');
    writeSync(fd, noise(2 * MIB, 1), 0, 2 * MIB, 3 * MIB);
    ftruncateSync(fd, 16 * MIB);
    closeSync(fd);
    const second = readFileSync(path('one.raw')).subarray(0, 12 * MIB + 5);
    noise(5000, 2).copy(second, 4 * MIB);
    writeFileSync(path('two.raw'), second);
  });

  it('makes the image with its first version', async () => {
    const message = await ok([
      'import',
      'one.raw',
      'a.vsi',
      '-m',
      'one',
      '--tag',
      'v1',
      '--block-size',
      '4k',
      '--compression',
      'zstd:1',
    ]);
    expect(message.split('\n')).toEqual([
      expect.stringMatching(/^\[main 1 [0-9a-f]{8}\] one$/),
      expect.stringMatching(/parent none$/),
      expect.stringMatching(/, 16 MiB, tag v1$/),
      ' 2 MiB stored (before compression), 0 B unchanged, 14 MiB zeros',
      '',
    ]);
  });

  it('makes the next version, which stores only what changed and has its own size', async () => {
    const second = await json(['import', 'two.raw', 'a.vsi']);
    expect(second).toMatchObject({
      version: 2,
      parent: 1,
      message: 'import two.raw',
      'virtual-size': 12 * MIB + 5,
      branch: 'main',
    });
    expect(second['stored-bytes']).toBeLessThanOrEqual(8192);
    expect((await json(['info', 'a.vsi']))['virtual-size']).toBe(12 * MIB + 5);
  });

  it('takes stdin', async () => {
    const data = readFileSync(path('one.raw'));
    await ok(['import', '-', 'piped.vsi', '-q'], { stdin: data });
    expect((await json(['log', 'piped.vsi'])).versions[0]).toMatchObject({
      message: 'import stdin',
      'virtual-size': data.length,
    });
    const { stdoutBytes } = await run(['export', 'piped.vsi', '-']);
    expect(stdoutBytes.equals(data)).toBe(true);
    expect(await json(['import', '-', 'piped.vsi'], { stdin: data })).toMatchObject({ version: 2, 'stored-bytes': 0 });
  });

  it('exports every version as it was, with its holes', async () => {
    expect(await ok(['export', 'a.vsi@v1', 'out1.raw'])).toBe('exported 16 MiB to out1.raw, 2 MiB of it data\n');
    expect(readFileSync(path('out1.raw')).equals(readFileSync(path('one.raw')))).toBe(true);
    expect(statSync(path('out1.raw')).blocks * 512).toBeLessThanOrEqual(2 * MIB + 65536);
    expect(await json(['export', 'a.vsi', 'out2.raw'])).toMatchObject({
      filename: 'a.vsi',
      version: null,
      target: 'out2.raw',
      'virtual-size': 12 * MIB + 5,
    });
    expect(readFileSync(path('out2.raw')).equals(readFileSync(path('two.raw')))).toBe(true);
  });

  it('replaces a file only with --force', async () => {
    writeFileSync(path('old.raw'), 'precious');
    await fails(73, ['export', 'a.vsi', 'old.raw']);
    expect(readFileSync(path('old.raw'), 'utf8')).toBe('precious');
    await ok(['export', 'a.vsi', '-l', '2', 'old.raw', '--force', '-q']);
    expect(statSync(path('old.raw')).size).toBe(12 * MIB + 5);
  });

  it.each([
    ['options for new images', 78, ['import', 'one.raw', 'a.vsi', '--block-size', '4k']],
    ['the image itself', 64, ['import', 'a.vsi', 'a.vsi']],
    ['a revision of the image', 64, ['import', 'one.raw', 'a.vsi@1']],
    ['a source that is not there', 66, ['import', 'nothing', 'a.vsi']],
    ['a directory', 74, ['import', '.', 'a.vsi']],
    ['a tag that is taken', 73, ['import', 'one.raw', 'a.vsi', '--tag', 'v1']],
    ['an image that is none', 65, ['import', 'one.raw', 'two.raw']],
    ['an export to the image itself', 64, ['export', 'a.vsi', 'a.vsi', '--force']],
    ['an export to a directory', 73, ['export', 'a.vsi', '.', '--force']],
    ['an export into nowhere', 66, ['export', 'a.vsi', 'no/where']],
    ['an export onto a full device', 79, ['export', 'a.vsi', '/dev/full']],
    ['an export of no version', 66, ['export', 'a.vsi@nothing', 'x.raw']],
  ])('refuses %s', async (_what, status, argv) => {
    await fails(status, argv);
    expect((await json(['log', 'a.vsi'])).versions).toHaveLength(2);
  });

  it('refuses JSON and data on stdout', async () => {
    const { status, stdout, stderr } = await run(['export', 'a.vsi', '-', '--json']);
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ code: 'usage' });
  });

  it('refuses uncommitted changes', async () => {
    await ok(['write', 'a.vsi', '-q'], { stdin: 'x' });
    expect(await fails(78, ['import', 'one.raw', 'a.vsi'])).toMatch(/uncommitted/);
    await ok(['checkout', 'a.vsi', '--force', '-q']);
  });

  it('leaves no image behind when the first import fails', async () => {
    await fails(74, ['import', '.', 'new.vsi']);
    await fails(64, ['import', 'one.raw', 'new.vsi', '--tag', '12']);
    expect(existsSync(path('new.vsi'))).toBe(false);
    expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
