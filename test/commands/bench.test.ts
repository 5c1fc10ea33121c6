import { truncateSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { noise, type Workspace, workspace } from '../support/workspace.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('vsimg bench', () => {
  const { ok, json, fails, run, path }: Workspace = workspace();

  /** 1 MiB of data and 1 MiB of holes. */
  beforeEach(async () => {
    writeFileSync(path('a.raw'), noise(MIB, 1));
    truncateSync(path('a.raw'), 2 * MIB);
    await ok(['create', 'a.vsi', '1M', '-f', '-q']);
    await ok(['import', 'a.raw', 'a.vsi', '-q', '--tag', 'v1']);
  });

  it('reads what it says', async () => {
    const result = await json(['bench', 'a.vsi@v1', '-c', '512']);
    expect(result).toMatchObject({
      filename: 'a.vsi',
      version: 1,
      operation: 'read',
      order: 'sequential',
      count: 512,
      depth: 1,
      'request-size': 4 * KIB,
      step: 4 * KIB,
      offset: 0,
      bytes: 2 * MIB,
      'data-bytes': MIB,
    });
    expect(result.seconds).toBeGreaterThan(0);
    expect(result['requests-per-second']).toBeCloseTo(512 / result.seconds, 3);
    expect(result['bytes-per-second']).toBeCloseTo((2 * MIB) / result.seconds, 0);
    const { min, mean, p50, p90, p99, max } = result['latency-microseconds'];
    expect([min, p50, p90, p99, max]).toEqual([min, p50, p90, p99, max].sort((a, b) => a - b));
    expect(mean).toBeGreaterThanOrEqual(min);
    expect(mean).toBeLessThanOrEqual(max);
    expect((await json(['bench', 'a.vsi', '-c', '1'])).version).toBe(null);
  });

  it.each([
    ['goes on at the start of the disk', ['-c', '768'], 2 * MIB],
    ['begins at an offset', ['-c', '256', '-o', '1M'], 0],
    ['begins within a block', ['-c', '1', '-o', '1048570', '-s', '100'], 6],
    ['steps over what is between', ['-c', '16', '-S', '128k'], 8 * 4 * KIB],
    ['reads the same again and again', ['-c', '10', '-S', '2M'], 10 * 4 * KIB],
    ['reads the whole disk at once', ['-c', '3', '-s', '2M'], 3 * MIB],
    ['has several requests under way', ['-c', '512', '-d', '7'], MIB],
    ['reads anywhere behind an offset', ['-c', '50', '--random', '-o', '1M'], 0],
  ])('%s', async (_, options, dataBytes) => {
    expect((await json(['bench', 'a.vsi', ...options]))['data-bytes']).toBe(dataBytes);
  });

  it('keeps as many requests under way as it says', async () => {
    const result = await json(['bench', 'a.vsi', '--random', '-c', '30000', '-d', '8']);
    // Requests under way on average, by Little's law; what happens between requests keeps it below the depth.
    const underWay = (result['latency-microseconds'].mean / 1e6) * result['requests-per-second'];
    expect(underWay).toBeGreaterThan(3);
    expect(underWay).toBeLessThanOrEqual(8.1);
  });

  it('takes random places by its seed', async () => {
    const places = async (...options: string[]) =>
      (await json(['bench', 'a.vsi', '--random', '-c', '301', '-s', '1000', ...options]))['data-bytes'];
    const first = await places();
    expect(await places()).toBe(first);
    expect(await places('-d', '5')).toBe(first);
    expect(new Set([first, await places('--seed', '2'), await places('--seed', '3')]).size).toBeGreaterThan(1);
    expect(first).toBeGreaterThan(100_000);
    expect(first).toBeLessThan(200_000);
  });

  it('writes to the working state only', async () => {
    const before = await ok(['log', 'a.vsi', '--oneline']);
    const text = await ok(['bench', 'a.vsi', '-w', '-c', '128', '-s', '8k', '-d', '3']);
    expect(text).toMatch(/^data: {7}1 MiB stored, 0 B unchanged, 0 B zeros$/m);
    expect(text).toContain('the working state was changed; nothing was committed\n');
    expect((await json(['diff', 'a.vsi'])).ranges).toEqual([{ start: 0, length: MIB, kind: 'data' }]);
    expect(await ok(['log', 'a.vsi', '--oneline'])).toBe(before);
    expect(await run(['compare', 'a.raw', 'a.vsi'])).toMatchObject({ status: 1 });
    expect(await ok(['compare', 'a.raw', 'a.vsi@v1'])).toBe('the disks are the same\n');
    await ok(['checkout', 'a.vsi', 'main', '--force']);
    expect(await ok(['compare', 'a.raw', 'a.vsi'])).toBe('the disks are the same\n');
    await ok(['check', 'a.vsi', '--data']);
  });

  it('writes noise that is never the same, or a pattern', async () => {
    // Twice over the same 64 KiB: every block of the second round is new.
    const noisy = await json(['bench', 'a.vsi', '-w', '-c', '2', '-s', '64k', '-S', '2M', '--flush-interval', '1']);
    expect(noisy).toMatchObject({
      'stored-bytes': 128 * KIB,
      'unchanged-bytes': 0,
      'flush-interval': 1,
      pattern: null,
    });
    const options = ['-w', '--force', '-c', '4', '-s', '64k', '-S', '2M', '--pattern', '65'];
    expect(await json(['bench', 'a.vsi', ...options])).toMatchObject({
      'stored-bytes': 64 * KIB,
      'unchanged-bytes': 192 * KIB,
      pattern: 65,
    });
    expect(await ok(['read', 'a.vsi', '--length', '64k'])).toBe('A'.repeat(64 * KIB));
    await ok(['check', 'a.vsi', '--data']);
  });

  it('writes noise of which no block is like another, so that it does not compress', async () => {
    await json(['bench', 'a.vsi', '-w', '-c', '64']);
    const { space } = (await json(['info', 'a.vsi']))['format-specific'].data;
    expect(space['data-bytes']).toBeGreaterThan(MIB + 256 * KIB - 4 * KIB);
  });

  it('leaves uncommitted changes alone', async () => {
    await ok(['write', 'a.vsi', '-q'], { stdin: 'precious' });
    expect(await fails(78, ['bench', 'a.vsi', '-w', '-c', '1'])).toContain('--force');
    expect(await ok(['read', 'a.vsi', '--length', '8'])).toBe('precious');
  });

  it('refuses what makes no sense', async () => {
    await fails(64, ['bench']);
    await fails(64, ['bench', 'a.vsi', '-c', '0']);
    await fails(64, ['bench', 'a.vsi', '-d', '0']);
    await fails(64, ['bench', 'a.vsi', '-d', '100000']);
    await fails(64, ['bench', 'a.vsi', '-s', '0']);
    await fails(64, ['bench', 'a.vsi', '-S', '0']);
    await fails(64, ['bench', 'a.vsi', '--pattern', '1']);
    await fails(64, ['bench', 'a.vsi', '--seed', '1']);
    await fails(64, ['bench', 'a.vsi', '--random', '-S', '4k']);
    await fails(64, ['bench', 'a.vsi', '-w', '--pattern', '256']);
    await fails(64, ['bench', 'a.vsi@1', '-w']);
    await fails(64, ['bench', 'a.vsi', '-w', '-s', '2M', '-d', '1024']);
    await fails(66, ['bench', 'a.vsi@9']);
    await fails(78, ['bench', 'a.vsi', '-s', '3M']);
    await fails(78, ['bench', 'a.vsi', '-o', '2M']);
    await ok(['create', 'empty.vsi', '0', '-q']);
    await fails(78, ['bench', 'empty.vsi']);
  });
});
