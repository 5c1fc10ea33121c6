// Start-up of small commands beside that of Node itself, on a small image and on one that is very large in every way.
import { writeFileSync } from 'node:fs';
import { FileStorage } from '../../src/storage/file.ts';
import type { Figure, Report } from './report.ts';
import { buildScale, describeScale, LARGEST, middleOf, type Scale, SMALLEST } from './scale.ts';
import { timeRatio } from './time-ratio.ts';
import { type BenchOptions, type Command, program, vsimg, type Work, Workbench } from './workbench.ts';

/** Runs take some tens of milliseconds: many of them cost little, and a ratio of 1.15 needs them. */
const RUNS_FACTOR = 5;
const MEMORY_RUNS = 3;

function timedRuns({ runs, size }: BenchOptions): number {
  return size === 'full' ? runs * RUNS_FACTOR : runs;
}

interface SmallCommand {
  readonly what: string;
  readonly command: (image: string, scale: Scale) => Command;
  /** Changes the image before each run. */
  readonly prepare?: (image: string, scale: Scale) => Command;
  /** The largest allowed ratio to Node's own start. */
  readonly atMost: number;
}

const ONE_BLOCK = 'a block that differs every time ';
let blocksWritten = 0;

const COMMANDS: readonly SmallCommand[] = [
  { what: '`--version`', command: () => vsimg('--version'), atMost: 1.4 },
  { what: '`info`', command: (image) => vsimg('info', image), atMost: 1.4 },
  { what: '`log -n 10`', command: (image) => vsimg('log', image, '-n', '10'), atMost: 1.4 },
  {
    what: '`read` of 4 KiB of version 1',
    command: (image, scale) => vsimg('read', `${image}@1`, '--offset', String(middleOf(scale)), '--length', '4k'),
    atMost: 1.4,
  },
  {
    what: '`diff` of two versions',
    command: (image, { versions }) => vsimg('diff', image, String(versions / 2), String(versions / 2 + 1)),
    atMost: 1.5,
  },
  {
    what: '`commit` of one changed block, without its syncs',
    command: (image) => vsimg('commit', '--no-sync', image, '-m', 'one block'),
    prepare: (image, scale) => vsimg('write', '--no-sync', image, '--offset', String(middleOf(scale))),
    atMost: 1.6,
  },
];

function measureCommand(bench: Workbench, { what, command, prepare, atMost }: SmallCommand, large: Scale): Figure[] {
  const work = (name: string, scale: Scale): Work => {
    const image = bench.at(name);
    return {
      commands: [command(image, scale)],
      prepare: () => {
        if (prepare !== undefined) bench.run(prepare(image, scale), `${ONE_BLOCK}${++blocksWritten}`);
      },
    };
  };
  const works = {
    node: { commands: [program(process.execPath, '-e', '0')] },
    small: work('small.vsi', SMALLEST),
    large: work('large.vsi', large),
  };
  const { runs } = bench.options;
  const times = bench.compare(works, { runs: timedRuns(bench.options), processes: 'untouched', disk: 'untouched' });
  const peaks = bench.compare(works, { runs: Math.min(MEMORY_RUNS, runs), warmUps: 0, disk: 'untouched' });
  const peakMiB = Math.max(peaks.small.peakMiB, peaks.large.peakMiB);
  return [
    timeRatio(`${what} to \`node -e 0\``, times.small, times.node, { atMost }),
    timeRatio('- the same, large image to small image', times.large, times.small, { atMost: 1.15 }),
    { what: '- memory, more than `node -e 0`', value: peakMiB - peaks.node.peakMiB, unit: 'MiB', atMost: 25, peakMiB },
  ];
}

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const large: Scale = options.size === 'full' ? LARGEST : { ...LARGEST, versions: 100, extents: 1000 };
    for (const [name, scale] of [
      ['small.vsi', SMALLEST],
      ['large.vsi', large],
    ] as const) {
      writeFileSync(bench.at(name), '');
      const storage = FileStorage.open(bench.at(name), { mode: 'write', locking: 'off' });
      await buildScale(storage, scale);
      storage.close();
    }
    for (const command of COMMANDS) await bench.measure(() => measureCommand(bench, command, large));
    return {
      title: 'Small commands',
      notes: [
        `Medians of ${timedRuns(options)} runs. Small image: ${describeScale(SMALLEST)}. Large image: ${describeScale(large)}.`,
      ],
    };
  });
}
