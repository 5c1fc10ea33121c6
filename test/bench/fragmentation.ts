// Reading the newest state in order after many small writes all over it, beside a fresh import of the same state.
import { randomWrites, writeRandomly } from './random-writes.ts';
import { realDisks } from './real-disk.ts';
import type { Figure, Report } from './report.ts';
import { timeRatio } from './time-ratio.ts';
import { type BenchOptions, piped, program, vsimg, Workbench } from './workbench.ts';

/** Of one codec. */
async function readHead(bench: Workbench, codec: string): Promise<Figure[]> {
  const disk = realDisks(bench.options.size)[4] as string;
  const used = bench.at('used.vsi');
  bench.importAll('used.vsi', codec, [disk]);
  await writeRandomly(used, disk, randomWrites(bench.options.size));
  const head = bench.fresh('head.raw');
  bench.run(vsimg('export', '--no-sync', used, head));
  bench.importAll('fresh.vsi', codec, [head]);
  const compact = bench.fresh('compact.vsi');
  bench.run(program('cp', used, compact));
  bench.run(vsimg('gc', '--compact', '--no-sync', compact));
  bench.run(vsimg('export', '--no-sync', compact, bench.fresh('compact.raw')));
  bench.run(program('cmp', head, bench.at('compact.raw')));
  const read = (image: string) => ({ commands: [piped(vsimg('read', image))] });
  const measured = bench.compare({ used: read(used), fresh: read(bench.at('fresh.vsi')), compact: read(compact) });
  return [
    timeRatio(`\`read\` of the head, ${codec}, to that of a fresh import`, measured.used, measured.fresh, {
      atMost: 3,
    }),
    timeRatio('- the same after `gc --compact`', measured.compact, measured.fresh, { atMost: 1.1 }),
  ];
}

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const { writes, commits } = randomWrites(options.size);
    for (const codec of ['none', 'zstd']) await bench.measure(() => readHead(bench, codec));
    return { title: `After ${writes.toLocaleString('en')} random writes of 4 KiB in ${commits} commits` };
  });
}
