import fs from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { NewFile, type NewFileOptions, removeUnfinishedFiles } from '../../src/storage/new-file.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { codeOf } from './contract.ts';

const text = (path: string): string => fs.readFileSync(path, 'latin1');

function begin(path: string, options?: NewFileOptions): NewFile {
  const file = NewFile.begin(path, options);
  file.storage.write(Buffer.from('new'), 0);
  onTestFinished(() => {
    file.abort();
    file.storage.close();
  });
  return file;
}

describe('NewFile', () => {
  it('is not there before it is published, and alone there afterwards', () => {
    const directory = scratchDirectory();
    const path = join(directory, 'a.vsi');
    const file = begin(path);
    expect(fs.readdirSync(directory)).toEqual([expect.stringMatching(/^\.a\.vsi\.tmp-\d+-[0-9a-f]+$/)]);
    file.publish();
    expect(fs.readdirSync(directory)).toEqual(['a.vsi']);
    expect(text(path)).toBe('new');
  });

  it('stays open and locked when it is published', () => {
    const path = join(scratchDirectory(), 'a.vsi');
    const file = begin(path);
    expect(file.storage.tryLock(5, 1, 'exclusive')).toBe(true);
    file.publish();
    file.storage.write(Buffer.from('er'), 3);
    expect(text(path)).toBe('newer');
    file.abort();
    expect(text(path)).toBe('newer');
  });

  it('leaves nothing after an abort, which may be repeated', () => {
    const directory = scratchDirectory();
    const file = begin(join(directory, 'a.vsi'));
    file.abort();
    file.abort();
    expect(fs.readdirSync(directory)).toEqual([]);
    expect(codeOf(() => file.publish())).toBe('internal');
  });

  it('refuses a name that is taken, at once', () => {
    const directory = scratchDirectory();
    fs.writeFileSync(join(directory, 'a'), 'old');
    fs.symlinkSync('nowhere', join(directory, 'b'));
    expect(codeOf(() => begin(join(directory, 'a')))).toBe('exists');
    expect(codeOf(() => begin(join(directory, 'b')))).toBe('exists');
    expect(codeOf(() => begin(directory))).toBe('exists');
    expect(codeOf(() => begin(directory, { force: true }))).toBe('exists');
    expect(fs.readdirSync(directory)).toEqual(['a', 'b']);
  });

  it.each(['with links', 'without links'])('never replaces a file that came meanwhile, %s', (how) => {
    const path = join(scratchDirectory(), 'a');
    const file = begin(path);
    fs.writeFileSync(path, 'another');
    if (how === 'without links') forbidLinks();
    expect(codeOf(() => file.publish())).toBe('exists');
    file.abort();
    expect(text(path)).toBe('another');
    expect(fs.readdirSync(join(path, '..'))).toEqual(['a']);
  });

  it('works on file systems without hard links', () => {
    const directory = scratchDirectory();
    const file = begin(join(directory, 'a'));
    forbidLinks();
    file.publish();
    expect(fs.readdirSync(directory)).toEqual(['a']);
    expect(text(join(directory, 'a'))).toBe('new');
  });

  it('replaces by force, keeping the permissions', () => {
    const path = join(scratchDirectory(), 'a');
    fs.writeFileSync(path, 'old', { mode: 0o600 });
    const file = begin(path, { force: true });
    expect(text(path)).toBe('old');
    file.publish();
    expect(text(path)).toBe('new');
    expect(fs.statSync(path).mode & 0o777).toBe(0o600);
  });

  it('replaces by force what a symbolic link points to', () => {
    const directory = scratchDirectory();
    fs.mkdirSync(join(directory, 'deep'));
    fs.writeFileSync(join(directory, 'deep/a'), 'old');
    fs.symlinkSync('deep/a', join(directory, 'link'));
    begin(join(directory, 'link'), { force: true }).publish();
    expect(fs.readlinkSync(join(directory, 'link'))).toBe('deep/a');
    expect(text(join(directory, 'deep/a'))).toBe('new');
    expect(fs.readdirSync(join(directory, 'deep'))).toEqual(['a']);
  });

  it('makes the bytes durable before the name, and the name before it returns', () => {
    const order: string[] = [];
    for (const call of ['fdatasyncSync', 'linkSync', 'fsyncSync'] as const) {
      const original = fs[call] as (...args: unknown[]) => void;
      vi.spyOn(fs, call).mockImplementation((...args: unknown[]) => {
        order.push(call);
        original(...args);
      });
    }
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    begin(join(scratchDirectory(), 'a')).publish();
    expect(order).toEqual(['fdatasyncSync', 'linkSync', 'fsyncSync']);
  });

  it('says which directory is missing', () => {
    expect(codeOf(() => begin(join(scratchDirectory(), 'none/a')))).toBe('not-found');
  });

  it('takes names as long as the file system does', () => {
    const path = join(scratchDirectory(), '\u{1f4bf}'.repeat(63));
    begin(path).publish();
    expect(text(path)).toBe('new');
  });

  it('is removed with all others that are unfinished', () => {
    const directory = scratchDirectory();
    begin(join(directory, 'a'));
    begin(join(directory, 'b')).publish();
    removeUnfinishedFiles();
    expect(fs.readdirSync(directory)).toEqual(['b']);
  });
});

describe('NewFile and temporary files of makers that are gone', () => {
  const abandoned = (name: string) => `.${name}.tmp-123-0123456789ab`;

  it('removes those of its own name', () => {
    const directory = scratchDirectory();
    for (const name of [abandoned('a'), '.a.tmp-4-ba9876543210', abandoned('a'.repeat(40))])
      fs.writeFileSync(join(directory, name), 'left');
    const file = begin(join(directory, 'a'));
    expect(fs.readdirSync(directory).sort()).toEqual([basename(file.storage.path), abandoned('a'.repeat(40))].sort());
    begin(join(directory, 'a'.repeat(70))).publish();
    file.publish();
    expect(fs.readdirSync(directory)).toEqual(['a', 'a'.repeat(70)]);
  });

  it('removes them where it replaces a file, also behind a symbolic link', () => {
    const directory = scratchDirectory();
    fs.mkdirSync(join(directory, 'deep'));
    fs.writeFileSync(join(directory, 'deep/a'), 'old');
    fs.writeFileSync(join(directory, 'deep', abandoned('a')), 'left');
    fs.symlinkSync('deep/a', join(directory, 'link'));
    begin(join(directory, 'link'), { force: true }).publish();
    expect(fs.readdirSync(join(directory, 'deep'))).toEqual(['a']);
  });

  it('leaves what is in use, what it can not lock, and what only looks like one', () => {
    const directory = scratchDirectory();
    const inUse = begin(join(directory, 'a'));
    const kept = [
      '.a.tmp-x-0123456789ab',
      '.a.tmp-1-0123',
      '.a.tmp-1-0123456789abc',
      abandoned('b'),
      'a.tmp-1-0123456789ab',
    ];
    for (const name of kept) fs.writeFileSync(join(directory, name), 'mine');
    fs.mkdirSync(join(directory, '.a.tmp-5-0123456789ab'));
    fs.symlinkSync(abandoned('b'), join(directory, '.a.tmp-6-0123456789ab'));
    const before = fs.readdirSync(directory);
    begin(join(directory, 'a')).publish();
    expect(fs.readdirSync(directory).sort()).toEqual([...before, 'a'].sort());
    expect(codeOf(() => inUse.publish())).toBe('exists');
    inUse.abort();
  });

  it('removes nothing with locking off, and leaves nothing that others would remove', () => {
    const directory = scratchDirectory();
    fs.writeFileSync(join(directory, abandoned('a')), 'left');
    const unlocked = begin(join(directory, 'a'), { locking: 'off' });
    begin(join(directory, 'a')).abort();
    expect(fs.readdirSync(directory)).toEqual([basename(unlocked.storage.path)]);
    unlocked.publish();
    fs.writeFileSync(join(directory, abandoned('b')), 'left');
    begin(join(directory, 'b'), { locking: 'off' }).publish();
    expect(fs.readdirSync(directory)).toEqual([abandoned('b'), 'a', 'b']);
  });

  it('removes nothing and works where there are no locks', () => {
    const directory = scratchDirectory();
    fs.writeFileSync(join(directory, abandoned('a')), 'left');
    const spy = vi.spyOn(FileStorage.prototype, 'tryLock').mockImplementation(() => {
      throw new VsimgError('unsupported', 'no locks');
    });
    onTestFinished(() => spy.mockRestore());
    begin(join(directory, 'a')).publish();
    expect(fs.readdirSync(directory)).toEqual([abandoned('a'), 'a']);
  });

  it.each(['removed', 'locked'])('takes another name when its file is %s at once', (fate) => {
    const directory = scratchDirectory();
    const made: string[] = [];
    const open = fs.openSync;
    const spy = vi.spyOn(fs, 'openSync').mockImplementation((path, flags, mode) => {
      const fd = open(path, flags, mode);
      if (String(path).includes('.tmp-')) {
        made.push(basename(String(path)));
        if (made.length === 1) {
          const other = FileStorage.open(String(path), { mode: 'write' });
          if (fate === 'locked') other.tryLock(0, Number.MAX_SAFE_INTEGER, 'exclusive');
          else fs.unlinkSync(path);
          onTestFinished(() => other.close());
        }
      }
      return fd;
    });
    onTestFinished(() => spy.mockRestore());
    const file = begin(join(directory, 'a'));
    expect(new Set(made).size).toBe(2);
    expect(basename(file.storage.path)).toBe(made.at(-1));
    file.publish();
    expect(text(join(directory, 'a'))).toBe('new');
  });

  it.each([{}, { force: true }])('leaves no lock on the file it made: %j', (options) => {
    const path = join(scratchDirectory(), 'a');
    begin(path, options).publish();
    const other = FileStorage.open(path, { mode: 'write' });
    expect(other.tryLock(0, Number.MAX_SAFE_INTEGER, 'exclusive')).toBe(true);
    other.close();
  });
});

function forbidLinks(): void {
  const spy = vi.spyOn(fs, 'linkSync').mockImplementation(() => {
    throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
  });
  onTestFinished(() => spy.mockRestore());
}
