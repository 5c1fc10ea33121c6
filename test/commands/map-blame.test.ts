import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY, runInProcess } from '../support/cli.ts';
import { EPOCH, noise, workspace } from '../support/workspace.ts';

const BLOCK = 4096;
const DATE = '2023-11-14T22:13:20Z';
const { ok, json, fails, run, path, directory } = workspace();

beforeAll(async () => {
  await ok(['create', 'a.vsi', '1M', '-q']);
  await ok(['write', 'a.vsi', '-q'], { stdin: noise(16 * BLOCK, 1) });
  await ok(['commit', 'a.vsi', '-m', 'one', '--tag', 'v1', '-q']);
  await ok(['write', 'a.vsi', '-q', '--offset', String(4 * BLOCK)], { stdin: Buffer.alloc(2 * BLOCK, 'x') });
  await ok(['write', 'a.vsi', '-q', '--zero', '--offset', String(8 * BLOCK), '--length', String(3 * BLOCK)]);
  await ok(['commit', 'a.vsi', '-m', 'two & <more>\nand a second line', '-q']);
  await ok(['write', 'a.vsi', '-q', '--offset', '512k'], { stdin: 'x' });
});

describe('vsimg map', () => {
  it('lists what holds data, where it lies, and who wrote it', async () => {
    const text = await ok(['map', 'a.vsi']);
    const lines = text.trimEnd().split('\n');
    expect(lines[0]).toBe(' Offset   Length  Kind   Mapped to  Version');
    expect(lines.slice(1).map((line) => line.trim().split(/ +/))).toEqual([
      ['0', '16384', 'data', expect.stringMatching(/^\d+$/), '1'],
      ['16384', '8192', 'data', 'compressed', '2'],
      ['24576', '8192', 'data', expect.stringMatching(/^\d+$/), '1'],
      ['32768', '12288', 'zero', '-', '2'],
      ['45056', '20480', 'data', expect.stringMatching(/^\d+$/), '1'],
      ['524288', '4096', 'data', 'compressed', '-'],
    ]);
    expect(await ok(['map', 'a.vsi', '--list'])).toBe(text);
    expect(await ok(['map', 'a.vsi@v1', '--offset', '8k', '--length', '8k'])).toMatch(
      /^.*\n +8192 +8192 +data +\d+ +1\n$/,
    );
    expect(await ok(['map', 'a.vsi', '--offset', '600k'])).toBe('');
  });

  it("has qemu-img's fields in JSON, over the whole disk", async () => {
    const { ranges, ...head } = await json(['map', 'a.vsi']);
    expect(head).toEqual({ filename: 'a.vsi', version: null, 'virtual-size': 1048576, offset: 0, length: 1048576 });
    const stored = { depth: 0, present: true, zero: false, data: true };
    const zeros = { depth: 0, zero: true, data: false, compressed: false };
    const offset = expect.any(Number);
    expect(ranges).toEqual([
      { start: 0, length: 16384, ...stored, compressed: false, offset, version: 1 },
      { start: 16384, length: 8192, ...stored, compressed: true, version: 2 },
      { start: 24576, length: 8192, ...stored, compressed: false, offset, version: 1 },
      { start: 32768, length: 12288, ...zeros, present: true, version: 2 },
      { start: 45056, length: 20480, ...stored, compressed: false, offset, version: 1 },
      { start: 65536, length: 458752, ...zeros, present: false, version: 0 },
      { start: 524288, length: 4096, ...stored, compressed: true, version: null },
      { start: 528384, length: 520192, ...zeros, present: false, version: 0 },
    ]);
    const file = readFileSync(path('a.vsi'));
    expect(file.subarray(ranges[2].offset, ranges[2].offset + 8192)).toEqual(
      noise(16 * BLOCK, 1).subarray(24576, 32768),
    );
    expect(await json(['map', 'a.vsi@v1', '--offset', '1000', '--length', '500'])).toEqual({
      ...{ filename: 'a.vsi', version: 1, 'virtual-size': 1048576, offset: 1000, length: 500 },
      ranges: [{ start: 1000, length: 500, ...stored, compressed: false, offset: ranges[0].offset + 1000, version: 1 }],
    });
  });

  it('draws the newest versions, one a line, in whatever width there is', async () => {
    const text = await ok(['map', 'a.vsi', '--heat', '--length', '64k'], { env: { COLUMNS: '80' } });
    expect(text.split('\n')).toEqual([
      '2 ▓▓▓▓██▓▓░░░▓▓▓▓▓ two & <more>',
      '1 ████████████████ (v1) one',
      '  0 B       64 KiB',
      '█ changed by that version  ▓ by the next older  ▒ before  ░ zeroed  · never',
      '',
    ]);
    for (const columns of ['20', '40', '80', '200']) {
      const lines = (await ok(['map', 'a.vsi', '--heat'], { env: { COLUMNS: columns } })).split('\n');
      expect(lines.slice(0, 3).map((line) => line[0])).toEqual(['*', '2', '1']);
      for (const line of lines) expect([...line].length).toBeLessThanOrEqual(Number(columns));
    }
    expect((await ok(['map', 'a.vsi', '--heat', '-n', '1'])).split('\n')).toHaveLength(4);
  });

  it('draws on a terminal, in colour where that is wanted', async () => {
    const draw = (env: Record<string, string>, ...more: string[]) =>
      runInProcess(['map', path('a.vsi'), ...more], { terminals: 'both', env });
    expect((await draw({})).stdout).toContain('\u001b[');
    const plain = (await draw({ NO_COLOR: '1' })).stdout;
    expect(plain).not.toContain('\u001b');
    expect(plain).toMatch(/^\* [▓█▒░·]+ not committed yet\n2 /);
    expect((await draw({ NO_COLOR: '1' }, '--list')).stdout).toMatch(/^ Offset/);
  });

  it('draws an SVG that stands alone', async () => {
    expect(await ok(['map', 'a.vsi', '--svg', 'a.svg'])).toBe('drew 3 states to a.svg\n');
    const svg = readFileSync(path('a.svg'), 'utf8');
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" /);
    expect(svg).toContain('prefers-color-scheme:dark');
    expect(svg).toContain('two &amp; &lt;more&gt;');
    expect(svg).toContain('<title>version 2</title>');
    expect(svg).toContain('<title>not committed</title>');
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|@import|href|<script/);
    // Every element that is opened is closed.
    const opened = [...svg.matchAll(/<([a-z]+)(?: [^>]*[^/])?>/g)].map(([, name]) => name).sort();
    expect([...svg.matchAll(/<\/([a-z]+)>/g)].map(([, name]) => name).sort()).toEqual(opened);
    expect(await ok(['map', 'a.vsi', '--svg', '-'])).toBe(svg);
    expect(await ok(['map', 'a.vsi', '--svg', 'b.svg', '-q'])).toBe('');
    const document = await json(['map', 'a.vsi', '--svg', 'b.svg']);
    expect(document.ranges).toHaveLength(8);
    expect(readFileSync(path('b.svg'), 'utf8')).toBe(svg);
  });

  it('refuses what makes no sense', async () => {
    expect(await fails(78, ['map', 'a.vsi', '--offset', '2M'])).toContain('beyond the end of the disk');
    const refused = await run(['map', 'a.vsi', '--offset', '1M', '--length', '1', '--json']);
    expect(refused).toMatchObject({ status: 78, stdout: '' });
    expect(JSON.parse(refused.stderr).code).toBe('refused');
    expect(await fails(66, ['map', 'a.vsi@nope'])).toContain("'nope'");
    expect(await fails(64, ['map', 'a.vsi', '--list', '--heat'])).toContain('exclude each other');
    expect(await fails(64, ['map', 'a.vsi', '--svg', 'a.vsi'])).toContain('same file');
    expect((await run(['map', 'a.vsi', '--heat', '--json'])).status).toBe(64);
    expect((await run(['map', 'a.vsi', '--svg', '-', '--json'])).status).toBe(64);
    expect(await fails(64, ['map', 'a.vsi', '-n', '0'])).toContain('-n 0');
  });

  it('stops when its reader goes away', () => {
    const script = `"$0" "$1" map a.vsi --json | head -c 10; echo " \${PIPESTATUS[0]}"`;
    const result = spawnSync('bash', ['-c', script, process.execPath, BINARY], { cwd: directory, encoding: 'utf8' });
    expect(result.stdout).toMatch(/ 0\n$/);
    expect(result.stderr).toBe('');
  });

  it('tells what a repair gave up', async () => {
    await ok(['create', 'lost.vsi', '1M', '-q']);
    await ok(['write', 'lost.vsi', '-q'], { stdin: noise(4 * BLOCK, 3) });
    await ok(['commit', 'lost.vsi', '-m', 'one', '-q']);
    const [{ offset }] = (await json(['map', 'lost.vsi'])).ranges;
    const file = openSync(path('lost.vsi'), 'r+');
    writeSync(file, 'damage', offset + BLOCK);
    closeSync(file);
    expect((await run(['check', 'lost.vsi', '--repair'])).status).toBe(2);
    const { ranges } = await json(['map', 'lost.vsi', '--length', '16k']);
    expect(ranges.map((range: { start: number; lost?: true }) => [range.start, range.lost])).toEqual([
      [0, undefined],
      [BLOCK, true],
      [2 * BLOCK, undefined],
    ]);
    expect(ranges[1]).toMatchObject({ length: BLOCK, data: true, zero: false, present: true });
    expect(ranges[1]).not.toHaveProperty('offset');
    expect(await ok(['map', 'lost.vsi'])).toMatch(/ 4096 +4096 {2}lost +- {2}1$/m);
  });

  it('agrees with qemu-img on which blocks of a real file system hold data', async () => {
    mkdirSync(path('tree'));
    writeFileSync(path('tree/library'), noise(700_000, 5));
    writeFileSync(path('tree/text'), 'a line of text\n'.repeat(20_000));
    const tool = (command: string, argv: string[]) =>
      spawnSync(command, argv, {
        cwd: directory,
        encoding: 'utf8',
        env: { ...process.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` },
      });
    expect(tool('mke2fs', ['-q', '-t', 'ext4', '-d', 'tree', 'disk.raw', '32M']).status).toBe(0);
    await ok(['import', 'disk.raw', 'disk.vsi', '-m', 'one', '-q']);
    expect(tool('debugfs', ['-w', '-R', 'rm library', 'disk.raw']).status).toBe(0);
    expect(tool('debugfs', ['-w', '-R', 'write tree/text copy', 'disk.raw']).status).toBe(0);
    await ok(['import', 'disk.raw', 'disk.vsi', '-m', 'two', '-q']);
    for (const version of ['1', '2']) {
      await ok(['export', `disk.vsi@${version}`, 'out.raw', '-f', '-q']);
      const theirs = JSON.parse(tool('qemu-img', ['map', '--output=json', '-f', 'raw', 'out.raw']).stdout);
      const ours = (await json(['map', `disk.vsi@${version}`])).ranges;
      expect(blocks(ours)).toEqual(blocks(theirs));
      expect(blocks(ours)).toContain('data');
      expect(blocks(ours)).toContain('zero');
    }
    const { ranges } = await json(['blame', 'disk.vsi']);
    expect(new Set(ranges.map(({ version }: { version: number }) => version))).toEqual(new Set([0, 1, 2]));
  });
});

interface MapRange {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
}

function blocks(ranges: readonly MapRange[]): string[] {
  const result: string[] = [];
  for (const { start, length, zero, data } of ranges)
    for (let at = start; at < start + length; at += BLOCK)
      result[at / BLOCK] = `${zero ? 'zero' : ''}${data ? 'data' : ''}`;
  return result;
}

describe('vsimg blame', () => {
  it('names the version that changed each range last', async () => {
    const { versions } = await json(['log', 'a.vsi']);
    const [two, one] = versions.map((version: { 'version-id': string }) => version['version-id'].slice(0, 8));
    expect(await ok(['blame', 'a.vsi'])).toBe(
      [
        `${one} 1 ${DATE}       0   16384 one`,
        `${two} 2 ${DATE}   16384    8192 two & <more>`,
        `${one} 1 ${DATE}   24576    8192 one`,
        `${two} 2 ${DATE}   32768   12288 zero: two & <more>`,
        `${one} 1 ${DATE}   45056   20480 one`,
        `00000000 - -                     524288    4096 not committed yet`,
        '',
      ].join('\n'),
    );
    expect(await ok(['blame', 'a.vsi@v1', '--offset', '18k', '--length', '1k'])).toBe(
      `${one} 1 ${DATE} 18432 1024 one\n`,
    );
    expect(await ok(['blame', 'a.vsi', '--offset', '600k'])).toBe('');
  });

  it('describes each version once in JSON', async () => {
    const document = await json(['blame', 'a.vsi', '-l', 'HEAD', '--offset', '4k', '--length', '16k']);
    expect(document).toEqual({
      ...{ filename: 'a.vsi', version: 2, 'virtual-size': 1048576 },
      ranges: [
        { start: 4096, length: 12288, kind: 'data', version: 1 },
        { start: 16384, length: 4096, kind: 'data', version: 2 },
      ],
      versions: [
        expect.objectContaining({ version: 1, message: 'one', tags: ['v1'], 'date-sec': EPOCH }),
        expect.objectContaining({ version: 2, branches: ['main'], head: true }),
      ],
    });
    expect((await json(['blame', 'a.vsi', '--offset', '600k'])).ranges).toEqual([
      { start: 614400, length: 434176, kind: 'zero', version: 0 },
    ]);
  });

  it('has ranges alone in lines of JSON', async () => {
    const { stdout } = await runInProcess(['blame', path('a.vsi@v1'), '--json=lines']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { start: 0, length: 65536, kind: 'data', version: 1 },
      { start: 65536, length: 983040, kind: 'zero', version: 0 },
    ]);
  });

  it('prints nothing of what it can not do', async () => {
    const refused = await run(['blame', 'a.vsi', '--offset', '1M', '--length', '1', '--json']);
    expect(refused).toMatchObject({ status: 78, stdout: '' });
    expect(JSON.parse(refused.stderr).code).toBe('refused');
  });

  it('fits on a terminal', async () => {
    const { stdout } = await runInProcess(['blame', path('a.vsi')], {
      ...{ terminals: 'both', columns: 60, env: { NO_COLOR: '1' } },
    });
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    expect(stdout).toContain('…');
  });

  it('refuses what is behind the end', async () => {
    expect(await fails(78, ['blame', 'a.vsi', '--offset', '1M', '--length', '1'])).toContain(
      'beyond the end of the disk',
    );
  });
});

describe('vsimg log --range', () => {
  beforeAll(async () => {
    await ok(['create', 'b.vsi', '1M', '-q']);
    const write = async (offset: string, message: string) => {
      await ok(['write', 'b.vsi', '-q', '--offset', offset], { stdin: message });
      await ok(['commit', 'b.vsi', '-m', message, '-q']);
    };
    await write('0', 'first');
    await write('64k', 'second');
    await write('0', 'third');
    await ok(['checkout', 'b.vsi', '2', '-b', 'side', '-q']);
    await write('0', 'fourth');
    await write('128k', 'fifth');
    await write('2k', 'sixth');
  });

  const numbers = async (...argv: string[]): Promise<number[]> =>
    (await json(['log', 'b.vsi', ...argv])).versions.map(({ version }: { version: number }) => version);

  it('lists only versions that changed something there', async () => {
    expect(await numbers('--range', '0:512')).toEqual([6, 4, 3, 1]);
    expect(await numbers('--range', '64k:1')).toEqual([2]);
    expect(await numbers('--range', '64k:1', '--range', '128k:')).toEqual([5, 2]);
    expect(await numbers('--range', '0:4k', '-n', '2')).toEqual([6, 4]);
    expect(await numbers('--range', '0:4k', '-n', '0')).toEqual([]);
    expect(await numbers('--range', '1M:')).toEqual([]);
    expect((await json(['log', 'b.vsi@3', '--range', '0:4k'])).versions).toMatchObject([
      { version: 3 },
      { version: 1 },
    ]);
  });

  it('composes with --oneline and --graph, which leads on to the nearest one that is listed', async () => {
    const text = await ok(['log', 'b.vsi', '--range', '0:4k', '--oneline', '--graph']);
    expect(text.replace(/ [0-9a-f]{8} /g, ' ')).toBe(
      ['* 6 (HEAD -> side) sixth', '* 4 fourth', '| * 3 (main) third', '|/', '* 1 first', ''].join('\n'),
    );
    const rooted = await ok(['log', 'b.vsi', '--range', '64k:256k', '--oneline', '--graph']);
    expect(rooted.replace(/ [0-9a-f]{8} /g, ' ')).toBe('* 5 fifth\n* 2 second\n');
  });

  it('takes a range without an end or a start', async () => {
    expect(await numbers('--range', '64k:')).toEqual([5, 2]);
    expect(await numbers('--range', ':512')).toEqual(await numbers('--range', '0:512'));
    expect(await numbers('--range', '0:')).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it('refuses what is beyond the end of all disks, as blame and read do', async () => {
    for (const range of ['8T:1', '2M:', '128k:1M', '1M:1'])
      expect(await fails(78, ['log', 'b.vsi', '--range', range])).toContain('beyond the end of the disk');
    expect(await fails(78, ['log', 'b.vsi@3', '--range', '2M:1'])).toContain("in 'b.vsi'");
    await fails(78, ['blame', 'b.vsi', '--offset', '8T', '--length', '1']);
    await fails(78, ['read', 'b.vsi', '--offset', '8T', '--length', '1']);
    writeFileSync(path('larger.vsi'), readFileSync(path('b.vsi')));
    await ok(['resize', 'larger.vsi', '2M', '-q']);
    await ok(['commit', 'larger.vsi', '-m', 'larger', '-q']);
    await ok(['checkout', 'larger.vsi', 'main', '-q']);
    expect(await ok(['log', 'larger.vsi', '--range', '1M:512k', '--oneline'])).toMatch(/^7 [^\n]*\n$/);
    await fails(78, ['log', 'larger.vsi@main', '--range', '1M:512k']);
  });

  it('refuses what is no range', async () => {
    for (const range of ['0', ':', '', '0:1:2', '0:0', ':0', 'x:1', '1-2'])
      await fails(64, ['log', 'b.vsi', '--range', range]);
  });
});
