// The constants of the format and the level of compression over the real series: what each costs and saves.
import { copyFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CHUNK_BYTES, EXTENT_PAGE_BYTES, RECORD_PAGE_BYTES, SEGMENT_BYTES } from '../../src/format/layout.ts';
import { SeededRandom } from '../support/random.ts';
import { changedRuns, realDisks } from './real-disk.ts';
import type { Report } from './report.ts';
import { buildVariant, type Constants } from './variant.ts';
import { type BenchOptions, median, program, type Work, Workbench } from './workbench.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const BLOCK = 4096;
const DEFAULT_CODEC = 'zstd:2';
/** Each takes half a minute, and there are many of them. */
const MOST_RUNS = 3;
const READS = { full: 2000, small: 200 };
const COMMITS = { full: 300, small: 30 };

interface Variant {
  readonly what: string;
  readonly constants: Constants;
  readonly codec: string;
}

interface Reads {
  readonly seconds: number;
  readonly readBytes: number;
  readonly decodedBytes: number;
}

const BASE: Variant = { what: 'as it is', constants: {}, codec: DEFAULT_CODEC };

/** One at a time, and chunk size with level. */
const VARIANTS: readonly Variant[] = [
  ...[32, 64, 128, 256].flatMap((size) =>
    [1, 2, 3].map((level) => ({
      what: `chunks of ${size} KiB, zstd:${level}`,
      constants: { CHUNK_BYTES: size * KIB },
      codec: `zstd:${level}`,
    })),
  ),
  ...[32, 64, 128, 256].map((size) => ({
    what: `chunks of ${size} KiB, none`,
    constants: { CHUNK_BYTES: size * KIB },
    codec: 'none',
  })),
  ...[1, 2, 4, 8].map((size) => ({
    what: `segments of ${size} MiB`,
    constants: { SEGMENT_BYTES: size * MIB },
    codec: DEFAULT_CODEC,
  })),
  ...[256, 384, 512, 768, 1024].map((size) => ({
    what: `extent pages of ${size} B`,
    constants: { EXTENT_PAGE_BYTES: size },
    codec: DEFAULT_CODEC,
  })),
  ...[384, 512, 640, 768, 1024].map((size) => ({
    what: `record pages of ${size} B`,
    constants: { RECORD_PAGE_BYTES: size },
    codec: DEFAULT_CODEC,
  })),
];

const NOW: Constants = { CHUNK_BYTES, SEGMENT_BYTES, EXTENT_PAGE_BYTES, RECORD_PAGE_BYTES };

function isBase({ constants, codec }: Variant): boolean {
  return codec === DEFAULT_CODEC && Object.entries(constants).every(([name, value]) => NOW[name] === value);
}

class Experiment {
  private readonly bench: Workbench;
  private readonly states: readonly string[];
  private readonly runs: number;
  private readonly built = new Map<string, string>();

  constructor(bench: Workbench) {
    this.bench = bench;
    this.states = realDisks(bench.options.size);
    this.runs = Math.min(MOST_RUNS, bench.options.runs);
    const random = new SeededRandom(5);
    const blocks = changedRuns(null, this.states.at(-1) as string).flatMap(({ start, length }) =>
      Array.from({ length: Math.floor(length / BLOCK) }, (_, block) => start + block * BLOCK),
    );
    for (const [name, counts] of Object.entries({ reads: READS, commits: COMMITS })) {
      const offsets = Array.from({ length: counts[bench.options.size] }, () => blocks[random.below(blocks.length)]);
      writeFileSync(bench.at(`${name}.json`), JSON.stringify(offsets));
    }
  }

  /** Cells of one row; times are beside those of the default in the same run, or seconds for the default itself. */
  row(variant: Variant): string[] {
    const names = variant === BASE ? (['base'] as const) : (['other', 'base'] as const);
    const of = { base: BASE, other: variant };
    const each = <T>(make: (name: 'base' | 'other') => T) =>
      Object.fromEntries(names.map((name) => [name, make(name)]));
    const { bench, runs } = this;
    const imports = bench.compare<string>(
      each((name) => this.imports(of[name], name)),
      { runs, warmUps: 0 },
    );
    const exports = bench.compare<string>(
      each((name) => this.exports(of[name], name)),
      { runs, warmUps: 0 },
    );
    const reads = each((_): Reads[] => []);
    for (let run = 0; run < runs; run++) {
      for (const name of names) reads[name]?.push(this.trial<Reads>('reads', of[name], `${name}.vsi`));
    }
    const name = names[0];
    bench.run(this.vsimg(variant, 'check', '--data', bench.at(`${name}.vsi`)));
    bench.run(program('cmp', this.states[4] as string, bench.at(`${name}.raw`)));
    const info = JSON.parse(bench.run(this.vsimg(variant, 'info', '--json', bench.at(`${name}.vsi`)))) as Info;
    copyFileSync(bench.at(`${name}.vsi`), bench.at('commits.vsi'));
    const commits = this.trial<{ metadataBytes: number }>('commits', variant, 'commits.vsi');
    const time = (seconds: (name: 'base' | 'other') => number, digits: number): string =>
      variant === BASE ? `${seconds('base').toFixed(digits)} s` : (seconds('other') / seconds('base')).toFixed(2);
    const middle = (name: string): number => median((reads[name] ?? []).map(({ seconds }) => seconds));
    const last = reads[name]?.at(-1) as Reads;
    return [
      variant.what,
      (bench.lengthBytes(`${name}.vsi`) / MIB).toFixed(1),
      time((which) => imports[which]?.seconds ?? Number.NaN, 2),
      time((which) => exports[which]?.seconds ?? Number.NaN, 2),
      time(middle, 3),
      (last.readBytes / KIB).toFixed(1),
      (last.decodedBytes / KIB).toFixed(1),
      (info['format-specific'].data.space['metadata-bytes'] / KIB).toFixed(1),
      commits.metadataBytes.toFixed(0),
    ];
  }

  private imports(variant: Variant, name: string): Work {
    const image = this.bench.at(`${name}.vsi`);
    return {
      prepare: () => void this.bench.fresh(`${name}.vsi`),
      commands: this.states.map((state, index) => {
        const codec = index === 0 ? ['--compression', variant.codec] : [];
        return this.vsimg(variant, 'import', '--no-sync', ...codec, state, image);
      }),
    };
  }

  /** Of the largest state. */
  private exports(variant: Variant, name: string): Work {
    const target = this.bench.at(`${name}.raw`);
    return {
      prepare: () => void this.bench.fresh(`${name}.raw`),
      commands: [this.vsimg(variant, 'export', '--no-sync', `${this.bench.at(`${name}.vsi`)}@5`, target)],
    };
  }

  private trial<T>(work: 'reads' | 'commits', variant: Variant, image: string): T {
    const script = resolve('test/bench/trial.mjs');
    const library = join(this.directory(variant), 'dist/index.js');
    const command = program(
      process.execPath,
      script,
      work,
      library,
      this.bench.at(image),
      this.bench.at(`${work}.json`),
    );
    return JSON.parse(this.bench.run(command)) as T;
  }

  private vsimg(variant: Variant, ...args: readonly string[]) {
    return program(process.execPath, join(this.directory(variant), 'bin/vsimg.js'), ...args);
  }

  /** The default too is built here, so that it counts what it decodes as all others do. */
  private directory({ constants }: Variant): string {
    const key = JSON.stringify({ ...NOW, ...constants });
    let directory = this.built.get(key);
    if (directory === undefined) {
      directory = this.bench.at(`variant${this.built.size}`);
      buildVariant(directory, constants);
      this.built.set(key, directory);
    }
    return directory;
  }
}

interface Info {
  readonly 'format-specific': { readonly data: { readonly space: { readonly 'metadata-bytes': number } } };
}

const COLUMNS = [
  'variant',
  'six states, MiB',
  'import',
  'export',
  '4 KiB reads',
  'KiB read for each',
  'KiB decoded for each',
  'metadata, KiB',
  'metadata of a version of one block, B',
];

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const experiment = new Experiment(bench);
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const lines = [line(COLUMNS), line(COLUMNS.map(() => '---'))];
    const others = VARIANTS.filter((other) => !isBase(other));
    // A few of each kind are enough to try it.
    const chosen = options.size === 'full' ? others : others.filter((_, index) => index % 7 === 0);
    for (const variant of [BASE, ...chosen]) {
      await bench.measure(() => {
        const row = line(experiment.row(variant));
        console.error(row);
        lines.push(row);
        return [];
      });
    }
    return {
      title: 'Constants of the format',
      table: lines.join('\n'),
      notes: [
        `Times are ratios of medians of ${Math.min(MOST_RUNS, options.runs)} runs, alternating with those of the format as it is: chunks of ${CHUNK_BYTES / KIB} KiB, segments of ${SEGMENT_BYTES / MIB} MiB, extent pages of ${EXTENT_PAGE_BYTES} B, record pages of ${RECORD_PAGE_BYTES} B, ${DEFAULT_CODEC}.`,
        `Export: the largest state. Reads: ${READS[options.size]} random blocks of the newest version, in one process.`,
      ],
    };
  });
}
