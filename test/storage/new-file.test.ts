import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
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

function forbidLinks(): void {
  const spy = vi.spyOn(fs, 'linkSync').mockImplementation(() => {
    throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
  });
  onTestFinished(() => spy.mockRestore());
}
