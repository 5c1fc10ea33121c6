import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { workspace } from '../support/workspace.ts';

interface Version {
  readonly version: number;
  readonly parent: number | null;
  readonly tags: readonly string[];
}

describe('vsimg amend, tag --lock, squash', () => {
  const { ok, json, fails, path } = workspace();

  const content = (rev: string) => ok(['read', `a.vsi@${rev}`, '--length', '2']);
  const versions = async (): Promise<Version[]> => (await json(['log', 'a.vsi'])).versions;
  const parents = async () => (await versions()).map(({ version, parent }) => [version, parent]);
  const version = (rev: string) => json(['log', `a.vsi@${rev}`, '-n', '1']).then((log) => log.versions[0]);

  beforeAll(async () => {
    await ok(['create', 'a.vsi', '1M', '-q']);
    for (let number = 1; number <= 9; number++) {
      await ok(['write', 'a.vsi', '-q'], { stdin: `s${number}` });
      await ok(['commit', 'a.vsi', '-m', `state ${number}`, '-q']);
    }
    await ok(['tag', 'a.vsi', 'v4', '4', '-q']);
  });

  it('amend gives the head another message and keeps its number, id and content', async () => {
    const before = await version('HEAD');
    const after = await json(['amend', 'a.vsi', '-m', 'better\n\nbody']);
    expect(after).toEqual({ filename: 'a.vsi', ...before, message: 'better\n\nbody', 'first-message': 'state 9' });
    expect(await version('9')).toEqual({ ...before, message: 'better\n\nbody', 'first-message': 'state 9' });
    expect(await ok(['log', 'a.vsi', '-n', '1'])).toContain('\n    better\n\n    body\n');
    expect(await ok(['log', 'a.vsi', '--oneline', '-n', '1'])).toMatch(/ better\n$/);
    expect(await ok(['info', 'a.vsi'])).toMatch(/\*9 .* better\n$/);
    expect((await json(['info', 'a.vsi'])).snapshots.at(-1).message).toBe('better\n\nbody');
    expect(await content('9')).toBe('s9');
  });

  it('amend finds the first message again', async () => {
    await ok(['amend', 'a.vsi', '-m', 'third', '-q']);
    expect(await version('9')).toMatchObject({ message: 'third', 'first-message': 'state 9' });
    await ok(['amend', 'a.vsi', '-m', 'state 9', '-q']);
    expect(await version('9')).toMatchObject({ message: 'state 9', 'first-message': null });
  });

  it('amend takes a revision in both ways, and tags', async () => {
    expect(await ok(['amend', 'a.vsi', '3', '-m', 'three', '--tag', 'a', '--tag', 'b'])).toMatch(
      /^amended 3 [0-9a-f]{8} \(tag: a, tag: b\) three\n$/,
    );
    expect(await json(['amend', 'a.vsi@b', '--tag', 'c'])).toMatchObject({
      version: 3,
      message: 'three',
      tags: ['a', 'b', 'c'],
    });
    await fails(73, ['amend', 'a.vsi', '3', '-m', 'x', '--tag', 'v4']);
    expect(await version('3')).toMatchObject({ message: 'three' });
    expect(await fails(64, ['amend', 'a.vsi@3', '4', '-m', 'x'])).toContain("'3' and '4'");
    await fails(64, ['amend', 'a.vsi']);
    await fails(64, ['amend', 'a.vsi', '--tag', '12']);
    await fails(66, ['amend', 'a.vsi', '99', '-m', 'x']);
    await ok(['tag', 'a.vsi', '-d', 'a', 'b', 'c', '-q']);
  });

  it('amend leaves uncommitted changes alone', async () => {
    await ok(['write', 'a.vsi', '-q'], { stdin: 'new' });
    await ok(['amend', 'a.vsi', '1', '-m', 'one', '-q']);
    expect((await json(['info', 'a.vsi']))['dirty-flag']).toBe(true);
    expect(await ok(['read', 'a.vsi', '--length', '3'])).toBe('new');
    await ok(['checkout', 'a.vsi', '--force', '-q']);
  });

  it('amend allows 15 KiB, and what commit allowed', async () => {
    await ok(['amend', 'a.vsi', '2', '-m', 'x'.repeat(15 * 1024), '-q']);
    expect((await version('2')).message.length).toBe(15 * 1024);
    await fails(64, ['amend', 'a.vsi', '2', '-m', 'x'.repeat(15 * 1024 + 1)]);
    await ok(['commit', 'a.vsi', '--allow-empty', '-m', 'y'.repeat(32 * 1024), '-q']);
    await ok(['amend', 'a.vsi', '-m', 'z'.repeat(15 * 1024), '-q']);
    await ok(['tag', 'a.vsi', '--lock', '-q']);
    await ok(['amend', 'a.vsi', '-m', 'y'.repeat(32 * 1024), '-q']);
    expect(await version('10')).toMatchObject({ 'first-message': null, locked: true });
    await ok(['tag', 'a.vsi', '--unlock', '-q']);
  });

  it('a locked version stays, whatever its tags do', async () => {
    expect(await ok(['tag', 'a.vsi', '--lock', 'v4', '5'])).toMatch(
      /^locked 4 [0-9a-f]{8} \(tag: v4, locked\) state 4\nlocked 5 [0-9a-f]{8} \(locked\) state 5\n$/,
    );
    expect(await fails(78, ['delete', 'a.vsi', 'v4'])).toContain("'vsimg tag IMAGE --unlock 4'");
    await fails(78, ['delete', 'a.vsi', '1', '5']);
    await ok(['tag', 'a.vsi', '-d', 'v4', '-q']);
    await fails(78, ['delete', 'a.vsi', '4']);
    await ok(['tag', 'a.vsi', 'v4', '4', '-q']);
    expect(await versions()).toHaveLength(10);
  });

  it('a lock is shown', async () => {
    await ok(['tag', 'a.vsi', 'six', '6', '-q']);
    expect(await ok(['tag', 'a.vsi'])).toMatch(/^six {2}6 {2}\S+ {2}state 6\nv4 {3}4 {2}\S+ {2}\(locked\) state 4\n$/);
    expect((await json(['tag', 'a.vsi'])).tags).toEqual([
      { name: 'six', version: 6, locked: false },
      { name: 'v4', version: 4, locked: true },
    ]);
    expect(await ok(['log', 'a.vsi'])).toContain('\nversion 4 (tag: v4, locked)\n');
    const { snapshots } = await json(['info', 'a.vsi', '--all']);
    expect(snapshots.filter(({ locked }: { locked: boolean }) => locked).map(({ id }: { id: string }) => id)).toEqual([
      '4',
      '5',
    ]);
    await ok(['tag', 'a.vsi', '-d', 'six', '-q']);
  });

  it('commit and amend take no empty message', async () => {
    for (const message of ['', ' \n']) {
      expect(await fails(64, ['amend', 'a.vsi', '-m', message])).toContain('the message is empty');
      expect(await fails(64, ['commit', 'a.vsi', '--allow-empty', '-m', message])).toContain('needs a message');
    }
  });

  it('unlock lets it go; locking twice changes nothing', async () => {
    const generation = async () => (await json(['info', 'a.vsi']))['format-specific'].data.generation;
    const before = await generation();
    expect((await json(['tag', 'a.vsi', '--lock', '4', '5', 'v4'])).locked).toHaveLength(2);
    expect(await generation()).toBe(before);
    expect((await json(['tag', 'a.vsi', '--unlock', '5'])).unlocked).toMatchObject([{ version: 5, locked: false }]);
    expect(await ok(['delete', 'a.vsi', '5'])).toContain('1 version deleted');
    await fails(66, ['tag', 'a.vsi', '--lock', '1', 'nothing']);
    expect(await version('1')).toMatchObject({ locked: false });
  });

  it('lock, unlock, delete and force contradict each other', async () => {
    await fails(64, ['tag', 'a.vsi', '--lock', '--unlock', '4']);
    await fails(64, ['tag', 'a.vsi', '--lock', '4', '-d', 'v4']);
    await fails(64, ['tag', 'a.vsi', '--unlock', '--force', '4']);
    expect(await fails(64, ['tag', 'a.vsi', 'x', '1', '2'])).toContain('2 are given');
  });

  it('squash refuses what is protected, and versions that do not belong together', async () => {
    expect(await fails(78, ['squash', 'a.vsi', '3..7'])).toContain('version 4 is locked');
    await ok(['branch', 'a.vsi', 'side', '8', '-q']);
    expect(await fails(78, ['squash', 'a.vsi', '7..9'])).toContain("branch 'side'");
    await ok(['checkout', 'a.vsi', '2', '-q']);
    expect(await fails(78, ['squash', 'a.vsi', '1..3'])).toContain('checked out');
    await ok(['checkout', 'a.vsi', 'main', '-q']);
    expect(await fails(78, ['squash', 'a.vsi', '7..3'])).toContain('version 3 did not come from version 7');
    for (const span of ['3', '..3', '..', '']) await fails(64, ['squash', 'a.vsi', span]);
    await fails(66, ['squash', 'a.vsi', '3..none']);
    expect(await versions()).toHaveLength(9);
  });

  it('squash --dry-run says what would go, and changes nothing', async () => {
    await ok(['tag', 'a.vsi', '--unlock', '4', '-q']);
    const before = readFileSync(path('a.vsi'));
    expect(await ok(['squash', 'a.vsi', '3..7', '--dry-run'])).toMatch(
      /^would merge 2 versions into 7:\n {2}6 \S+ .*\n {2}4 \S+ \(tag: v4\) .*\nnothing was merged: this was a dry run\n$/,
    );
    expect(await ok(['squash', 'a.vsi', '6..7', '-n', '-q'])).toBe('would merge nothing into 7\n');
    const planned = await json(['squash', 'a.vsi', '3..7', '-n']);
    expect(planned).toMatchObject({ 'dry-run': true, version: 7, parent: 6, 'deleted-tags': [] });
    expect(planned.deleted.map((gone: Version) => gone.version)).toEqual([6, 4]);
    expect(await fails(78, ['squash', 'a.vsi', '7..9', '-n'])).toContain("branch 'side'");
    expect(readFileSync(path('a.vsi'))).toEqual(before);
  });

  it('squash merges what lies between and keeps both ends', async () => {
    const [before, squashed] = [await version('7'), await json(['squash', 'a.vsi', '3..7'])];
    expect(squashed).toMatchObject({ 'dry-run': false, version: 7, 'version-id': before['version-id'], parent: 3 });
    expect(squashed.deleted.map((gone: Version) => gone.version)).toEqual([6, 4]);
    expect(squashed['deleted-tags']).toEqual(['v4']);
    expect(await parents()).toEqual([
      [10, 9],
      [9, 8],
      [8, 7],
      [7, 3],
      [3, 2],
      [2, 1],
      [1, null],
    ]);
    expect([await content('3'), await content('7')]).toEqual(['s3', 's7']);
  });

  it('squash goes to the head where no end is given, and side branches stay whole', async () => {
    await ok(['checkout', 'a.vsi', '9', '-b', 'other', '-q']);
    await ok(['write', 'a.vsi', '-q'], { stdin: 'so' });
    await ok(['commit', 'a.vsi', '-m', 'beside', '-q']);
    await ok(['checkout', 'a.vsi', 'main', '-q']);
    expect(await ok(['squash', 'a.vsi', 'side..'])).toMatch(
      /^merged 9 \S+ state 9\n1 version merged into 10, whose parent is 8; 'vsimg gc' gives the space back\n$/,
    );
    expect(await ok(['squash', 'a.vsi', 'side..'])).toBe('nothing merged into 10, whose parent is 8\n');
    expect((await parents()).slice(0, 3)).toEqual([
      [11, 8],
      [10, 8],
      [8, 7],
    ]);
    expect(await content('other')).toBe('so');
    await ok(['gc', 'a.vsi', '-q']);
    expect([await content('3'), await content('other'), await content('main')]).toEqual(['s3', 'so', 's9']);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('delete says which tags go', async () => {
    await ok(['tag', 'a.vsi', 'x', '2', '-q']);
    await ok(['tag', 'a.vsi', 'y', '2', '-q']);
    expect(await ok(['delete', 'a.vsi', '2'])).toContain(
      '\ndeleted tag x (was version 2)\ndeleted tag y (was version 2)\n',
    );
    await ok(['tag', 'a.vsi', 'x', '3', '-q']);
    expect((await json(['delete', 'a.vsi', '3', '1']))['deleted-tags']).toEqual(['x']);
  });
});
