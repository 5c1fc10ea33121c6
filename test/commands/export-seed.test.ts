import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { withLoopDevice } from '../storage/loop-device.ts';
import { BINARY } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const canTrace = spawnSync('strace', ['-f', '-qq', '--seccomp-bpf', '-e', 'trace=pwrite64', 'true']).status === 0;

describe('vsimg export --seed', () => {
  const { ok, json, fails, path, directory } = workspace();

  /** 1: 12 MiB and a bit; 2: a few changes, longer; 3: short; working state: one more change. */
  beforeAll(async () => {
    const one = Buffer.alloc(12 * MIB + 5);
    noise(6 * MIB, 1).copy(one, MIB);
    writeFileSync(path('1.raw'), one);
    const two = Buffer.concat([one, Buffer.alloc(3 * MIB)]);
    noise(5000, 2).copy(two, 2 * MIB);
    two.fill(0, 4 * MIB, 6 * MIB);
    noise(100, 3).copy(two, 14 * MIB);
    writeFileSync(path('2.raw'), two);
    writeFileSync(path('3.raw'), two.subarray(0, 5 * MIB + 700));
    for (const version of [1, 2, 3]) await ok(['import', `${version}.raw`, 'a.vsi', '-q', '--no-sync']);
    await ok(['write', 'a.vsi', '--offset', '1M', '-q', '--no-sync'], { stdin: 'not committed' });
    const working = Buffer.from(readFileSync(path('3.raw')));
    working.write('not committed', MIB);
    writeFileSync(path('working.raw'), working);
  });

  const revisions = ['1', '2', '3', 'working'] as const;
  const pairs = revisions
    .slice(0, 3)
    .flatMap((from) => revisions.filter((to) => to !== from).map((to) => [from, to] as const));

  it.each(pairs)('makes %s into %s', async (from, to) => {
    copyFileSync(path(`${from}.raw`), path('x.raw'));
    const target = to === 'working' ? 'a.vsi' : `a.vsi@${to}`;
    const found = await json(['export', '--no-sync', '--seed', from, target, 'x.raw']);
    expect(readFileSync(path('x.raw')).equals(readFileSync(path(`${to}.raw`)))).toBe(true);
    const size = statSync(path(`${to}.raw`)).size;
    expect(found).toMatchObject({
      filename: 'a.vsi',
      version: to === 'working' ? null : Number(to),
      seed: Number(from),
      target: 'x.raw',
      'virtual-size': size,
      unreadable: [],
    });
    // To make 2 into 3 it is only cut.
    if (from === '2' && to === '3') expect(found['rewritten-bytes']).toBe(0);
    else expect(found['rewritten-bytes']).toBeGreaterThan(0);
    expect(found['data-bytes']).toBeLessThanOrEqual(found['rewritten-bytes']);
  });

  it('says what it wrote, and leaves a hole for zeros', async () => {
    copyFileSync(path('1.raw'), path('x.raw'));
    const before = statSync(path('x.raw')).blocks * 512;
    expect(await ok(['export', '--seed', '1', 'a.vsi@2', 'x.raw'])).toMatch(
      /^rewrote 5[.0-9]* MiB of 15 MiB in x\.raw, (12|16|20) KiB of it data\n$/,
    );
    expect(statSync(path('x.raw')).blocks * 512).toBeLessThan(before - 1.9 * MIB);
  });

  it('does not touch what is the same in both', async () => {
    const marked = readFileSync(path('1.raw'));
    const expected = readFileSync(path('2.raw'));
    for (const at of [0, MIB, 2 * MIB - 1, 2 * MIB + 8192, 4 * MIB - 1, 6 * MIB, 12 * MIB - 1]) {
      marked[at] = 0xee;
      expected[at] = 0xee;
    }
    writeFileSync(path('x.raw'), marked);
    await ok(['export', '--seed', '1', 'a.vsi@2', 'x.raw', '-q']);
    expect(readFileSync(path('x.raw')).equals(expected)).toBe(true);
  });

  it('mends what an interrupted run left', async () => {
    for (const [from, to] of pairs.filter(([, to]) => to !== 'working')) {
      copyFileSync(path(`${from}.raw`), path('x.raw'));
      const sizes = [statSync(path(`${from}.raw`)).size, statSync(path(`${to}.raw`)).size] as const;
      if (sizes[1] > sizes[0]) truncateSync(path('x.raw'), sizes[1]);
      await ok(['export', '--seed', from, `a.vsi@${to}`, 'x.raw', '-q', '--no-sync']);
      await ok(['export', '--seed', from, `a.vsi@${to}`, 'x.raw', '-q', '--no-sync']);
      expect(readFileSync(path('x.raw')).equals(readFileSync(path(`${to}.raw`)))).toBe(true);
    }
  });

  /** What a run did to x.raw, and whether it had threads. */
  function trace(argv: readonly string[]): { writtenBytes: number; punched: boolean; threads: boolean } {
    const log = path('strace.log');
    const traced = ['-f', '-y', '-qq', '--seccomp-bpf', '-e', 'trace=pwrite64,write,fallocate,openat', '-o', log];
    const { status } = spawnSync('strace', [...traced, process.execPath, BINARY, ...argv], { cwd: directory });
    expect(status).toBe(0);
    const lines = readFileSync(log, 'utf8').split('\n');
    const calls = lines.filter((line) => line.includes('x.raw>'));
    return {
      writtenBytes: calls.reduce((sum, line) => sum + Number(/write.* = (\d+)$/.exec(line)?.[1] ?? 0), 0),
      punched: calls.some((line) => line.includes('fallocate(')),
      threads: lines.some((line) => line.includes('worker.cjs')),
    };
  }

  it.skipIf(!canTrace)('writes the bytes that differ and starts no thread for few of them', () => {
    copyFileSync(path('1.raw'), path('x.raw'));
    const { writtenBytes, punched, threads } = trace(['export', '--seed', '1', 'a.vsi@2', 'x.raw', '-q']);
    expect(writtenBytes).toBeGreaterThan(5100);
    expect(writtenBytes).toBeLessThanOrEqual(20 * 1024);
    expect({ punched, threads }).toEqual({ punched: true, threads: false });
  });

  it.skipIf(!canTrace)('writes many bytes that differ on other threads', async () => {
    const one = noise(16 * MIB, 4);
    const two = Buffer.from(one);
    noise(4 * MIB, 5).copy(two, MIB);
    for (let at = 0; at < 100; at++) noise(3000, at).copy(two, 6 * MIB + at * 65_536);
    writeFileSync(path('x.raw'), one);
    writeFileSync(path('much.raw'), two);
    await ok(['import', 'x.raw', 'much.vsi', '-q', '--no-sync']);
    await ok(['import', 'much.raw', 'much.vsi', '-q', '--no-sync']);
    const { writtenBytes, threads } = trace(['export', '--seed', '1', 'much.vsi', 'x.raw', '-q']);
    expect(readFileSync(path('x.raw')).equals(two)).toBe(true);
    expect(writtenBytes).toBeLessThanOrEqual(4 * MIB + 100 * 8192);
    expect(threads).toBe(true);
  });

  it('refuses what can not be that version, and leaves it alone', async () => {
    writeFileSync(path('short.raw'), readFileSync(path('1.raw')).subarray(1));
    for (const name of ['short.raw', '.']) {
      const message = await fails(78, ['export', '--seed', '1', 'a.vsi@3', name]);
      expect(message).toMatch(/name/);
    }
    expect(readFileSync(path('short.raw')).equals(readFileSync(path('1.raw')).subarray(1))).toBe(true);
    await fails(66, ['export', '--seed', '1', 'a.vsi@2', 'nowhere.raw']);
    await fails(66, ['export', '--seed', 'nothing', 'a.vsi@2', '1.raw']);
    await fails(66, ['export', '--seed', '1', 'a.vsi@nothing', '1.raw']);
  });

  it('refuses an image, of whatever length', async () => {
    await fails(64, ['export', '--seed', '1', 'a.vsi@2', 'a.vsi']);
    await ok(['create', 'b.vsi', '1M', '-q']);
    const bytes = readFileSync(path('b.vsi'));
    writeFileSync(path('as-long.raw'), Buffer.alloc(bytes.length, 'x'));
    await ok(['import', 'as-long.raw', 'c.vsi', '-q']);
    expect(await fails(78, ['export', '--seed', '1', 'c.vsi', 'b.vsi'])).toMatch(/image of versions/);
    await fails(78, ['export', '--seed', '1', 'a.vsi@2', 'b.vsi']);
    expect(readFileSync(path('b.vsi')).equals(bytes)).toBe(true);
  });

  it.each([
    ['stdout', ['export', '--seed', '1', 'a.vsi@2', '-']],
    ['--ignore-errors', ['export', '--seed', '1', '--ignore-errors', 'a.vsi@2', '1.raw']],
    ['an empty revision', ['export', '--seed', '', 'a.vsi@2', '1.raw']],
  ])('does not go with %s', async (_what, argv) => {
    await fails(64, argv);
  });

  it('names the range that can not be read', async () => {
    await ok(['import', '1.raw', 'bad.vsi', '--compression', 'none', '-q']);
    const two = readFileSync(path('1.raw'));
    const fresh = noise(8192, 9);
    fresh.copy(two, 3 * MIB);
    writeFileSync(path('two.raw'), two);
    await ok(['import', 'two.raw', 'bad.vsi', '-q']);
    const container = readFileSync(path('bad.vsi'));
    const at = container.indexOf(fresh.subarray(4096, 4200));
    expect(at).toBeGreaterThan(0);
    container.writeUInt8(container.readUInt8(at + 50) ^ 1, at + 50);
    writeFileSync(path('bad.vsi'), container);
    copyFileSync(path('1.raw'), path('x.raw'));
    const message = await fails(65, ['export', '--seed', '1', 'bad.vsi@2', 'x.raw']);
    expect(message).toContain(`bytes ${3 * MIB + 4096} to ${3 * MIB + 8192} of the disk are unreadable`);
    // What is damaged elsewhere does not matter.
    await ok(['export', '--seed', '1', 'bad.vsi@1', 'x.raw']);
  });

  withLoopDevice('writes a device in place', async (device, backingPath) => {
    const tail = Buffer.alloc(MIB - 5, 't');
    writeFileSync(backingPath, Buffer.concat([readFileSync(path('1.raw')), Buffer.alloc(3 * MIB, 'o'), tail]));
    const loop = device.attach();
    await ok(['export', '--seed', '1', 'a.vsi@2', loop, '-q']);
    expect(readFileSync(loop).equals(Buffer.concat([readFileSync(path('2.raw')), tail]))).toBe(true);
    await ok(['export', '--seed', '2', 'a.vsi', loop, '-q']);
    const working = readFileSync(path('working.raw'));
    expect(readFileSync(loop).subarray(0, working.length).equals(working)).toBe(true);
    expect(readFileSync(loop).subarray(-tail.length).equals(tail)).toBe(true);
  });
});

it('export --seed does not write over a container whose first header is damaged', async () => {
  const { ok, fails, path } = workspace();
  await ok(['create', 'a.vsi', '1M', '-q']);
  await ok(['commit', 'a.vsi', '-m', 'one', '--allow-empty', '-q']);
  const container = Buffer.alloc(1024 * 1024);
  readFileSync(path('a.vsi')).copy(container);
  container.fill(0, 0, 16);
  writeFileSync(path('victim'), container);
  await fails(78, ['export', '--seed', '1', 'a.vsi@1', 'victim']);
  expect(readFileSync(path('victim')).equals(container)).toBe(true);
});
