// `vsimg serve` beside `qemu-nbd`, asked by the same client: fio.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { connect } from 'node:net';
import { freemem } from 'node:os';
import { performance } from 'node:perf_hooks';
import { NbdClient } from '../support/nbd-client.ts';
import { realDisks } from './real-disk.ts';
import type { Figure, Report } from './report.ts';
import { timeRatio } from './time-ratio.ts';
import { type BenchOptions, median, program, vsimg, Workbench } from './workbench.ts';

const PIECE_BYTES = 2 ** 20;
/** More than any side writes in a run. */
const WARM_BYTES = 12 * 2 ** 30;

interface Load {
  readonly what: string;
  readonly argv: readonly string[];
  readonly codec: 'none' | 'zstd';
  readonly writes: boolean;
  /** Of qemu-nbd's requests a second. */
  readonly atLeast: number;
}

const LOADS: readonly Load[] = [
  {
    what: 'randread 4k, depth 16, none',
    argv: ['--rw=randread', '--bs=4k', '--iodepth=16'],
    codec: 'none',
    writes: false,
    atLeast: 1,
  },
  {
    what: 'randread 4k, depth 16, zstd',
    argv: ['--rw=randread', '--bs=4k', '--iodepth=16'],
    codec: 'zstd',
    writes: false,
    atLeast: 1,
  },
  {
    what: 'read 256k, depth 8, none',
    argv: ['--rw=read', '--bs=256k', '--iodepth=8'],
    codec: 'none',
    writes: false,
    atLeast: 1,
  },
  {
    what: 'read 256k, depth 8, zstd',
    argv: ['--rw=read', '--bs=256k', '--iodepth=8'],
    codec: 'zstd',
    writes: false,
    atLeast: 1,
  },
  {
    what: 'randwrite 4k, depth 16, flush at the end, none',
    argv: ['--rw=randwrite', '--bs=4k', '--iodepth=16', '--end_fsync=1'],
    codec: 'none',
    writes: true,
    atLeast: 0.8,
  },
  {
    what: 'write 256k, depth 8, flush at the end, none',
    argv: ['--rw=write', '--bs=256k', '--iodepth=8', '--end_fsync=1'],
    codec: 'none',
    writes: true,
    atLeast: 1,
  },
];

/** What is left of a disk without its holes, up to `sizeBytes`; what lacks is read again from its start. */
function denseCopy(disk: string, copy: string, sizeBytes: number): void {
  const [from, to] = [openSync(disk, 'r'), openSync(copy, 'w')];
  const piece = Buffer.alloc(PIECE_BYTES);
  const zeros = Buffer.alloc(PIECE_BYTES);
  const length = statSync(disk).size;
  for (let offset = 0, done = 0; done < sizeBytes; offset = (offset + PIECE_BYTES) % length) {
    readSync(from, piece, 0, PIECE_BYTES, offset);
    if (piece.equals(zeros)) continue;
    writeSync(to, piece, 0, PIECE_BYTES, done);
    done += PIECE_BYTES;
  }
  closeSync(from);
  closeSync(to);
}

/**
 * Touches memory that is free. A virtual machine is given memory when it uses it for the first time, at a tenth of the speed of
 * memory: whoever wrote a new place first would pay that, and who writes over what is there would not.
 */
function warmMemory(path: string): void {
  const file = openSync(path, 'w');
  const piece = Buffer.alloc(PIECE_BYTES, 1);
  const bytes = Math.min(WARM_BYTES, Math.floor(freemem() / 2));
  for (let done = 0; done < bytes; done += PIECE_BYTES) writeSync(file, piece);
  closeSync(file);
  rmSync(path);
}

/** A server that runs, at a Unix socket. */
class Server {
  readonly socket: string;
  private readonly child: ChildProcess;

  constructor(argv: readonly string[], socket: string, env: NodeJS.ProcessEnv) {
    rmSync(socket, { force: true });
    const [name, ...args] = argv as [string, ...string[]];
    this.socket = socket;
    this.child = spawn(name, args, { env, stdio: 'ignore' });
  }

  /** When it has answered a first read. */
  async answered(): Promise<void> {
    for (;;) {
      if (this.child.exitCode !== null) throw new Error('the server ended');
      const socket = existsSync(this.socket) ? connect({ path: this.socket }) : undefined;
      const isThere =
        socket !== undefined &&
        (await once(socket, 'connect').then(
          () => true,
          () => false,
        ));
      if (socket !== undefined && isThere) {
        const client = new NbdClient(socket);
        await client.open('');
        await client.read(0, 4096);
        await client.leave();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  peakMiB(): number {
    const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8')) ?? [];
    return Number(kib) / 1024;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}

class Serve {
  private readonly bench: Workbench;
  private readonly seconds: number;
  private readonly env: NodeJS.ProcessEnv;

  constructor(bench: Workbench) {
    this.bench = bench;
    this.seconds = bench.options.size === 'full' ? 10 : 2;
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
    this.env = { ...env, LC_ALL: 'C' };
    if (bench.options.size === 'full') warmMemory(bench.fresh('warm'));
    const raw = bench.fresh('dense.raw');
    const [, , , , disk] = realDisks(bench.options.size) as [string, string, string, string, string];
    denseCopy(disk, raw, bench.options.size === 'full' ? 2 ** 30 : 2 ** 26);
    for (const codec of ['none', 'zstd'] as const) {
      bench.run(vsimg('import', '--no-sync', '--compression', codec, raw, bench.fresh(`${codec}.vsi`)));
      const compressed = codec === 'zstd' ? ['-c', '-o', 'compression_type=zstd'] : [];
      bench.run(program('qemu-img', 'convert', '-O', 'qcow2', ...compressed, raw, bench.fresh(`${codec}.qcow2`)));
    }
  }

  private ours(image: string): Server {
    return new Server(
      [...vsimg('serve', this.bench.at(image)).argv, '--socket', this.bench.at('ours.sock')],
      this.bench.at('ours.sock'),
      this.env,
    );
  }

  private qemu(image: string): Server {
    const socket = this.bench.at('qemu.sock');
    return new Server(
      ['qemu-nbd', '--socket', socket, '--persistent', '--format=qcow2', this.bench.at(image)],
      socket,
      this.env,
    );
  }

  /** Requests a second. */
  private fio(server: Server, argv: readonly string[]): number {
    const uri = `--uri=nbd+unix:///?socket=${server.socket}`;
    const common = [
      '--name=load',
      '--ioengine=nbd',
      uri,
      `--runtime=${this.seconds}`,
      '--time_based',
      '--output-format=json',
    ];
    const { status, stdout, stderr } = spawnSync('fio', [...common, ...argv], { encoding: 'utf8', env: this.env });
    if (status !== 0) throw new Error(`fio ended with ${status}: ${stderr}`);
    const [job] = JSON.parse(stdout.slice(stdout.indexOf('{'))).jobs;
    return job.read.iops + job.write.iops;
  }

  private async rate(load: Load, side: 'ours' | 'qemu'): Promise<{ readonly rate: number; readonly peakMiB: number }> {
    const { bench } = this;
    const suffix = side === 'ours' ? 'vsi' : 'qcow2';
    const image = load.writes ? `written.${suffix}` : `${load.codec}.${suffix}`;
    if (load.writes) copyFileSync(bench.at(`${load.codec}.${suffix}`), bench.fresh(image));
    bench.run(program('sync'));
    const server = side === 'ours' ? this.ours(image) : this.qemu(image);
    try {
      await server.answered();
      const rate = this.fio(server, load.argv);
      return { rate, peakMiB: server.peakMiB() };
    } finally {
      await server.stop();
    }
  }

  async load(load: Load): Promise<Figure[]> {
    const rates = { ours: [] as number[], qemu: [] as number[] };
    let peakMiB = 0;
    for (let run = 0; run < this.bench.options.runs; run++)
      for (const side of ['ours', 'qemu'] as const) {
        const measured = await this.rate(load, side);
        rates[side].push(measured.rate);
        if (side === 'ours') peakMiB = Math.max(peakMiB, measured.peakMiB);
      }
    if (load.writes) this.bench.run(vsimg('check', '--data', this.bench.at('written.vsi')));
    const [ours, qemu] = [median(rates.ours), median(rates.qemu)];
    return [
      {
        what: `${load.what}: requests a second, to those of \`qemu-nbd\``,
        value: ours / qemu,
        unit: 'x',
        atLeast: load.atLeast,
        ours: { value: ours, unit: '1/s' },
        peer: { value: qemu, unit: '1/s' },
        peakMiB,
      },
      { what: '- peak memory', value: peakMiB, unit: 'MiB', atMost: 250 },
    ];
  }

  /** From the start of the process to the first data, asked for every millisecond; a run of `node -e 0` beside each. */
  async start(): Promise<Figure[]> {
    const times = { ours: [] as number[], node: [] as number[] };
    for (let run = 0; run < this.bench.options.runs * 5; run++) {
      times.node.push(
        await secondsOf(() => once(spawn(process.execPath, ['-e', '0'], { env: this.env, stdio: 'ignore' }), 'exit')),
      );
      let server: Server | undefined;
      times.ours.push(
        await secondsOf(() => {
          server = this.ours('zstd.vsi');
          return server.answered();
        }),
      );
      await server?.stop();
    }
    const measured = (all: readonly number[]) => ({ seconds: median(all), peakMiB: 0 });
    const [ours, node] = [measured(times.ours), measured(times.node)];
    return [timeRatio('from start to the first served bytes, to `node -e 0`', ours, node, { atMost: 2 })];
  }
}

async function secondsOf(action: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await action();
  return (performance.now() - began) / 1000;
}

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const serve = new Serve(bench);
    await bench.measure(() => serve.start());
    for (const load of LOADS) await bench.measure(() => serve.load(load));
    return {
      title: 'Serving',
      notes: [
        'The image has 1 GiB of data of the real disk, without holes. Servers run one at a time, and start anew for each run. Memory was used before.',
      ],
    };
  });
}
