// The program as a whole on real disks beside qemu-img and cp: ratios of medians in one run, and peak memory.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { realDisks } from './real-disk.ts';
import { type Figure, median, printFigures } from './report.ts';

const RUNS = 5;
const disks = realDisks();
const directory = mkdtempSync(join(tmpdir(), 'vsimg-bench-'));
const at = (name: string): string => join(directory, name);
// Reports the peak of the process itself when it ends; in KiB, as getrusage(2) gives it.
writeFileSync(
  at('peak.cjs'),
  "process.on('exit', () => require('fs').writeSync(3, String(process.resourceUsage().maxRSS)));",
);

function vsimg(...args: string[]): { seconds: number; peakMiB: number } {
  const started = performance.now();
  const result = spawnSync(process.execPath, ['--require', at('peak.cjs'), 'bin/vsimg.js', ...args], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
    encoding: 'utf8',
  });
  const seconds = (performance.now() - started) / 1000;
  if (result.status !== 0) throw new Error(`vsimg ${args.join(' ')} ended with ${result.status}`);
  return { seconds, peakMiB: Number(result.output[3]) / 1024 };
}

function peer(command: string, ...args: string[]): number {
  const started = performance.now();
  execFileSync(command, args, { stdio: 'ignore' });
  return (performance.now() - started) / 1000;
}

/** Alternating runs of both; the ratio of the medians, and the highest peak. */
function compare(
  ours: () => { seconds: number; peakMiB: number },
  theirs: () => number,
): { ratio: number; peakMiB: number } {
  const a: number[] = [];
  const b: number[] = [];
  let peakMiB = 0;
  for (let run = 0; run <= RUNS; run++) {
    const mine = ours();
    const other = theirs();
    peakMiB = Math.max(peakMiB, mine.peakMiB);
    // The first run only warms the cache.
    if (run > 0) {
      a.push(mine.seconds);
      b.push(other);
    }
  }
  return { ratio: median(a) / median(b), peakMiB };
}

const fresh = (name: string): string => {
  rmSync(at(name), { force: true });
  return at(name);
};

try {
  const [first, second] = disks as [string, string];
  const figures: Figure[] = [];
  const zstd = compare(
    () => vsimg('import', first, fresh('z.vsi'), '-m', 'x'),
    () => peer('qemu-img', 'convert', '-c', '-o', 'compression_type=zstd', '-O', 'qcow2', first, fresh('z.qcow2')),
  );
  figures.push({
    what: 'import, default compression, to `qemu-img convert -c` with zstd (time)',
    value: zstd.ratio,
    unit: 'x',
  });
  figures.push({
    what: 'the same (bytes)',
    value: statSync(at('z.vsi')).size / statSync(at('z.qcow2')).size,
    unit: 'x',
  });
  figures.push({ what: 'the same, peak memory', value: zstd.peakMiB, bar: 200, unit: 'MiB' });
  const raw = compare(
    () => vsimg('import', first, fresh('n.vsi'), '-m', 'x', '--compression', 'none'),
    () => peer('qemu-img', 'convert', '-O', 'qcow2', first, fresh('n.qcow2')),
  );
  figures.push({
    what: 'import, `--compression none`, to `qemu-img convert` (time)',
    value: raw.ratio,
    unit: 'x',
  });
  figures.push({ what: 'the same, peak memory', value: raw.peakMiB, bar: 200, unit: 'MiB' });
  const out = compare(
    () => vsimg('export', at('z.vsi'), fresh('o.raw')),
    () => peer('qemu-img', 'convert', '-O', 'raw', at('z.qcow2'), fresh('q.raw')),
  );
  figures.push({
    what: 'export of zstd to `qemu-img convert` of the zstd qcow2 (time)',
    value: out.ratio,
    unit: 'x',
  });
  figures.push({ what: 'the same, peak memory', value: out.peakMiB, bar: 200, unit: 'MiB' });
  execFileSync('cmp', [at('o.raw'), first]);
  vsimg('import', second, at('z.vsi'), '-m', 'second state');
  const again = compare(
    () => vsimg('import', second, at('z.vsi'), '-m', 'again'),
    () => peer('cp', '--sparse=always', second, fresh('c.raw')),
  );
  figures.push({ what: 'import of an unchanged state to `cp --sparse=always` (time)', value: again.ratio, unit: 'x' });
  printFigures('Real disks beside their peers', figures);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
