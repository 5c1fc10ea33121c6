import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

/** What the threads of the program read and write, file by file: each byte once, and many at a time. */

const MIB = 1024 * 1024;
const DATA_BYTES = 16 * MIB;
/** Read before all else: is it a raw image? */
const PEEK_BYTES = 512;
const STRACE = [
  '-f',
  '-y',
  '-qq',
  '-s',
  '0',
  '--seccomp-bpf',
  '-e',
  'trace=read,pread64,readv,preadv,write,pwrite64,writev,pwritev',
];
const canTrace = spawnSync('strace', [...STRACE, '-o', '/dev/null', 'true']).status === 0;
if (!canTrace) console.info('skipped: strace does not work here');

interface Traffic {
  reads: number;
  readBytes: number;
  writes: number;
  writtenBytes: number;
}

describe.skipIf(!canTrace).each(['none', 'zstd'])('what threads read and write with compression %s', (compression) => {
  const { ok, path, directory } = workspace();

  beforeAll(async () => {
    const disk = Buffer.alloc(DATA_BYTES + 8 * MIB);
    const part = noise(MIB, 1);
    for (let at = 0; at < DATA_BYTES; at += MIB) part.copy(disk, at);
    for (let at = 0; at < DATA_BYTES; at += 4096) disk.writeUInt32LE(at + 1, at);
    writeFileSync(path('disk.raw'), disk);
    noise(65_536, 7).copy(disk, 5 * MIB);
    writeFileSync(path('changed.raw'), disk);
    // The same with holes.
    spawnSync('cp', ['--sparse=always', path('disk.raw'), path('holes.raw')]);
    await ok(['import', 'disk.raw', 'a.vsi', '--compression', compression, '-q']);
  });

  /** Of files whose names begin with one of those asked for. */
  function trafficOf<N extends string>(command: string, names: readonly N[]): { readonly [name in N]: Traffic } {
    const log = path('strace.log');
    const argv = [...STRACE, '-o', log, process.execPath, BINARY, ...command.split(' '), '-q'];
    const { status, stderr } = spawnSync('strace', argv, { cwd: directory, encoding: 'utf8' });
    expect({ command, status, stderr }).toEqual({ command, status: 0, stderr: '' });
    const traffic = Object.fromEntries(
      names.map((name) => [name, { reads: 0, readBytes: 0, writes: 0, writtenBytes: 0 }]),
    ) as { [name in N]: Traffic };
    const open = new Map<string, string>();
    const enter = (call: string, file: string, bytes: number): void => {
      const name = names.find(
        (known) => file === `${directory}/${known}` || file.startsWith(`${directory}/.${known}.tmp-`),
      );
      if (name === undefined) return;
      const entry = traffic[name];
      if (call.includes('read')) {
        entry.reads++;
        entry.readBytes += bytes;
      } else {
        entry.writes++;
        entry.writtenBytes += bytes;
      }
    };
    for (const line of readFileSync(log, 'utf8').split('\n')) {
      // Calls of several threads at a time are told in two lines.
      const begun = /^(\d+) +(\w+)\(\d+<([^>]*)>.* <unfinished \.\.\.>$/.exec(line);
      const ended = /^(\d+) +<\.\.\. (\w+) resumed>.* = (\d+)$/.exec(line);
      const whole = /^\d+ +(\w+)\(\d+<([^>]*)>.* = (\d+)$/.exec(line);
      if (begun !== null) open.set(begun[1] as string, begun[3] as string);
      else if (ended !== null) enter(ended[2] as string, open.get(ended[1] as string) ?? '', Number(ended[3]));
      else if (whole !== null) enter(whole[1] as string, whole[2] as string, Number(whole[3]));
    }
    return traffic;
  }

  it('a first import reads and writes each byte once', () => {
    for (const source of ['disk.raw', 'holes.raw']) {
      rmSync(path('new.vsi'), { force: true });
      const traffic = trafficOf(`import ${source} new.vsi --compression ${compression}`, [source, 'new.vsi']);
      const [from, to] = [traffic[source] as Traffic, traffic['new.vsi'] as Traffic];
      expect(from.readBytes).toBe(PEEK_BYTES + (source === 'disk.raw' ? DATA_BYTES + 8 * MIB : DATA_BYTES));
      expect(from.reads).toBeLessThanOrEqual(120);
      expect(to.writtenBytes).toBeGreaterThanOrEqual(DATA_BYTES);
      expect(to.writtenBytes).toBeLessThan(DATA_BYTES * 1.01);
      expect(to.writes).toBeLessThanOrEqual(100);
      expect(to.readBytes).toBeLessThan(65_536);
    }
  });

  it('an import compares each byte once, and writes what changed', () => {
    for (const [source, least] of [
      ['changed.raw', 65_536],
      ['changed.raw', 0],
      ['disk.raw', 65_536],
    ] as const) {
      const { [source]: from, 'a.vsi': to } = trafficOf(`import ${source} a.vsi`, [source, 'a.vsi']);
      expect(from.readBytes).toBe(PEEK_BYTES + DATA_BYTES + 8 * MIB);
      expect(from.reads).toBeLessThanOrEqual(64);
      expect(to.readBytes).toBeGreaterThanOrEqual(DATA_BYTES - 65_536);
      expect(to.readBytes).toBeLessThan(DATA_BYTES * 1.01);
      expect(to.writtenBytes).toBeGreaterThanOrEqual(least);
      expect(to.writtenBytes).toBeLessThan(least + 100_000);
    }
  });

  it('an export, and a read of everything, read each byte once and write it once', () => {
    for (const command of ['export a.vsi@1 out.raw -f', 'read a.vsi -l 1 -o out.raw']) {
      rmSync(path('out.raw'), { force: true });
      const { 'a.vsi': from, 'out.raw': to } = trafficOf(command, ['a.vsi', 'out.raw']);
      expect(from.readBytes).toBeGreaterThanOrEqual(DATA_BYTES);
      expect(from.readBytes).toBeLessThan(DATA_BYTES * 1.01);
      expect(from.reads).toBeLessThanOrEqual(120);
      expect(to.writtenBytes).toBe(DATA_BYTES);
      expect(to.writes).toBeLessThanOrEqual(120);
      expect(readFileSync(path('out.raw')).equals(readFileSync(path('disk.raw')))).toBe(true);
    }
  });

  it('short commands read little', () => {
    for (const command of ['info a.vsi', 'log a.vsi', 'read a.vsi --offset 5M --length 4k', 'tag a.vsi']) {
      const { 'a.vsi': from } = trafficOf(command, ['a.vsi']);
      expect(from.readBytes, command).toBeLessThan(40_000);
      expect(from.reads, command).toBeLessThanOrEqual(12);
      expect(from.writes, command).toBe(0);
    }
  });
});
