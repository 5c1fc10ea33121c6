import { rmSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

describe('vsimg resize', () => {
  const { ok, json, fails, run, path } = workspace();
  const data = noise(MIB, 1);

  beforeEach(async () => {
    writeFileSync(path('one.raw'), data);
    rmSync(path('disk.vsi'), { force: true });
    await ok(['import', 'one.raw', 'disk.vsi', '-m', 'one', '-q']);
  });

  const sizeNow = async (): Promise<number> => (await json(['info', 'disk.vsi']))['virtual-size'];

  it.each([
    ['3M', 3 * MIB],
    ['+512k', 1.5 * MIB],
    ['+1', MIB + 1],
    ['0x200000', 2 * MIB],
    ['1M', MIB],
    ['7P', 7 * 2 ** 50],
  ])('%s', async (size, bytes) => {
    expect(await json(['resize', 'disk.vsi', size])).toEqual({
      filename: 'disk.vsi',
      'virtual-size': bytes,
      'former-virtual-size': MIB,
    });
    expect(await sizeNow()).toBe(bytes);
    const { stdoutBytes } = await run(['read', 'disk.vsi', '--length', String(Math.min(bytes, 2 * MIB))]);
    expect(stdoutBytes.equals(Buffer.concat([data, Buffer.alloc(MIB)], stdoutBytes.length))).toBe(true);
    await ok(['check', 'disk.vsi', '--data', '-q']);
  });

  it('takes a smaller size as qemu-img writes it, with --shrink only', async () => {
    for (const words of [['-256k'], ['--', '-256k'], ['768k'], ['-q', '-262144'], ['-0x40000', '-qp']]) {
      const argv = ['resize', 'disk.vsi', ...words];
      expect(await fails(78, argv)).toMatch(/would be lost; give --shrink/);
      expect(await sizeNow()).toBe(MIB);
    }
    expect(await ok(['resize', 'disk.vsi', '-256k', '--shrink'])).toBe(
      'resized disk.vsi from 1 MiB to 768 KiB (786432 bytes)\n',
    );
    await ok(['resize', '--shrink', '--', 'disk.vsi', '-256k']);
    await ok(['resize', '-qp', 'disk.vsi', '-256k', '--shrink']);
    expect(await sizeNow()).toBe(MIB / 4);
  });

  it('drops what lies behind a smaller size for good, also within a block', async () => {
    await ok(['resize', 'disk.vsi', '5000', '--shrink']);
    await ok(['resize', 'disk.vsi', '1M']);
    const { stdoutBytes } = await run(['read', 'disk.vsi']);
    expect(stdoutBytes.equals(Buffer.concat([data.subarray(0, 5000), Buffer.alloc(MIB - 5000)]))).toBe(true);
    await ok(['resize', 'disk.vsi', '0', '--shrink']);
    expect((await run(['read', 'disk.vsi'])).stdoutBytes.length).toBe(0);
    await ok(['check', 'disk.vsi', '--data', '-q']);
  });

  it('is a change like others: versions keep their size, commit takes it, checkout undoes it', async () => {
    await ok(['resize', 'disk.vsi', '2M']);
    expect(await json(['diff', 'disk.vsi'])).toMatchObject({
      ranges: [{ start: MIB, length: MIB, kind: 'hole' }],
      'data-bytes': 0,
    });
    await ok(['checkout', 'disk.vsi', '--force']);
    expect(await sizeNow()).toBe(MIB);
    await ok(['resize', 'disk.vsi', '1000', '--shrink']);
    await ok(['commit', 'disk.vsi', '-m', 'small']);
    expect(
      (await json(['log', 'disk.vsi'])).versions.map((each: Record<string, number>) => each['virtual-size']),
    ).toEqual([1000, MIB]);
    expect((await run(['read', 'disk.vsi@1'])).stdoutBytes.equals(data)).toBe(true);
    await fails(78, ['commit', 'disk.vsi', '-m', 'same']);
  });

  it.each([
    ['12x', 64, "SIZE '12x' is not a size"],
    ['++1', 64, "SIZE '+1' is not a size"],
    ['-', 64, "SIZE '' is not a size"],
    ['+7P', 0, ''],
    ['8192P', 64, 'is too large'],
    ['+9007199254740991', 64, 'make the disk too large'],
    ['-2M', 78, 'the disk has 1048576 bytes, which are fewer'],
    ['-x', 64, "unknown option '-x'"],
  ])('%s ends with status %d', async (size, status, message) => {
    if (status === 0) await ok(['resize', 'disk.vsi', size]);
    else expect(await fails(status, ['resize', 'disk.vsi', size, '--shrink'])).toContain(message);
  });

  it('is no way to give other commands words that look like options', async () => {
    expect(await fails(64, ['checkout', 'disk.vsi', '-1G'])).toContain("unknown option '-1G'");
  });
});
