import { fork } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import type { PartOptions, Row } from '../part.ts';
import { type Found, type Job, type Progress, TARGETS } from './protocol.ts';

const MAX_MEMORY_BYTES = 256 * 2 ** 20;
/** Executions of one process. */
const SLICE_EXECUTIONS = 15_000;

/** Every checksum is right: what a fuzzer changes reaches the decoders. */
const oneChecksum: Plugin = {
  name: 'one-checksum',
  setup(plugin) {
    plugin.onLoad({ filter: /[\\/]src[\\/]format[\\/]checksum\.ts$/ }, () => ({
      contents: 'export function checksum() { return 0x5eed1e55; }',
    }));
  },
};

/** The folder of the project, from any file in it or in its node_modules. */
function projectRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder))
    if (existsSync(join(folder, 'package.json')) && existsSync(join(folder, 'src'))) return folder;
}

interface Programs {
  readonly watchdog: string;
  readonly worker: string;
  readonly saveTo: string;
}

async function bundle(name: 'stub' | 'real'): Promise<Programs> {
  const root = projectRoot(import.meta.dirname);
  const out = join(root, 'node_modules/.cache/vsimg-fuzz');
  mkdirSync(out, { recursive: true });
  await build({
    entryPoints: ['watchdog', 'worker'].map((each) => join(root, `test/torture/fuzz/${each}.ts`)),
    outdir: join(out, name),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    alias: { msgpackr: join(root, 'node_modules/msgpackr/index.js') },
    logLevel: 'error',
    plugins: name === 'stub' ? [oneChecksum] : [],
  });
  return {
    watchdog: join(out, name, 'watchdog.mjs'),
    worker: join(out, name, 'worker.mjs'),
    saveTo: join(out, 'found'),
  };
}

type Order = Omit<Job, 'shared'>;
type Told =
  | Progress
  | { readonly type: 'at'; readonly number: number }
  | { readonly type: 'counts'; readonly counts: readonly number[] }
  | (Omit<Found, 'bytes'> & { readonly file: string });

function runChild(programs: Programs, order: Order, onTold: (told: Told) => void): Promise<void> {
  const child = fork(programs.watchdog, [programs.worker, JSON.stringify({ ...order, saveTo: programs.saveTo })]);
  child.on('message', onTold);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status !== 0)
        onTold({
          type: 'found',
          target: 'unknown',
          number: -1,
          what: `the process of seed ${order.seed} ended with ${status ?? signal}`,
          file: 'nothing',
        });
      resolve();
    });
  });
}

/** One process after the other, so that what the garbage collector leaves lying about does not add up. */
async function runInSlices(programs: Programs, order: Order, onTold: (told: Told) => void): Promise<void> {
  for (let first = order.first; first < order.last; first += SLICE_EXECUTIONS) {
    const last = Math.min(order.last, first + SLICE_EXECUTIONS);
    const guided = Math.max(0, Math.min(last, order.guided) - first);
    await runChild(programs, { ...order, first, last, guided }, onTold);
  }
}

export interface FuzzOptions extends PartOptions {
  readonly executions: number;
  /** Child processes at a time. */
  readonly jobs: number;
  /** Share of the executions that is guided by coverage. */
  readonly guidedShare: number;
}

/** Runs the fuzzer in child processes: most of it with checksums that are always right, a tenth with real ones. */
export async function fuzz({ executions, jobs, guidedShare, seed, log }: FuzzOptions): Promise<Row[]> {
  const counts = new Map<string, { count: number; losses: number }>();
  const entry = (what: string): { count: number; losses: number } => {
    const known = counts.get(what) ?? { count: 0, losses: 0 };
    counts.set(what, known);
    return known;
  };
  const bundles = { stub: await bundle('stub'), real: await bundle('real') };
  for (const name of ['stub', 'real'] as const) {
    const programs = bundles[name];
    const isReal = name === 'real';
    const last = Math.ceil((executions * (isReal ? 0.1 : 0.9)) / jobs);
    const started = Date.now();
    const onTold = (told: Told): void => {
      if (told.type === 'found') {
        entry(`fuzz: ${told.target}`).losses++;
        log(`LOST, ${told.target}, execution ${told.number}: ${told.what} (${told.file})`);
        return;
      }
      if (told.type === 'counts') {
        for (const [index, count] of told.counts.entries()) entry(`fuzz: ${TARGETS[index]}`).count += count;
        return;
      }
      const seconds = Math.round((Date.now() - started) / 1000);
      if (told.type === 'at') log(`${name}: at ${told.number} of ${last} after ${seconds} s`);
      else if (told.ranges > 0)
        log(`${name}: ${told.kept} inputs kept, ${told.ranges} ranges reached after ${seconds} s`);
    };
    const orders = Array.from({ length: jobs }, (_, index) => ({
      seed: seed * 1000 + index,
      first: 0,
      last,
      guided: isReal ? 0 : Math.ceil(last * guidedShare),
      isReal,
      maxMemoryBytes: MAX_MEMORY_BYTES,
    }));
    await Promise.all(orders.map((order) => runInSlices(programs, order, onTold)));
  }
  return [...counts].map(([what, { count, losses }]) => ({ what, count, losses }));
}
