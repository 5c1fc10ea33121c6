import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Figure, Report } from './report.ts';

export interface BenchOptions {
  /** Counted runs of every comparison. */
  readonly runs: number;
  /** 'small': disks of 1 GiB and scale images of a thousandth, to try the benchmark itself. */
  readonly size: 'full' | 'small';
  /** An empty folder for everything that is made. */
  readonly directory: string;
}

export interface Command {
  readonly argv: readonly string[];
  /** 'piped': a program reads it all and throws it away. */
  readonly stdout: 'ignored' | 'piped';
}

/** What is timed: programs that run one after the other. */
export interface Work {
  readonly commands: readonly Command[];
  /** Brings the files into the state before; not timed. */
  readonly prepare?: () => void;
}

export interface Measured {
  /** Median. */
  readonly seconds: number;
  /** The highest of all runs; 0 where it was not asked for. */
  readonly peakMiB: number;
}

export interface ComparisonOptions {
  readonly runs?: number;
  /** Runs before those that count. Default 1. */
  readonly warmUps?: number;
  /** 'untouched': without the millisecond that measuring its memory costs a process. */
  readonly processes?: 'measured' | 'untouched';
  /** 'synced': before each run, so that nobody waits for what another one wrote. */
  readonly disk?: 'synced' | 'untouched';
}

const VSIMG = 'bin/vsimg.js';
const GNU_TIME = '/usr/bin/time';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2;
}

/** The program itself, as npm's link to it would start it. */
export function vsimg(...args: readonly string[]): Command {
  return program(process.execPath, VSIMG, ...args);
}

export function program(...argv: readonly string[]): Command {
  return { argv, stdout: 'ignored' };
}

export function piped({ argv }: Command): Command {
  return { argv, stdout: 'piped' };
}

/** A scratch directory, the programs that run in it, and what their runs took. */
export class Workbench {
  readonly options: BenchOptions;
  private readonly environment: NodeJS.ProcessEnv;
  private readonly figures: Figure[] = [];
  private readonly failures: string[] = [];
  private highest: { readonly peakMiB: number; readonly name: string } = { peakMiB: 0, name: '' };

  private constructor(options: BenchOptions) {
    this.options = options;
    // Node reads that file at every start, which takes longer than the start itself.
    const { NODE_EXTRA_CA_CERTS: _, ...environment } = process.env;
    this.environment = {
      ...environment,
      LC_ALL: 'C',
      // Caches as users have them, but none that outlives the run.
      XDG_CACHE_HOME: this.at('cache'),
      BORG_BASE_DIR: this.at('borg-home'),
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      RESTIC_PASSWORD: 'benchmark',
    };
  }

  /** Gives `measure` a workbench, and reports what it measured. */
  static async report(
    options: BenchOptions,
    measure: (bench: Workbench) => Promise<Omit<Report, 'figures' | 'failures'>>,
  ): Promise<Report> {
    const bench = new Workbench(options);
    const about = await measure(bench);
    return { ...about, figures: [...bench.figures, ...bench.peakFigures()], failures: bench.failures };
  }

  /** Figures that stand for themselves: when they fail, the others are measured all the same. */
  async measure(part: () => readonly Figure[] | Promise<readonly Figure[]>): Promise<void> {
    try {
      this.figures.push(...(await part()));
    } catch (error) {
      const failure = error instanceof Error ? error.message.trim() : String(error);
      console.error(failure);
      this.failures.push(failure);
    }
  }

  at(name: string): string {
    return join(this.options.directory, name);
  }

  /** The same path, with nothing there. */
  fresh(name: string): string {
    rmSync(this.at(name), { recursive: true, force: true });
    return this.at(name);
  }

  lengthBytes(name: string): number {
    return statSync(this.at(name)).size;
  }

  /** Runs it without measuring its time; returns what it printed. */
  run(command: Command, input?: string): string {
    const [name, ...args] = this.watched(command) as [string, ...string[]];
    const { status, error, stdout, stderr } = spawnSync(name, args, {
      env: this.environment,
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
      ...(input === undefined ? { stdio: ['ignore', 'pipe', 'pipe'] } : { input }),
    });
    if (status !== 0) throw new Error(`'${command.argv.join(' ')}' ended with ${status}: ${error?.message ?? stderr}`);
    this.peakOf(command);
    return stdout;
  }

  /** A new image of these raw files, one version each. */
  importAll(name: string, codec: string, disks: readonly string[]): void {
    const image = this.fresh(name);
    for (const [index, disk] of disks.entries()) {
      const options = index === 0 ? ['--compression', codec] : [];
      this.run(vsimg('import', '--no-sync', ...options, disk, image));
    }
  }

  /** All works in turn, `runs` times. */
  compare<Name extends string>(
    works: Readonly<Record<Name, Work>>,
    options: ComparisonOptions = {},
  ): Record<Name, Measured> {
    const { runs = this.options.runs, warmUps = 1, processes = 'measured', disk = 'synced' } = options;
    const names = Object.keys(works) as Name[];
    const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
    const peaks = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
    for (let run = -warmUps; run < runs; run++) {
      for (const name of names) {
        works[name].prepare?.();
        if (disk === 'synced') this.run(program('sync'));
        let sum = 0;
        for (const command of works[name].commands) {
          const taken = processes === 'measured' ? this.timed(command) : { seconds: this.elapsed(command), peakMiB: 0 };
          sum += taken.seconds;
          peaks[name] = Math.max(peaks[name], taken.peakMiB);
        }
        if (run >= 0) seconds[name].push(sum);
      }
    }
    const measured = names.map((name) => [name, { seconds: median(seconds[name]), peakMiB: peaks[name] }]);
    return Object.fromEntries(measured) as Record<Name, Measured>;
  }

  /** Wall time of the whole process, and its peak of memory. */
  timed(command: Command): Measured {
    const seconds = this.elapsed({ ...command, argv: this.watched(command) });
    return { seconds, peakMiB: this.peakOf(command) };
  }

  /** No command of ours in this group had a higher peak, among them those that are not timed. */
  private peakFigures(): Figure[] {
    const { peakMiB, name } = this.highest;
    if (peakMiB === 0) return [];
    return [{ what: `highest peak memory of all commands (${name})`, value: peakMiB, unit: 'MiB', atMost: 256 }];
  }

  private watched({ argv }: Command): string[] {
    return [GNU_TIME, '-f', '%M', '-o', this.at('peak'), ...argv];
  }

  /** What wait4(2) told GNU time of the command that has just ended, in MiB. */
  private peakOf({ argv }: Command): number {
    const peakMiB = Number(readFileSync(this.at('peak'), 'utf8')) / 1024;
    if (argv[1] === VSIMG && peakMiB > this.highest.peakMiB) this.highest = { peakMiB, name: `\`${argv[2]}\`` };
    return peakMiB;
  }

  private elapsed({ argv, stdout }: Command): number {
    const whole =
      stdout === 'ignored' ? argv : ['bash', '-c', 'set -o pipefail; "$@" | cat >/dev/null', 'bash', ...argv];
    const [name, ...args] = whole as [string, ...string[]];
    const started = performance.now();
    const { status, error, stderr } = spawnSync(name, args, {
      env: this.environment,
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    });
    const seconds = (performance.now() - started) / 1000;
    if (status !== 0) throw new Error(`'${argv.join(' ')}' ended with ${status}: ${error?.message ?? stderr}`);
    return seconds;
  }
}
