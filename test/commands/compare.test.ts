import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { runShell } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SECTOR = 512;

/** What `--all` must say of two disks of one size: ranges that differ, those of neighbouring sectors joined. */
function modelRanges(a: Buffer, b: Buffer): { start: number; length: number; kind: string }[] {
  const ranges: { start: number; length: number; kind: string }[] = [];
  for (let at = 0; at < a.length; at++) {
    if (a[at] === b[at]) continue;
    const last = ranges[ranges.length - 1];
    const lastByte = last === undefined ? Number.NEGATIVE_INFINITY : last.start + last.length - 1;
    if (last !== undefined && Math.floor(at / SECTOR) <= Math.floor(lastByte / SECTOR) + 1)
      last.length = at + 1 - last.start;
    else ranges.push({ start: at, length: 1, kind: 'data' });
  }
  return ranges;
}

/** 3 MiB: data, a hole of 1 MiB, data. */
const FIRST = Buffer.concat([noise(MIB, 1), Buffer.alloc(MIB), noise(MIB, 2)]);
/** Single bytes and runs, at and across borders of sectors, blocks and pieces, in data and in the hole. */
const SECOND = Buffer.from(FIRST);
for (const [offset, length] of [
  [70, 1],
  [1000, 100],
  [4095, 2],
  [65536, 3],
  [MIB - 1, 2],
  [MIB + 5000, 7],
  [2 * MIB, 1],
  [3 * MIB - 1, 1],
] as const)
  for (let at = offset; at < offset + length; at++) SECOND[at] = (SECOND[at] as number) ^ 0x55;

describe('vsimg compare', () => {
  const { ok, fails, run, path, directory } = workspace();

  beforeAll(async () => {
    writeFileSync(path('first.raw'), FIRST);
    writeFileSync(path('second.raw'), SECOND);
    await ok(['import', 'first.raw', 'a.vsi', '-q', '--tag', 'v1', '--compression', 'none']);
    await ok(['import', 'second.raw', 'a.vsi', '-q', '--tag', 'v2']);
    await ok(['import', 'second.raw', 'b.vsi', '-q', '--block-size', '512']);
    await ok(['import', 'first.raw', 'b.vsi', '-q']);
  });

  it('says with its status whether disks are the same, wherever they are', async () => {
    for (const [a, b] of [
      ['first.raw', 'first.raw'],
      ['first.raw', 'a.vsi@v1'],
      ['a.vsi@v2', 'second.raw'],
      ['a.vsi', 'second.raw'],
      ['a.vsi@1', 'b.vsi'],
      ['a.vsi@HEAD', 'b.vsi@1'],
      ['a.vsi@2', 'a.vsi'],
    ] as const)
      expect({ a, b, out: await ok(['compare', a, b]) }).toEqual({ a, b, out: 'the disks are the same\n' });
    for (const [a, b] of [
      ['first.raw', 'second.raw'],
      ['a.vsi@1', 'a.vsi@2'],
      ['a.vsi@1', 'a.vsi'],
      ['a.vsi', 'b.vsi'],
      ['second.raw', 'a.vsi@v1'],
    ] as const) {
      const { status, stdout, stderr } = await run(['compare', a, b]);
      expect({ a, b, status, stdout, stderr }).toEqual({
        a,
        b,
        status: 1,
        stdout: 'the disks differ at byte 70\n',
        stderr: '',
      });
    }
    expect(await run(['compare', 'a.vsi@1', 'a.vsi@2', '-q'])).toMatchObject({ status: 1, stdout: '', stderr: '' });
    expect(await run(['compare', 'a.vsi@1', 'a.vsi@1', '-q'])).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('finds every range to the byte', async () => {
    const ranges = modelRanges(FIRST, SECOND);
    expect(ranges.length).toBeGreaterThan(5);
    for (const [a, b] of [
      ['first.raw', 'second.raw'],
      ['a.vsi@1', 'a.vsi@2'],
      ['b.vsi@1', 'a.vsi@1'],
      ['b.vsi@2', 'b.vsi@1'],
    ] as const) {
      const { status, stdout } = await run(['compare', a, b, '--all', '--json']);
      expect({ a, b, status, ...JSON.parse(stdout) }).toMatchObject({
        status: 1,
        same: false,
        ranges,
        'first-difference': { offset: 70, kind: 'data' },
        'range-count': ranges.length,
        'differing-bytes': ranges.reduce((sum, { length }) => sum + length, 0),
      });
    }
    const { stdout } = await run(['compare', 'a.vsi@1', 'a.vsi@2', '--all']);
    expect(stdout.split('\n').slice(0, 2)).toEqual([' Offset   Length  Kind', '     70     1030  data']);
  });

  it('finds ranges of random disks as a byte-wise model does', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const [a, b] = [Buffer.alloc(300_001), Buffer.alloc(300_001)];
      const random = noise(4096, seed);
      for (let at = 0; at < 400; at += 4) {
        const place = random.readUIntLE(at * 3, 3) % a.length;
        const length = (random[at + 2000] as number) * (at % 3 === 0 ? 40 : 1);
        const bytes = noise(length, seed * 1000 + at);
        if (at % 8 !== 0) bytes.copy(a, place);
        if (at % 12 !== 0) bytes.copy(b, place);
      }
      writeFileSync(path('x.raw'), a);
      writeFileSync(path('y.raw'), b);
      await ok(['import', 'x.raw', `r${seed}.vsi`, '-q', '--block-size', '512']);
      await ok(['import', 'y.raw', `r${seed}.vsi`, '-q']);
      const ranges = modelRanges(a, b);
      for (const sides of [
        ['x.raw', 'y.raw'],
        [`r${seed}.vsi@1`, `r${seed}.vsi`],
        [`r${seed}.vsi@1`, 'y.raw'],
      ]) {
        const { stdout } = await run(['compare', ...sides, '--all', '--json']);
        expect({ seed, sides, ranges: JSON.parse(stdout).ranges }).toEqual({ seed, sides, ranges });
      }
    }
  });

  it('takes a longer disk for another one, and says when that is all', async () => {
    copyFileSync(path('first.raw'), path('zeros.raw'));
    truncateSync(path('zeros.raw'), 4 * MIB + 5);
    writeFileSync(path('more.raw'), Buffer.concat([FIRST, Buffer.alloc(MIB), Buffer.from('xy')]));
    await ok(['import', 'first.raw', 'sizes.vsi', '-q']);
    await ok(['import', 'zeros.raw', 'sizes.vsi', '-q']);
    await ok(['import', 'more.raw', 'sizes.vsi', '-q']);
    for (const [a, zeros, more] of [
      ['first.raw', 'zeros.raw', 'more.raw'],
      ['sizes.vsi@1', 'sizes.vsi@2', 'sizes.vsi@3'],
      ['first.raw', 'sizes.vsi@2', 'sizes.vsi'],
    ] as const) {
      expect(await run(['compare', a, zeros])).toMatchObject({
        status: 1,
        stdout:
          'the sizes differ: 3145728 and 4194309 bytes\n' +
          'what one has more is zeros: with --ignore-tail the disks are the same\n',
      });
      expect(await ok(['compare', a, zeros, '--ignore-tail'])).toBe('the disks are the same\n');
      expect(await ok(['compare', zeros, a, '--ignore-tail', '--all'])).toBe('the disks are the same\n');
      expect(await run(['compare', more, a])).toMatchObject({
        status: 1,
        stdout: 'the sizes differ: 4194306 and 3145728 bytes\nup to the end of the shorter one they are the same\n',
      });
      expect(await run(['compare', a, more, '--ignore-tail'])).toMatchObject({
        status: 1,
        stdout: 'the disks differ at byte 4194304\n',
      });
      const list = async (other: string, ...options: string[]) =>
        JSON.parse((await run(['compare', a, other, '--all', '--json', ...options])).stdout).ranges;
      expect(await list(zeros)).toEqual([{ start: 3 * MIB, length: MIB + 5, kind: 'zero-tail' }]);
      expect(await list(more)).toEqual([{ start: 3 * MIB, length: MIB + 2, kind: 'tail' }]);
      expect(await list(more, '--ignore-tail')).toEqual([{ start: 4 * MIB, length: 2, kind: 'data' }]);
    }
    expect((await run(['compare', 'second.raw', 'zeros.raw'])).stdout).toBe(
      'the disks differ at byte 70\nthe sizes differ: 3145728 and 4194309 bytes\n',
    );
  });

  it('reads pipes, once', async () => {
    expect(await ok(['compare', '-', 'a.vsi@1'], { stdin: FIRST })).toBe('the disks are the same\n');
    expect(await run(['compare', 'a.vsi@1', '-'], { stdin: SECOND })).toMatchObject({ status: 1 });
    const script = 'vsimg compare <(cat first.raw; printf abc) a.vsi@1; echo $?; vsimg compare a.vsi <(cat second.raw)';
    expect((await runShell(script, { cwd: directory })).stdout).toBe(
      'the sizes differ: one disk ends at byte 3145728, the other at 3145731\n' +
        'up to the end of the shorter one they are the same\n1\nthe disks are the same\n',
    );
    const closed = 'set -o pipefail; vsimg compare a.vsi@1 a.vsi@2 --all | head -n 1; echo $?';
    expect(await runShell(closed, { cwd: directory })).toMatchObject({
      stdout: ' Offset   Length  Kind\n1\n',
      stderr: '',
    });
  });

  it('never ends with 1 for anything but a difference', async () => {
    await fails(64, ['compare', 'a.vsi']);
    await fails(64, ['compare', 'a.vsi', 'a.vsi', 'a.vsi']);
    await fails(64, ['compare', '-', '-']);
    await fails(64, ['compare', 'a.vsi', 'first.raw@1']);
    await fails(64, ['compare', 'a.vsi', 'a.vsi', '-f', 'qcow2']);
    await fails(66, ['compare', 'a.vsi', 'none.raw']);
    await fails(66, ['compare', 'none.raw', 'a.vsi']);
    await fails(66, ['compare', 'a.vsi@1', 'a.vsi@7']);
    await fails(65, ['compare', 'a.vsi@1', 'first.raw', '-F', 'vsi']);
    await fails(74, ['compare', 'a.vsi@1', '.']);
  });

  it('takes a container for raw only when told so', async () => {
    copyFileSync(path('a.vsi'), path('copy.vsi'));
    expect(await ok(['compare', 'a.vsi', 'copy.vsi', '-f', 'raw', '-F', 'raw'])).toBe('the disks are the same\n');
    expect(await run(['compare', 'a.vsi', 'copy.vsi', '-F', 'raw'])).toMatchObject({ status: 1 });
    // Neither by its name nor by its first header: with that one damaged it is still an image.
    const bytes = readFileSync(path('a.vsi'));
    bytes.fill(0, 0, 16);
    writeFileSync(path('damaged.raw'), bytes);
    expect(await ok(['compare', 'damaged.raw@1', 'first.raw'])).toBe('the disks are the same\n');
  });

  it('refuses a disk image of another format, unless told to take it for raw', async () => {
    writeFileSync(path('old.qcow2'), Buffer.concat([Buffer.from('514649fb00000003', 'hex'), Buffer.alloc(504)]));
    expect(await fails(69, ['compare', 'a.vsi', 'old.qcow2'])).toContain('qcow2');
    expect(await ok(['compare', 'old.qcow2', 'old.qcow2', '-f', 'raw', '-F', 'raw'])).toBe('the disks are the same\n');
  });

  it('reads of two versions only what their maps tell apart', async () => {
    // What both have is damaged: it is not looked at, but for a comparison with something else it must be.
    const bytes = readFileSync(path('a.vsi'));
    const at = bytes.indexOf(FIRST.subarray(300_000, 300_064));
    expect(at).toBeGreaterThan(0);
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path('shared.vsi'), bytes);
    const { status, stdout } = await run(['compare', 'shared.vsi@1', 'shared.vsi@2', '--all', '--json']);
    expect({ status, ranges: JSON.parse(stdout).ranges }).toEqual({ status: 1, ranges: modelRanges(FIRST, SECOND) });
    expect(await ok(['compare', 'shared.vsi@2', 'shared.vsi'])).toBe('the disks are the same\n');
    const error = await run(['compare', 'shared.vsi@1', 'first.raw']);
    expect(error).toMatchObject({ status: 65, stdout: '' });
    expect(error.stderr).toMatch(/unreadable/);
  });
});
