import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const SIZE = 4 * 1024 * 1024;

describe('vsimg write and read', () => {
  const { ok, json, fails, run, path } = workspace();
  const model = Buffer.alloc(SIZE);

  async function expectModel(): Promise<void> {
    const { stdoutBytes } = await run(['read', 'a.vsi']);
    expect(stdoutBytes.equals(model)).toBe(true);
  }

  beforeAll(async () => {
    await ok(['create', 'a.vsi', String(SIZE), '-q']);
  });

  it('writes stdin at any offset', async () => {
    const data = noise(10_000, 1);
    data.copy(model, 777);
    const message = await ok(['write', 'a.vsi', '--offset', '777'], { stdin: data });
    expect(message).toMatch(/^wrote 9\.77 KiB at 777: .* stored \(before compression\), .* unchanged, .* zeros\n$/);
    await expectModel();
  });

  it('writes a file, or the beginning of it, and reports as JSON', async () => {
    const data = noise(2 * 1024 * 1024, 2);
    writeFileSync(path('data'), data);
    data.copy(model, 1024 * 1024, 0, 1_500_000);
    const report = await json(['write', 'a.vsi', 'data', '--offset', '1M', '--length', '1500000']);
    expect(report).toEqual({
      filename: 'a.vsi',
      offset: 1048576,
      length: 1_500_000,
      'stored-bytes': expect.any(Number),
      'unchanged-bytes': expect.any(Number),
      'zero-bytes': expect.any(Number),
    });
    await expectModel();
  });

  it('takes only as much of stdin as --length says', async () => {
    const data = noise(100_000, 3);
    data.copy(model, 5, 0, 4096);
    await ok(['write', 'a.vsi', '-', '--offset', '5', '--length', '4k'], { stdin: data });
    await expectModel();
  });

  it('does not store again what is there already', async () => {
    const data = noise(1024 * 1024, 4);
    data.copy(model, 0);
    await ok(['write', 'a.vsi', '-q'], { stdin: data });
    const again = await json(['write', 'a.vsi'], { stdin: data });
    expect(again).toMatchObject({ 'stored-bytes': 0, 'unchanged-bytes': 1024 * 1024 });
    await expectModel();
  });

  it.each([['--zero'], ['--discard']])('makes zeros with %s', async (option) => {
    const offset = option === '--zero' ? 3000 : 600_001;
    model.fill(0, offset, offset + 20_000);
    await ok(['write', 'a.vsi', option, '--offset', String(offset), '--length', '20000', '-q']);
    await expectModel();
  });

  it('writes holes of a file as zeros', async () => {
    const fd = openSync(path('sparse'), 'w');
    writeSync(fd, 'end', 300_000);
    ftruncateSync(fd, 400_000);
    closeSync(fd);
    readFileSync(path('sparse')).copy(model, 100);
    await ok(['write', 'a.vsi', 'sparse', '--offset', '100', '-q']);
    await expectModel();
  });

  it('writes nothing at all, which is no error', async () => {
    expect(await json(['write', 'a.vsi'])).toMatchObject({ length: 0 });
    await ok(['write', 'a.vsi', '--length', '0', '-q'], { stdin: 'x' });
    await ok(['write', 'a.vsi', '--offset', String(SIZE), '-q']);
    await expectModel();
  });

  it.each([
    ['a file that does not fit', 78, ['write', 'a.vsi', 'data', '--offset', '3M'], ''],
    ['stdin that does not fit', 78, ['write', 'a.vsi', '--offset', String(SIZE - 5)], '123456'],
    ['much stdin that does not fit', 78, ['write', 'a.vsi', '--offset', '1M'], 'x'.repeat(3 * 1024 * 1024 + 1)],
    ['a length that does not fit', 78, ['write', 'a.vsi', '--offset', '3M', '--length', '2M'], ''],
    ['zeros that do not fit', 78, ['write', 'a.vsi', '--zero', '--offset', '3M', '--length', '2M'], ''],
    ['stdin that ends early', 74, ['write', 'a.vsi', '--length', '100'], 'short'],
    ['a file that ends early', 74, ['write', 'a.vsi', 'data', '--length', '3M'], ''],
    ['a file that is not there', 66, ['write', 'a.vsi', 'nothing'], ''],
    ['a directory', 74, ['write', 'a.vsi', '.'], ''],
    ['the image itself', 64, ['write', 'a.vsi', 'a.vsi'], ''],
    ['--zero without --length', 64, ['write', 'a.vsi', '--zero'], ''],
    ['--zero with data', 64, ['write', 'a.vsi', 'data', '--zero', '--length', '1'], ''],
    ['--zero with --discard', 64, ['write', 'a.vsi', '--zero', '--discard', '--length', '1'], ''],
    ['a version', 64, ['write', 'a.vsi@1'], 'x'],
    ['a negative offset', 64, ['write', 'a.vsi', '--offset', '-1'], 'x'],
  ])('refuses %s and changes nothing', async (_what, status, argv, stdin) => {
    await fails(status, argv, { stdin });
    await expectModel();
  });

  it('reads ranges', async () => {
    for (const [offset, length] of [
      [0, 1],
      [777, 4096],
      [1_000_000, 1_234_567],
      [SIZE - 1, 1],
      [SIZE, 0],
    ] as const) {
      const { stdoutBytes, status } = await run([
        'read',
        'a.vsi',
        '--offset',
        String(offset),
        '--length',
        String(length),
      ]);
      expect(status).toBe(0);
      expect(stdoutBytes.equals(model.subarray(offset, offset + length))).toBe(true);
    }
  });

  it('reads into a file, which it replaces', async () => {
    writeFileSync(path('out'), 'old');
    expect(await ok(['read', 'a.vsi', '--offset', '1M', '--length', '64k', '-o', 'out'])).toBe('wrote 64 KiB to out\n');
    expect(readFileSync(path('out')).equals(model.subarray(1024 * 1024, 1024 * 1024 + 65536))).toBe(true);
    expect(await json(['read', 'a.vsi', '-o', 'out'])).toEqual({
      filename: 'a.vsi',
      version: null,
      offset: 0,
      length: SIZE,
      target: 'out',
      unreadable: [],
    });
    expect(readFileSync(path('out')).equals(model)).toBe(true);
  });

  it('reads any version without checking it out', async () => {
    await ok(['commit', 'a.vsi', '-m', 'one', '--tag', 'v1', '-q']);
    await ok(['write', 'a.vsi', '-q'], { stdin: 'changed' });
    for (const argv of [
      ['a.vsi@1'],
      ['a.vsi@v1'],
      ['a.vsi@HEAD'],
      ['a.vsi', '-l', 'main'],
      ['a.vsi', '--revision', '1'],
    ]) {
      expect(await ok(['read', ...argv, '--length', '7'])).toBe(model.subarray(0, 7).toString());
    }
    expect(await ok(['read', 'a.vsi', '--length', '7'])).toBe('changed');
    expect(await json(['read', 'a.vsi@v1', '-o', 'out'])).toMatchObject({ version: 1 });
  });

  it.each([
    ['behind the end', 78, ['read', 'a.vsi', '--offset', String(SIZE), '--length', '1']],
    ['from behind the end', 78, ['read', 'a.vsi', '--offset', '1G']],
    ['a version that is not there', 66, ['read', 'a.vsi@99']],
    ['a tag that is not there', 66, ['read', 'a.vsi@nothing']],
    ['an image that is not there', 66, ['read', 'b.vsi']],
    ['JSON and data on stdout', 64, ['read', 'a.vsi', '--json']],
    ['into the image itself', 64, ['read', 'a.vsi', '-o', 'a.vsi']],
    ['two revisions', 64, ['read', 'a.vsi@1', '-l', '1']],
    ['a file that is no image', 65, ['read', 'data']],
    ['onto a full device', 79, ['read', 'a.vsi', '-o', '/dev/full']],
  ])('refuses to read %s', async (_what, status, argv) => {
    const { status: got, stderr, stdout } = await run(argv);
    expect({ got, stdout }).toEqual({ got: status, stdout: '' });
    if (argv.includes('--json')) expect(JSON.parse(stderr)).toMatchObject({ code: 'usage' });
    else expect(stderr).toMatch(/^vsimg: [^\n]+\n$/);
  });
});
