import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian's packages, each with a program that tells whether it is there. */
const PROGRAMS = {
  'qemu-utils': 'qemu-img',
  restic: 'restic',
  borgbackup: 'borg',
  casync: 'casync',
  fio: 'fio',
  time: 'time',
  e2fsprogs: 'mke2fs',
  mtools: 'mcopy',
  dosfstools: 'mkfs.vfat',
} as const;

export type Package = keyof typeof PROGRAMS;

function isThere(program: string): boolean {
  return `${process.env['PATH']}:/usr/sbin:/sbin`.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Installs what is missing by apt-get; elsewhere than on Debian an error says what to install. */
export function installPeers(packages: ReadonlySet<Package>): void {
  const missing = [...packages].filter((name) => !isThere(PROGRAMS[name]));
  if (missing.length === 0) return;
  const programs = missing.map((name) => PROGRAMS[name]).join(', ');
  if (!isThere('apt-get')) throw new Error(`install these programs first: ${programs}`);
  console.error(`installing ${missing.join(', ')}`);
  const prefix = process.getuid?.() === 0 ? [] : ['sudo'];
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...missing]]) {
    const [name, ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args];
    const { status } = spawnSync(name as string, rest, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error(`apt-get ${args.join(' ')} ended with ${status}; install ${programs} first`);
  }
}
