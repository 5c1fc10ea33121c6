import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { EPOCH, noise, workspace } from '../support/workspace.ts';

const DATE = '2023-11-14T22:13:20Z';

describe('vsimg commit, checkout, log, tag, branch, delete', () => {
  const { ok, json, fails, run, path } = workspace();

  const write = (text: string) => ok(['write', 'a.vsi', '-q'], { stdin: text });
  const content = (image: string, length: number) => ok(['read', image, '--length', String(length)]);

  beforeAll(async () => {
    await ok(['create', 'a.vsi', '1M', '-q']);
  });

  it('knows no version at first', async () => {
    expect(await ok(['log', 'a.vsi'])).toBe('');
    expect(await json(['log', 'a.vsi'])).toMatchObject({
      filename: 'a.vsi',
      head: { branch: 'main', version: null },
      versions: [],
    });
    await fails(66, ['diff', 'a.vsi']);
    await fails(66, ['read', 'a.vsi@HEAD']);
  });

  it('commit prints the version', async () => {
    await write('one');
    expect(await ok(['commit', 'a.vsi', '-m', 'first state\n\nbody'])).toMatch(
      new RegExp(`^\\[main 1 [0-9a-f]{8}\\] first state\\n id [0-9a-f]{32}, parent none\\n ${DATE}, 1 MiB\\n$`),
    );
    await write('two');
    const second = await json(['commit', 'a.vsi', '-m', 'second', '--tag', 'v2']);
    expect(second).toEqual({
      filename: 'a.vsi',
      branch: 'main',
      version: 2,
      'version-id': expect.stringMatching(/^[0-9a-f]{32}$/),
      parent: 1,
      'parent-id': expect.stringMatching(/^[0-9a-f]{32}$/),
      next: null,
      'virtual-size': 1048576,
      date: DATE,
      'date-sec': EPOCH,
      message: 'second',
      'first-message': null,
      locked: false,
      tags: ['v2'],
      branches: ['main'],
      head: true,
    });
  });

  it('commit refuses to make the same version again without --allow-empty', async () => {
    await fails(78, ['commit', 'a.vsi', '-m', 'nothing']);
    await fails(64, ['commit', 'a.vsi']);
    await ok(['commit', 'a.vsi', '-m', 'nothing', '--allow-empty', '-q']);
    expect((await json(['log', 'a.vsi', '-n', '1'])).versions[0]).toMatchObject({ version: 3, parent: 2 });
  });

  it('commit changes nothing if the tag is taken', async () => {
    await write('three');
    await fails(73, ['commit', 'a.vsi', '-m', 'x', '--tag', 'v2']);
    expect((await json(['info', 'a.vsi']))['format-specific'].data).toMatchObject({
      'version-count': 3,
      head: { dirty: true },
    });
  });

  it('checkout refuses to drop uncommitted changes without --force', async () => {
    await fails(78, ['checkout', 'a.vsi', '1']);
    expect(await content('a.vsi', 5)).toBe('three');
    expect(await ok(['checkout', 'a.vsi', '--force'])).toMatch(
      /^on branch main, at 3 [0-9a-f]{8} \(HEAD -> main\) nothing\n$/,
    );
    expect(await content('a.vsi', 5)).toBe('two\0\0');
    await fails(64, ['checkout', 'a.vsi']);
    await fails(66, ['checkout', 'a.vsi', 'nothing']);
  });

  it('checkout of an older version starts a new line of history and loses nothing', async () => {
    expect(await json(['checkout', 'a.vsi', '1'])).toEqual({
      filename: 'a.vsi',
      head: { branch: null, version: 1, dirty: false, 'virtual-size': 1048576 },
    });
    await ok(['checkout', 'a.vsi', '1', '-b', 'side', '-q']);
    await fails(73, ['checkout', 'a.vsi', '1', '-b', 'main']);
    await write('side');
    expect(await json(['commit', 'a.vsi', '-m', 'on the side'])).toMatchObject({
      branch: 'side',
      version: 4,
      parent: 1,
    });
    expect(await content('a.vsi@main', 4)).toBe('two\0');
    expect(await content('a.vsi@side', 4)).toBe('side');
    expect(await content('a.vsi@side~1', 4)).toBe('one\0');
  });

  it('log shows versions, newest first, with what names them', async () => {
    const log = await ok(['log', 'a.vsi']);
    expect(log.split('\n').slice(0, 8)).toEqual([
      'version 4 (HEAD -> side)',
      expect.stringMatching(/^Id: {5}[0-9a-f]{32}$/),
      'Parent: 1',
      `Date:   ${DATE}`,
      'Size:   1 MiB (1048576 bytes)',
      '',
      '    on the side',
      '',
    ]);
    expect(log).toContain('\n    first state\n\n    body\n');
  });

  it('log --oneline --graph draws lines of history', async () => {
    const lines = (await ok(['log', 'a.vsi', '--oneline', '--graph'])).replace(/ [0-9a-f]{8}\b/g, '');
    expect(lines).toBe(
      [
        '* 4 (HEAD -> side) on the side',
        '| * 3 (main) nothing',
        '| * 2 (tag: v2) second',
        '|/',
        '* 1 first state',
        '',
      ].join('\n'),
    );
    expect(await ok(['log', 'a.vsi', '--graph'])).toContain('| * version 2 (tag: v2)\n|/  Id:     ');
  });

  it('log limits the number, follows one line, and prints JSON', async () => {
    expect((await ok(['log', 'a.vsi', '--oneline', '-n', '2'])).split('\n')).toHaveLength(3);
    expect(await ok(['log', 'a.vsi', '--oneline', '-n', '0'])).toBe('');
    const { versions } = await json(['log', 'a.vsi@v2']);
    expect(versions.map(({ version }: { version: number }) => version)).toEqual([2, 1]);
    expect(versions[1]).toMatchObject({ next: 2, parent: null, 'parent-id': null, message: 'first state\n\nbody' });
    await fails(64, ['log', 'a.vsi', '-n', 'x']);
    await fails(66, ['log', 'a.vsi@nothing']);
  });

  it('tag lists, makes, moves and deletes', async () => {
    await ok(['tag', 'a.vsi', 'v1', '1', '-q']);
    expect(await ok(['tag', 'a.vsi', 'newest'])).toBe('tag newest is version 4\n');
    expect(await ok(['tag', 'a.vsi'])).toMatch(
      /^newest {2}4 {2}[0-9a-f]{8} {2}on the side\nv1 {6}1 {2}[0-9a-f]{8} {2}first state\nv2 {6}2 {2}[0-9a-f]{8} {2}second\n$/,
    );
    await fails(73, ['tag', 'a.vsi', 'v1', '2']);
    expect(await json(['tag', 'a.vsi', 'v1', '2', '-f'])).toEqual({
      filename: 'a.vsi',
      tag: { name: 'v1', version: 2 },
    });
    await fails(66, ['tag', 'a.vsi', '-d', 'v1', 'none']);
    expect((await json(['tag', 'a.vsi'])).tags.length).toBe(3);
    expect(await ok(['tag', 'a.vsi', '-d', 'v1', 'newest', '-d', 'v1'])).toBe(
      'deleted tag v1 (was version 2)\ndeleted tag newest (was version 4)\n',
    );
    expect(await json(['tag', 'a.vsi'])).toEqual({
      filename: 'a.vsi',
      tags: [{ name: 'v2', version: 2, locked: false }],
    });
    await fails(66, ['tag', 'a.vsi', '-d', 'v1']);
    await fails(66, ['tag', 'a.vsi', 'x', 'nothing']);
    for (const name of ['123', '-x', 'a b', 'a..b', 'HEAD', 'a~1', '']) await fails(64, ['tag', 'a.vsi', '--', name]);
  });

  it('names are unique among tags and branches', async () => {
    await fails(73, ['tag', 'a.vsi', 'main']);
    await fails(73, ['branch', 'a.vsi', 'v2']);
  });

  it('branch lists, makes, moves and deletes', async () => {
    expect(await ok(['branch', 'a.vsi', 'third', 'v2'])).toBe('branch third is version 2\n');
    expect((await ok(['branch', 'a.vsi'])).split('\n')).toEqual([
      expect.stringMatching(/^ {2}main {3}3 {2}[0-9a-f]{8} {2}nothing$/),
      expect.stringMatching(/^\* side {3}4 /),
      expect.stringMatching(/^ {2}third {2}2 /),
      '',
    ]);
    await fails(73, ['branch', 'a.vsi', 'third', '1']);
    await ok(['branch', 'a.vsi', 'third', '1', '--force', '-q']);
    expect((await json(['branch', 'a.vsi'])).branches).toEqual([
      { name: 'main', version: 3, current: false },
      { name: 'side', version: 4, current: true },
      { name: 'third', version: 1, current: false },
    ]);
    await fails(78, ['branch', 'a.vsi', '-d', 'side']);
    expect(await json(['branch', 'a.vsi', '--delete', 'third'])).toEqual({
      filename: 'a.vsi',
      deleted: [{ name: 'third', version: 1 }],
    });
  });

  it('branch tells of a detached head', async () => {
    await ok(['checkout', 'a.vsi', 'v2', '-q']);
    expect(await ok(['branch', 'a.vsi'])).toContain('* (HEAD detached at 2)\n');
    expect(await ok(['log', 'a.vsi', '--oneline'])).toMatch(/^2 [0-9a-f]{8} \(HEAD, tag: v2\) second$/m);
    await ok(['checkout', 'a.vsi', 'side', '-q']);
  });

  it('delete refuses the head, and all if one is not there', async () => {
    await fails(78, ['delete', 'a.vsi', '4']);
    await fails(66, ['delete', 'a.vsi', '2', '99']);
    await fails(66, ['delete', 'a.vsi', '50..99']);
    await fails(64, ['delete', 'a.vsi']);
    expect((await json(['log', 'a.vsi'])).versions).toHaveLength(4);
  });

  it('delete removes versions and keeps their children whole', async () => {
    expect(await ok(['delete', 'a.vsi', '1'])).toMatch(
      /^deleted 1 [0-9a-f]{8} first state\n1 version deleted; 'vsimg gc' gives the space back\n$/,
    );
    expect(await content('a.vsi@v2', 4)).toBe('two\0');
    expect(
      (await json(['log', 'a.vsi'])).versions.map(({ version, parent }: { version: number; parent: number | null }) => [
        version,
        parent,
      ]),
    ).toEqual([
      [4, null],
      [3, 2],
      [2, null],
    ]);
    await fails(66, ['read', 'a.vsi@1']);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('delete takes ranges of numbers', async () => {
    for (let count = 0; count < 3; count++) await ok(['commit', 'a.vsi', '-m', `n${count}`, '--allow-empty', '-q']);
    const { deleted } = await json(['delete', 'a.vsi', '5..6']);
    expect(deleted.map(({ version }: { version: number }) => version)).toEqual([5, 6]);
    expect(
      (await json(['log', 'a.vsi', '-n', '2'])).versions.map(({ version }: { version: number }) => version),
    ).toEqual([7, 4]);
  });

  it('equal inputs give equal containers', async () => {
    const ids: string[] = [];
    for (const name of ['e1.vsi', 'e2.vsi']) {
      await ok(['create', name, '1M', '-q']);
      await ok(['write', name, '-q'], { stdin: noise(100_000, 7) });
      ids.push((await json(['commit', name, '-m', 'same']))['version-id']);
    }
    expect(ids[0]).toBe(ids[1]);
    expect(readFileSync(path('e1.vsi')).equals(readFileSync(path('e2.vsi')))).toBe(true);
    const { stdout } = await run(['commit', 'e1.vsi', '-m', 'later', '--allow-empty', '--json'], {
      env: { SOURCE_DATE_EPOCH: '12' },
    });
    expect(JSON.parse(stdout)).toMatchObject({ date: '1970-01-01T00:00:12Z' });
  });
});
