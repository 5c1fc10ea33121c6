import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openImageFile } from '../../src/image/file.ts';
import { BINARY, runShell } from '../support/cli.ts';
import { mountFileSystem } from '../support/file-system.ts';
import { stateOf } from '../support/script.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

const { ok, fails, path, directory } = workspace();
const mounted = mountFileSystem(path('disk'), 4 * MIB);
if (typeof mounted === 'string') console.info(`skipped: ${mounted}`);
const fileSystem = typeof mounted === 'string' ? undefined : mounted;

async function stateIn(place: string): Promise<string> {
  const image = await openImageFile(join(place, 'a.vsi'), { mode: 'read-long' });
  try {
    return await stateOf(image);
  } finally {
    image.close();
  }
}

/** Puts an image of some versions there, with something to collect and something uncommitted. */
function prepare(place: string): void {
  for (const name of readdirSync(place)) if (name !== 'lost+found') rmSync(join(place, name));
  copyFileSync(path('fresh.vsi'), join(place, 'a.vsi'));
}

beforeAll(async () => {
  writeFileSync(path('one.raw'), noise(MIB / 2, 1));
  writeFileSync(path('two.raw'), noise(MIB / 2, 2));
  writeFileSync(path('new.raw'), noise(MIB / 2, 3));
  for (const source of ['one.raw', 'two.raw', 'one.raw']) await ok(['import', source, 'fresh.vsi', '-q']);
  await ok(['delete', 'fresh.vsi', '2', '-q']);
  await ok(['write', 'fresh.vsi', '-q', '--offset', '100'], { stdin: 'changed' });
});

const READING = [
  'info a.vsi',
  'log a.vsi',
  'diff a.vsi',
  'read a.vsi',
  'check a.vsi --data',
  'tag a.vsi',
  'gc a.vsi -n',
];

describe.skipIf(fileSystem === undefined)('a file system', () => {
  const place = fileSystem?.directory ?? directory;
  const shell = (script: string) => runShell(script, { cwd: place, env: { NEW: path('new.raw') } });

  it.each([0, 20])('that is full but for %d KiB', async (kilobytes) => {
    prepare(place);
    let before = await stateIn(place);
    spawnSync('bash', ['-c', `cat /dev/zero >filler; sync; truncate -s -${kilobytes}K filler; sync`], { cwd: place });
    const names = readdirSync(place);
    let full = 0;
    for (const command of [
      'create b.vsi 1M',
      'import "$NEW" b.vsi',
      'import - b.vsi <"$NEW"',
      'checkout a.vsi 3 --force',
      'import "$NEW" a.vsi -m more',
      'import - a.vsi -m more <"$NEW"',
      'write a.vsi "$NEW"',
      'commit a.vsi -m more --allow-empty',
      'tag a.vsi new',
      'branch a.vsi side',
      'export a.vsi b.raw',
      'export a.vsi - >c.raw',
      'read a.vsi -o b.raw',
      'delete a.vsi 1',
      'gc a.vsi',
    ]) {
      const { status, stderr } = await shell(`vsimg ${command} -q`);
      const now = await stateIn(place);
      if (status === 0) {
        expect(stderr).toBe('');
        before = now;
      } else {
        full++;
        expect({ command, status, stderr }).toEqual({
          command,
          status: 79,
          stderr: expect.stringMatching(
            /^vsimg: [^\n]+: no space left on the file system[^\n]*; free some space[^\n]*\n$/,
          ),
        });
        expect({ command, same: now === before }).toEqual({ command, same: true });
      }
      rmSync(join(place, 'c.raw'), { force: true });
      for (const name of ['b.vsi', 'b.raw']) if (status === 0) rmSync(join(place, name), { force: true });
      expect(readdirSync(place), command).toEqual(names);
    }
    expect(full).toBeGreaterThan(5);
    for (const reading of READING)
      expect(await shell(`vsimg ${reading} >/dev/null`)).toMatchObject({ status: 0, stderr: '' });
    rmSync(join(place, 'filler'));
    await ok(['gc', join(place, 'a.vsi'), '-q']);
    await ok(['check', join(place, 'a.vsi'), '--data', '-q']);
    expect(await stateIn(place)).toBe(before);
  });

  it('that can only be read', async () => {
    prepare(place);
    writeFileSync(join(place, 'there.raw'), 'x');
    const before = await stateIn(place);
    fileSystem?.remount('ro');
    try {
      for (const command of [
        'create b.vsi 1M',
        'create a.vsi 1M --force',
        'import "$NEW" b.vsi',
        'import "$NEW" a.vsi',
        'write a.vsi "$NEW"',
        'commit a.vsi -m more',
        'checkout a.vsi 1 --force',
        'tag a.vsi new',
        'branch a.vsi new',
        'delete a.vsi 1',
        'gc a.vsi',
        'export a.vsi b.raw',
        'export a.vsi there.raw --force',
        'read a.vsi -o b.raw',
      ]) {
        const { status, stderr } = await shell(`vsimg ${command}`);
        expect({ command, status, stderr }).toEqual({
          command,
          status: 77,
          stderr: expect.stringMatching(/^vsimg: [^\n]+: the file system is read-only; use a place[^\n]*\n$/),
        });
      }
      for (const reading of READING)
        expect(await shell(`vsimg ${reading} >/dev/null`)).toMatchObject({ status: 0, stderr: '' });
      expect(await stateIn(place)).toBe(before);
    } finally {
      fileSystem?.remount('rw');
    }
  });
});

/** Runs the program as somebody whom permissions apply to. */
const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, BINARY];
const asNobody = process.getuid?.() === 0 && spawnSync('setpriv', [...NOBODY, '--version']).status === 0;
if (!asNobody) console.info('skipped: setpriv does not work here, or others can not reach the program');

describe.skipIf(!asNobody)('somebody without permission', () => {
  const place = path('place');
  beforeEach(() => {
    chmodSync(directory, 0o755);
    if (!existsSync(place)) mkdirSync(place);
  });

  it.each([
    [0o000, 'info a.vsi', 77],
    [0o000, 'read a.vsi', 77],
    [0o000, 'check a.vsi', 1],
    [0o000, 'write a.vsi', 77],
    [0o000, 'create a.vsi 1M --force', 77],
    [0o000, 'export a.vsi out.raw', 77],
    [0o444, 'info a.vsi', 0],
    [0o444, 'check a.vsi --data', 0],
    [0o444, 'read a.vsi --length 4k', 0],
    [0o444, 'write a.vsi', 77],
    [0o444, 'import ../secret.raw a.vsi', 77],
    [0o444, 'gc a.vsi', 77],
    [0o444, 'gc a.vsi -n', 0],
    [0o444, 'create b.vsi 1M', 77],
    [0o444, 'import ../one.raw b.vsi', 77],
    [0o444, 'export a.vsi b.raw', 77],
    [0o444, 'read a.vsi -o b.raw', 77],
    [0o666, 'tag a.vsi new', 0],
    [0o666, 'import ../secret.raw a.vsi', 77],
    [0o666, 'write a.vsi ../secret.raw', 77],
  ])('an image of mode %o: %s gives %d', async (mode, command, expected) => {
    prepare(place);
    writeFileSync(path('secret.raw'), 'secret', { mode: 0o600 });
    const image = join(place, 'a.vsi');
    chmodSync(image, mode);
    const before = await stateIn(place);
    const bytes = readFileSync(image);
    const { status, stderr } = spawnSync('setpriv', [...NOBODY, ...command.split(' ')], {
      cwd: place,
      encoding: 'utf8',
    });
    const message =
      expected === 0 ? '' : expect.stringMatching(/^vsimg: [^\n]+: permission denied; check the permissions[^\n]*\n$/);
    expect({ status, stderr }).toEqual({ status: expected, stderr: message });
    expect(readdirSync(place)).toEqual(['a.vsi']);
    if (expected !== 0) expect(readFileSync(image).equals(bytes)).toBe(true);
    else if (!command.startsWith('tag')) expect(await stateIn(place)).toBe(before);
  });

  it('may not make a file in a place that is not there or no directory', async () => {
    for (const name of ['none/b.vsi', 'one.raw/b.vsi'])
      expect(await fails(66, ['create', name, '1M'])).toMatch(/check the path\n$/);
  });
});
