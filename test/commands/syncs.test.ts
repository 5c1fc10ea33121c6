import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY, runInProcess } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const STRACE = ['-f', '-y', '-qq', '--seccomp-bpf', '-e', 'trace=fsync,fdatasync,sync,syncfs,msync,sync_file_range'];
const canTrace = spawnSync('strace', [...STRACE, 'true']).status === 0;
if (!canTrace) console.info('skipped: strace does not work here');

/** What a command waits for the disk for, in the order of the calls: 'file' or 'directory'. */
const COMMANDS: readonly (readonly [command: string, waits: readonly string[] | 'many'])[] = [
  ['create c.vsi 1M', ['file', 'directory']],
  ['import one.raw new.vsi', ['file', 'directory']],
  ['import two.raw a.vsi', ['file', 'file', 'file']],
  ['write a.vsi small --offset 5000', ['file', 'file', 'file']],
  ['resize a.vsi +1M', ['file', 'file', 'file']],
  ['batch a.vsi script', ['file', 'file', 'file']],
  ['commit a.vsi -m x --allow-empty', ['file', 'file', 'file']],
  ['checkout a.vsi 1', ['file', 'file', 'file']],
  ['tag a.vsi new', ['file', 'file', 'file']],
  ['branch a.vsi new', ['file', 'file', 'file']],
  ['branch a.vsi', []],
  ['delete a.vsi 4', ['file', 'file', 'file']],
  ['gc a.vsi', 'many'],
  ['gc a.vsi --compact', 'many'],
  ['check a.vsi --repair', []],
  ['check bad.vsi --repair', ['file', 'file', 'file']],
  ['export a.vsi@1 out.raw', ['file', 'directory']],
  ['export a.vsi@4 old.raw --seed 1', ['file']],
  ['read a.vsi -o out.raw --length 4k', ['file', 'directory']],
];

describe.skipIf(!canTrace)('waiting for the disk', () => {
  const { ok, path, directory } = workspace();

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(300_000, 1));
    writeFileSync(path('two.raw'), noise(300_000, 2));
    writeFileSync(path('small'), noise(3000, 3));
    const writes = Array.from({ length: 1000 }, (_, index) => `write small --offset ${(index * 997) % 290_000}`);
    writeFileSync(path('script'), [...writes, 'commit -m one', 'tag of-one', ...writes, 'commit -m two'].join('\n'));
    for (const source of ['one', 'two', 'one']) await ok(['import', `${source}.raw`, 'fresh.vsi', '-q']);
    await ok(['delete', 'fresh.vsi', '2', '-q']);
    await ok(['tag', 'fresh.vsi', 'v3', '-q']);
    for (const source of ['two', 'one']) await ok(['import', `${source}.raw`, 'fresh.vsi', '-q']);
    await ok(['import', 'two.raw', 'fresh.vsi', '-q']);
  });

  /** Calls of the program itself: a package of native code syncs stdout and stderr when the process ends. */
  function waitsOf(argv: readonly string[]): string[] {
    copyFileSync(path('fresh.vsi'), path('a.vsi'));
    copyFileSync(path('one.raw'), path('old.raw'));
    // One header is damaged.
    writeFileSync(path('bad.vsi'), readFileSync(path('fresh.vsi')).fill(0, 100, 200));
    for (const name of ['c.vsi', 'new.vsi', 'out.raw']) rmSync(path(name), { force: true });
    const log = path('strace.log');
    const { status, stderr } = spawnSync('strace', [...STRACE, '-o', log, process.execPath, BINARY, ...argv, '-q'], {
      cwd: directory,
      encoding: 'utf8',
    });
    expect({ argv, status, stderr }).toEqual({ argv, status: 0, stderr: '' });
    const calls = [...readFileSync(log, 'utf8').matchAll(/(\w*sync\w*)\((\d+)<([^>]*)>/g)];
    return calls
      .filter(([, , descriptor]) => Number(descriptor) > 2)
      .map(([, , , name]) => (name === directory ? 'directory' : 'file'));
  }

  it.each(COMMANDS)('%s', async (command, waits) => {
    const argv = command.split(' ');
    const found = waitsOf(argv);
    if (waits === 'many') {
      expect(found.length).toBeGreaterThan(2);
      expect(new Set(found)).toEqual(new Set(['file']));
    } else {
      expect(found).toEqual(waits);
    }
    expect(waitsOf([...argv, '--no-sync'])).toEqual([]);
    // What was not waited for is there all the same as long as the system runs.
    for (const image of ['a.vsi', 'c.vsi', 'new.vsi'].filter((name) => existsSync(path(name))))
      expect(await runInProcess(['check', path(image), '--data', '-q'])).toMatchObject({ status: 0, stderr: '' });
  });

  it('is an option of what writes only', async () => {
    for (const argv of [
      ['info', path('fresh.vsi')],
      ['log', path('fresh.vsi')],
    ])
      expect(await runInProcess([...argv, '--no-sync'])).toMatchObject({ status: 64 });
    expect(await runInProcess(['tag', path('fresh.vsi'), '--sync'])).toMatchObject({ status: 64 });
  });
});
