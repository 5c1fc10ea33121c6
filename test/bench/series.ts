// Six states of one disk as six versions, beside what restic, borg and casync make of the same file.
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { realDisks } from './real-disk.ts';
import { bytesQuantity, type Figure, type Limits, type Quantity, type Report, ratio } from './report.ts';
import { timeRatio } from './time-ratio.ts';
import { type BenchOptions, type Command, median, program, vsimg, Workbench } from './workbench.ts';

/** A round takes minutes. */
const MOST_ROUNDS = 3;
/** It has no bar, and takes longest. */
const CASYNC_ROUNDS = 1;

interface Tool {
  readonly rounds: number;
  /** Makes an empty repository. */
  readonly begin: () => void;
  readonly store: (state: number) => Command;
  /** File or folder whose bytes count. */
  readonly place: string;
}

function bytesBelow(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0);
}

function tools(bench: Workbench, disk: string, rounds: number): Record<'ours' | 'restic' | 'borg' | 'casync', Tool> {
  const restic = bench.at('restic');
  const borg = bench.at('borg');
  return {
    ours: {
      rounds,
      begin: () => void bench.fresh('series.vsi'),
      store: () => vsimg('import', disk, bench.at('series.vsi')),
      place: bench.at('series.vsi'),
    },
    restic: {
      rounds,
      begin: () => {
        bench.fresh('cache');
        bench.run(program('restic', '-q', 'init', '-r', bench.fresh('restic')));
      },
      store: () => program('restic', '-q', '-r', restic, 'backup', disk),
      place: restic,
    },
    borg: {
      rounds,
      begin: () => {
        bench.fresh('borg-home');
        bench.run(program('borg', 'init', '--encryption', 'none', bench.fresh('borg')));
      },
      store: (state) => program('borg', 'create', '--compression', 'lz4', `${borg}::state${state}`, disk),
      place: borg,
    },
    casync: {
      rounds: Math.min(rounds, CASYNC_ROUNDS),
      begin: () => mkdirSync(bench.fresh('casync')),
      store: (state) =>
        program(
          'casync',
          'make',
          `--store=${join(bench.at('casync'), 'store')}`,
          bench.at(`casync/state${state}.caibx`),
          disk,
        ),
      place: bench.at('casync'),
    },
  };
}

type Name = keyof ReturnType<typeof tools>;

/** Seconds of each round, for all states together. */
function store(
  bench: Workbench,
  all: Record<Name, Tool>,
  disk: string,
): { sums: Record<Name, number[]>; peakMiB: number } {
  const sums: Record<Name, number[]> = { ours: [], restic: [], borg: [], casync: [] };
  let peakMiB = 0;
  for (let round = 0; round < all.ours.rounds; round++) {
    const active = (Object.keys(all) as Name[]).filter((name) => round < all[name].rounds);
    for (const name of active) {
      all[name].begin();
      sums[name].push(0);
    }
    for (const [index, path] of realDisks(bench.options.size).entries()) {
      bench.run(program('cp', '--sparse=always', path, disk));
      for (const name of active) {
        bench.run(program('sync'));
        const taken = bench.timed(all[name].store(index + 1));
        sums[name][round] = (sums[name][round] as number) + taken.seconds;
        if (name === 'ours') peakMiB = Math.max(peakMiB, taken.peakMiB);
      }
    }
  }
  return { sums, peakMiB };
}

function besideOthers(bench: Workbench, all: Record<Name, Tool>, disk: string): Figure[] {
  const { sums, peakMiB } = store(bench, all, disk);
  const seconds = (name: Name): Quantity => ({ value: median(sums[name]), unit: 's' });
  const bytes = (name: Name): Quantity => bytesQuantity(bytesBelow(all[name].place));
  const time = (name: Name, command: string, limits: Limits = {}): Figure =>
    ratio(`six states as six versions, to \`${command}\``, seconds('ours'), seconds(name), { ...limits, peakMiB });
  return [
    time('restic', 'restic backup', { atMost: 1 / 8 }),
    ratio("- bytes, to those of restic's repository", bytes('ours'), bytes('restic'), { atMost: 0.97 }),
    time('borg', 'borg create --compression lz4', { atMost: 1 / 5 }),
    ratio("- bytes, to those of borg's repository", bytes('ours'), bytes('borg')),
    time('casync', 'casync make'),
    ratio("- bytes, to those of casync's store and indexes", bytes('ours'), bytes('casync')),
  ];
}

function realDiff(bench: Workbench, image: string): Figure[] {
  const works = {
    ours: { commands: [vsimg('diff', image, '4', '5')] },
    node: { commands: [program(process.execPath, '-e', '0')] },
  };
  const { ours, node } = bench.compare(works, {
    runs: bench.options.runs * 5,
    processes: 'untouched',
    disk: 'untouched',
  });
  return [timeRatio('`diff` of the fourth and the fifth version, to `node -e 0`', ours, node, { atMost: 1.5 })];
}

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const rounds = Math.min(options.runs, MOST_ROUNDS);
    // One path for all states, as a disk that is in use has; the tools take turns at every state.
    const disk = bench.at('disk.raw');
    const all = tools(bench, disk, rounds);
    await bench.measure(() => besideOthers(bench, all, disk));
    await bench.measure(() => realDiff(bench, all.ours.place));
    return {
      title: 'A series of states',
      notes: [
        `Rounds: ${rounds}, at most ${MOST_ROUNDS} because each takes minutes (casync: ${all.casync.rounds}). The tools take turns at every state, from cache, \`sync\` before each run.`,
        'Ours, restic and borg make durable what they store; casync does not.',
        'Default settings and caches of restic and borg, borg without encryption; repositories made before.',
      ],
    };
  });
}
