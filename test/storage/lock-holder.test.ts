import fs from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FileStorage } from '../../src/storage/file.ts';
import { findLockHolder, type LockHolder } from '../../src/storage/lock-holder.ts';
import { scratchDirectory } from '../support/scratch.ts';

const POSITION = 2 ** 51;

interface FakeProcess {
  readonly pid: number;
  readonly cmdline?: string;
  /** What fdinfo says of the descriptor that has the file open. */
  readonly lock: string;
}

/** A /proc with these processes, each with the file open, beside one that has another file open. */
function holderAmong(processes: readonly FakeProcess[]): LockHolder | undefined {
  const directory = scratchDirectory();
  const file = join(directory, 'disk.vsi');
  const other = join(directory, 'other.vsi');
  fs.writeFileSync(file, '');
  fs.writeFileSync(other, '');
  const add = (pid: number, { cmdline, lock }: Omit<FakeProcess, 'pid'>, opened: string): void => {
    const at = join(directory, 'proc', String(pid));
    fs.mkdirSync(join(at, 'fd'), { recursive: true });
    fs.mkdirSync(join(at, 'fdinfo'));
    fs.symlinkSync('/dev/null', join(at, 'fd/0'));
    fs.writeFileSync(join(at, 'fdinfo/0'), 'pos:\t0\n');
    fs.symlinkSync(opened, join(at, 'fd/17'));
    fs.writeFileSync(join(at, 'fdinfo/17'), `pos:\t0\nflags:\t02100002\nmnt_id:\t29\n${lock}\n`);
    if (cmdline !== undefined) fs.writeFileSync(join(at, 'cmdline'), cmdline);
  };
  fs.mkdirSync(join(directory, 'proc/sys'), { recursive: true });
  fs.writeFileSync(join(directory, 'proc/uptime'), '1 1');
  add(3, { cmdline: 'other\0', lock: lockLine('WRITE', POSITION) }, other);
  for (const { pid, ...rest } of processes) add(pid, rest, file);
  const { dev, ino } = fs.statSync(file);
  return findLockHolder({ device: dev, inode: ino, position: POSITION }, join(directory, 'proc'));
}

function lockLine(kind: 'READ' | 'WRITE', start: number, end: number | 'EOF' = start): string {
  return `lock:\t1: OFDLCK ADVISORY  ${kind} -1 fe:00:2148830 ${start} ${end}`;
}

const locked = (cmdline: string): FakeProcess => ({ pid: 4711, cmdline, lock: lockLine('WRITE', POSITION) });

it('finds the process whose descriptor has the byte locked', () => {
  const command = 'program';
  expect(
    holderAmong([
      { pid: 10, cmdline: 'a\0', lock: '' },
      { pid: 11, cmdline: 'b\0', lock: lockLine('READ', POSITION) },
      { pid: 12, cmdline: 'c\0', lock: lockLine('WRITE', POSITION + 1) },
      { pid: 13, cmdline: 'd\0', lock: lockLine('WRITE', 0, POSITION - 1) },
      { pid: 14, cmdline: 'program\0', lock: `${lockLine('READ', 5)}\n${lockLine('WRITE', POSITION)}` },
    ]),
  ).toEqual({ pid: 14, command });
  expect(holderAmong([{ pid: 15, cmdline: 'program\0', lock: lockLine('WRITE', 0, 'EOF') }])).toEqual({
    pid: 15,
    command,
  });
});

it('finds nobody where nothing says so', () => {
  expect(holderAmong([])).toBe(undefined);
  expect(holderAmong([{ pid: 11, cmdline: 'b\0', lock: lockLine('READ', POSITION) }])).toBe(undefined);
  expect(findLockHolder({ device: 1, inode: 1, position: POSITION }, '/nowhere')).toBe(undefined);
});

it.each([
  ['node\0/usr/lib/bin/vsimg.js\0import\0disk.raw\0disk.vsi\0', 'vsimg import disk.raw disk.vsi'],
  ['/usr/bin/node\0--no-warnings\0/usr/bin/vsimg\0gc\0disk.vsi\0', 'vsimg gc disk.vsi'],
  ['/opt/tools/backup\0--all\0', 'backup --all'],
  ['node\0', 'node'],
  ['tool\0-m\0two\nlines \u001b[31m red\0', 'tool -m two lines  [31m red'],
  [`tool\0${'x'.repeat(1000)}\0`, `tool ${'x'.repeat(92)}...`],
])('tells the command of %j', (cmdline, command) => {
  expect(holderAmong([locked(cmdline)])).toEqual({ pid: 4711, command });
});

it.runIf(process.platform === 'linux')('is right about the real /proc', () => {
  const path = join(scratchDirectory(), 'file');
  const [holder, other] = [
    FileStorage.open(path, { mode: 'create-exclusive' }),
    FileStorage.open(path, { mode: 'write' }),
  ];
  expect(other.lockHolder(POSITION)).toBe(undefined);
  expect(holder.tryLock(POSITION, 1, 'exclusive')).toBe(true);
  expect(other.lockHolder(POSITION)).toMatchObject({ pid: process.pid, command: expect.stringMatching(/./) });
  expect(other.lockHolder(POSITION + 1)).toBe(undefined);
  holder.close();
  expect(other.lockHolder(POSITION)).toBe(undefined);
  other.close();
});
