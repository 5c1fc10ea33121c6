import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';

interface FioJob {
  readonly write: { readonly bw_bytes: number };
  readonly sync: { readonly lat_ns: { readonly mean: number } };
}

/** What fio says of the disk under the scratch directory, if fio is there. */
function describeDisk(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-bench-'));
  const fio = (...args: readonly string[]): FioJob | undefined => {
    const common = ['--name=disk', `--filename=${join(directory, 'fio')}`, '--output-format=json', '--rw=write'];
    const { status, stdout } = spawnSync('fio', [...common, ...args], { encoding: 'utf8' });
    return status === 0 ? (JSON.parse(stdout) as { jobs: FioJob[] }).jobs[0] : undefined;
  };
  try {
    const large = fio('--bs=1M', '--size=512M', '--end_fsync=1');
    const small = fio('--bs=4k', '--size=1M', '--fdatasync=1');
    if (large === undefined || small === undefined) return undefined;
    const rate = Math.round(large.write.bw_bytes / 1e6).toLocaleString('en');
    const wait = (small.sync.lat_ns.mean / 1e6).toPrecision(2);
    return `${directory.slice(0, -7)}*: 512 MiB written and synced at ${rate} MB/s, 4 KiB in ${wait} ms`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** One line: processor, memory, release of Node, and what the disk does. */
export function describeMachine(disk: 'measured' | 'unknown'): string {
  const cores = cpus();
  const parts = [
    `${cores.length} x ${cores[0]?.model.trim()}`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `${type()} ${release()}`,
    `Node ${process.versions.node}`,
    disk === 'measured' ? describeDisk() : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}
