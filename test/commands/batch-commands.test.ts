import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/registry.ts';
import { BINARY } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

/** A line of a batch with what is typed outside for the same, or why a batch refuses it. */
type Row =
  | { readonly line: string; readonly outside: string; readonly changes?: true }
  | { readonly line: string; readonly refused: string };

const looks = (line: string, outside = line.replace(/^\S+/, '$& disk.vsi')): Row => ({ line, outside });
const changes = (line: string, outside?: string): Row => ({ ...looks(line, outside), changes: true }) as Row;
const refused = (line: string, why: string): Row => ({ line, refused: why });

/** Every command of the program: a new one has to say what it is to a batch. */
const ROWS: Readonly<Record<string, readonly Row[]>> = {
  create: [refused('create 1M', "'create' can not be part of a batch: it makes another image; make the image")],
  import: [changes('import two.raw -m import --tag imported', 'import two.raw disk.vsi -m import --tag imported')],
  export: [looks('export out.raw -l 1 --force')],
  info: [looks('info'), looks('info --all')],
  status: [looks('status'), looks('status -n 1')],
  log: [looks('log'), looks('log -l 1'), looks('log --range 0:100k')],
  show: [looks('show'), looks('show 1 --stat'), looks('show v1 --space')],
  'rev-parse': [looks('rev-parse main v1')],
  read: [looks('read -l 1 --offset 3 --length 9000 -o out.raw')],
  write: [changes('write one.raw'), changes('write --zero --length 64k')],
  resize: [changes('resize +1M')],
  commit: [changes('commit -m more --tag more --allow-empty')],
  diff: [looks('diff 1 2'), looks('diff --stat')],
  map: [looks('map'), looks('map -l 1 --offset 4k --length 4k')],
  blame: [looks('blame')],
  compare: [
    looks('compare @1 one.raw', 'compare disk.vsi@1 one.raw'),
    looks('compare disk.vsi', 'compare disk.vsi disk.vsi'),
    looks('compare two.raw other.vsi --all', 'compare two.raw other.vsi --all'),
  ],
  measure: [looks('measure'), looks('measure -l v1 --compression none')],
  checkout: [changes('checkout v1 -b new --force'), changes('checkout side --force')],
  tag: [looks('tag'), changes('tag v9 1'), changes('tag --lock v1'), changes('tag -d v1')],
  branch: [looks('branch'), changes('branch extra 1'), changes('branch -d side')],
  amend: [changes('amend 1 -m better --tag good')],
  delete: [changes('delete 2')],
  du: [looks('du'), looks('du 1 2')],
  forget: [
    looks('forget --keep-last 1 --dry-run'),
    changes('forget --keep-last 1'),
    refused(
      'forget --keep-last 1 --gc',
      "'forget --gc' can not be part of a batch: gc publishes step by step; leave it",
    ),
  ],
  squash: [changes('squash 1..3')],
  batch: [refused('batch -c status', "'batch' can not be part of a batch: it is one already; give its commands here")],
  gc: [refused('gc', "'gc' can not be part of a batch: it publishes step by step; run 'vsimg gc' after the batch")],
  check: [
    looks('check'),
    looks('check --data'),
    refused('check --repair', "'check --repair' can not be part of a batch: a repair publishes by itself; run"),
  ],
  serve: [refused('serve', "'serve' can not be part of a batch: it keeps the image to itself; run it")],
  bench: [refused('bench', "'bench' can not be part of a batch: it measures an image that nobody else uses; run it")],
  completion: [refused('completion bash', "'completion' can not be part of a batch: it works on no image; run it by")],
  help: [refused('help', "'help' can not be part of a batch: it works on no image; run it by itself")],
};

describe('every command in a batch', () => {
  const { ok, json, run, path } = workspace();

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(300_000, 1));
    writeFileSync(path('two.raw'), noise(600_000, 2));
    await ok(['import', 'two.raw', 'other.vsi', '-q']);
    await ok(['import', 'one.raw', 'first.vsi', '-m', 'one', '--tag', 'v1', '-q']);
    await ok(['branch', 'first.vsi', 'side', '-q']);
    for (const number of [2, 3]) {
      await ok(['write', 'first.vsi', '--data', `of ${number}`, '--offset', String(number * 9000), '-q']);
      await ok(['commit', 'first.vsi', '-m', `number ${number}`, '-q']);
    }
    copyFileSync(path('first.vsi'), path('clean.vsi'));
    await ok(['write', 'first.vsi', '--pattern', '7', '--length', '70000', '--offset', '50k', '-q']);
  });

  const start = (name: string) => {
    rmSync(path('disk.vsi'), { force: true });
    copyFileSync(path(name), path('disk.vsi'));
  };
  beforeEach(() => start('first.vsi'));

  const state = async () => [
    await json(['log', 'disk.vsi']),
    await json(['tag', 'disk.vsi']),
    (await run(['read', 'disk.vsi'])).stdoutBytes.toString('base64'),
  ];

  it('is in the table', () => {
    expect(Object.keys(ROWS).sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
  });

  const rows = Object.values(ROWS).flat();
  it.each(rows.filter((row) => 'outside' in row && row.changes !== true))(
    '$line prints what it prints outside',
    async (row) => {
      const { line, outside } = row as Extract<Row, { outside: string }>;
      const before = readFileSync(path('disk.vsi'));
      const alone = await json(outside.split(' '));
      const { operations, published } = await json(['batch', 'disk.vsi', '-c', line]);
      expect({ operations, published }).toEqual({
        operations: [{ line: 1, command: line.split(' ')[0], result: alone }],
        published: true,
      });
      const text = await ok(outside.split(' '));
      const within = await run(['batch', 'disk.vsi', '-c', line]);
      // Messages are no results.
      expect(within.stdout + within.stderr).toBe(`${text}1 command, published at once\n`);
      expect(readFileSync(path('disk.vsi')).equals(before)).toBe(true);
    },
  );

  it.each(rows.filter((row) => 'outside' in row && row.changes === true))(
    '$line does what it does outside',
    async (row) => {
      const { line, outside } = row as Extract<Row, { outside: string }>;
      const from = line.startsWith('import') ? 'clean.vsi' : 'first.vsi';
      start(from);
      const alone = await json(outside.split(' '));
      const expected = await state();
      start(from);
      const { operations } = await json(['batch', 'disk.vsi', '-c', line]);
      expect(operations).toEqual([{ line: 1, command: line.split(' ')[0], result: alone }]);
      expect(await state()).toEqual(expected);
      await ok(['check', 'disk.vsi', '--data', '-q']);
    },
  );

  it.each(rows.filter((row) => 'refused' in row))('$line is refused', async (row) => {
    const { line, refused } = row as Extract<Row, { refused: string }>;
    const before = readFileSync(path('disk.vsi'));
    const { status, stdout, stderr } = await run(['batch', 'disk.vsi', '-c', line]);
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toMatch(/^vsimg: -c 1: [^\n]*; the image is unchanged\n$/);
    expect(stderr).toContain(refused);
    expect(readFileSync(path('disk.vsi')).equals(before)).toBe(true);
  });

  it('sees what those before it did, as if each had published', async () => {
    const lines = [
      'write two.raw --offset 10000 --length 30000',
      'status',
      'diff',
      'commit -m within --tag within',
      'log',
      'show within',
      'rev-parse HEAD within',
      'write --data later --offset 0',
      'map',
      'blame',
      'compare disk.vsi',
      'compare @HEAD @within --all',
      'measure --compression none',
      'export out.raw --force',
      'compare out.raw',
      'read -l within --length 20 -o out.raw',
      'checkout v1 --force',
      'import two.raw -m again',
      'amend 1 -m first',
      'squash 1..3',
      'forget --keep-last 2',
      'tag',
      'branch',
      'info --all',
    ];
    const { operations } = await json(['batch', 'disk.vsi', ...lines.flatMap((line) => ['-c', line])]);
    start('first.vsi');
    for (const [index, line] of lines.entries()) {
      const outside = line.startsWith('compare @')
        ? line.replaceAll('@', 'disk.vsi@')
        : line.startsWith('import ')
          ? line.replace('two.raw', 'two.raw disk.vsi')
          : line.replace(/^\S+/, '$& disk.vsi');
      const { result } = operations[index];
      const alone = JSON.parse(await ok([...outside.split(' '), '--json']));
      expect(withoutPlaces(result), line).toEqual(withoutPlaces(alone));
    }
    await ok(['check', 'disk.vsi', '--data', '-q']);
  });
});

describe('lines of a batch', () => {
  const { ok, json, run, fails, path } = workspace();
  const data = noise(100_000, 1);

  beforeEach(async () => {
    writeFileSync(path('one.raw'), data);
    rmSync(path('disk.vsi'), { force: true });
    await ok(['import', 'one.raw', 'disk.vsi', '-m', 'one', '-q']);
  });

  it('have their results on stdout, and nothing else there', async () => {
    const lines = [
      'write --data hello --offset 10',
      'read --offset 10 --length 5',
      'tag x',
      'log --oneline',
      'read --length 70000',
      'log --oneline',
      'export -',
      'log --oneline',
    ];
    const log = await ok(['log', 'disk.vsi', '-l', '1', '--oneline']);
    const { status, stdoutBytes, stderr } = await run(['batch', 'disk.vsi', ...lines.flatMap((line) => ['-c', line])]);
    const changed = Buffer.from(data);
    changed.write('hello', 10);
    const tagged = Buffer.from(log.replace('(HEAD -> main)', '(HEAD -> main, tag: x)'));
    const hello = Buffer.from('hello');
    const expected = Buffer.concat([hello, tagged, changed.subarray(0, 70_000), tagged, changed, tagged]);
    expect({ status, same: stdoutBytes.equals(expected) }).toEqual({ status: 0, same: true });
    expect(stderr).toMatch(/^wrote 5 B at 10: .*\ntag x is version 1\n8 commands, published at once\n$/);
  });

  it.each([
    ['diff --exit-code -q', 1, 'there are differences'],
    ['status --exit-code -q', 1, 'there are differences'],
    ['compare -q one.raw', 1, 'there are differences'],
    ['compare -q other.raw', 66, "there is no file 'other.raw'"],
    ['rev-parse --verify -q nothing', 66, 'there is no such version'],
    ['check -q', 78, 'a check tells of what is published'],
    ['du', 78, 'the space of versions tells of what is published'],
    ['du 1', 78, 'the space of versions tells of what is published'],
    ['show --space', 78, 'the space of versions tells of what is published'],
  ])('%s, after a change, is refused: status %d', async (line, status, message) => {
    const argv = ['batch', 'disk.vsi', '-c', 'write -q --data x', '-c', line, '-c', 'commit -m never'];
    expect(await fails(status, argv)).toContain(`-c 2: ${message}`);
    const { stderr } = await run([...argv, '--json']);
    expect(JSON.parse(stderr)).toMatchObject({ 'exit-status': status });
    expect(await json(['status', 'disk.vsi'])).toMatchObject({ head: { version: 1, dirty: false } });
  });

  it('are carried out as long as conditions are met', async () => {
    const conditions = ['check -q', 'diff --exit-code -q', 'status --exit-code -q', 'compare -q one.raw'];
    const argv = ['batch', 'disk.vsi', ...conditions.flatMap((line) => ['-c', line]), '-c', 'tag same'];
    expect(await run(argv)).toMatchObject({
      status: 0,
      stdout: '',
      stderr: 'tag same is version 1\n5 commands, published at once\n',
    });
  });

  it('end with the status of a check that finds damage', async () => {
    const bytes = readFileSync(path('disk.vsi'));
    const [, ...positions] = (await json(['map', 'disk.vsi'])).ranges.map(({ offset }: { offset?: number }) => offset);
    const at = positions.find((offset: number | undefined) => offset !== undefined) ?? 20_000;
    bytes[at + 5] = (bytes[at + 5] as number) ^ 1;
    writeFileSync(path('disk.vsi'), bytes);
    const { status, stderr } = await run(['batch', 'disk.vsi', '-c', 'check --data -q', '-c', 'tag never']);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'vsimg: -c 1: there are errors in the image; the image is unchanged\n',
    });
  });

  it('leave no bytes of a disk within a JSON document', async () => {
    for (const line of ['read --length 4', 'export -', 'map --svg -', 'map --heat']) {
      const { status, stdout, stderr } = await run(['batch', 'disk.vsi', '--json', '-c', line]);
      expect({ line, status }).toEqual({ line, status: 64 });
      expect(JSON.parse(stdout)).toMatchObject({ operations: [], published: false });
      expect(JSON.parse(stderr).message).toContain('stdout cannot take both');
    }
  });

  it('show progress one after the other', async () => {
    const lines = ['check --data', 'export out.raw --force', 'compare out.raw'];
    const argv = ['batch', 'disk.vsi', '--json', '--progress=json', ...lines.flatMap((line) => ['-c', line])];
    const { stderr } = await run(argv);
    const phases = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).phase);
    expect([...new Set(phases)]).toEqual(['check', 'export', 'compare']);
  });

  it('may read stdin where it is not the script', async () => {
    const argv = ['batch', 'disk.vsi', '-q', '-c', 'import - -m piped', '-c', 'tag piped'];
    await ok(argv, { stdin: noise(5000, 9) });
    expect(await json(['log', 'disk.vsi'])).toMatchObject({ versions: [{ message: 'piped', tags: ['piped'] }, {}] });
    for (const line of ['import -', 'compare -', 'write'])
      expect(await fails(64, ['batch', 'disk.vsi'], { stdin: `${line}\n` })).toContain('line 1: stdin is the script');
  });

  it('keep the image locked, whatever they look at', async () => {
    const lines = ['compare disk.vsi', 'measure', 'export held.raw'];
    const argv = ['batch', 'disk.vsi', '-q', ...lines.flatMap((line) => ['-c', line]), '-c', 'write -'];
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, [BINARY, ...argv], { cwd: path('.'), stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = new Promise((resolve) => child.on('close', resolve));
    while (!existsSync(path('held.raw'))) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await fails(75, ['tag', 'disk.vsi', 'x'])).toContain('another process');
    child.stdin.end('x');
    expect(await ended).toBe(0);
  });
});

interface Document {
  readonly 'actual-size'?: number;
  readonly 'format-specific'?: {
    readonly data: Readonly<Record<string, unknown>> & {
      readonly generation: number;
      readonly space: { readonly 'data-bytes': number };
    };
  };
  readonly ranges?: readonly Readonly<Record<string, unknown>>[];
}

/** Without what depends on where in the file something lies, and how often was published. */
function withoutPlaces(document: Document): unknown {
  const { 'actual-size': _, ...rest } = document;
  const specific = rest['format-specific'];
  if (specific !== undefined) {
    const { generation, space, ...data } = specific.data;
    return { ...rest, 'format-specific': { data, holdsData: space['data-bytes'] > 0, published: generation > 0 } };
  }
  const { ranges } = rest;
  if (ranges?.[0]?.['depth'] === undefined) return rest;
  return { ...rest, ranges: ranges.map(({ offset: _offset, ...range }) => range) };
}
