// Whole disks in and out, beside qemu-img, cp and cmp. Nobody waits for the disk: the peers do not, we get --no-sync.
import { bytesOf, changedRuns, type Run, realDisks } from './real-disk.ts';
import { bytesQuantity, type Figure, type Report, ratio } from './report.ts';
import { timeRatio } from './time-ratio.ts';
import { type BenchOptions, type Measured, piped, program, vsimg, Workbench } from './workbench.ts';

const CODECS = ['none', 'zstd'] as const;
type Codec = (typeof CODECS)[number];

/** The part of a disk that is read into a pipe: as long as this at most, and as full as can be found. */
const DENSE_BYTES = 512 * 2 ** 20;
const DENSE_STEP_BYTES = 16 * 2 ** 20;

/** Offset and length of a part of the disk that holds as little as possible but data. */
function densePart(runs: readonly Run[], sizeBytes: number): { start: number; length: number } {
  const length = Math.min(DENSE_BYTES, sizeBytes / 8);
  const held = (from: number): number =>
    runs.reduce((sum, run) => {
      const both = Math.min(run.start + run.length, from + length) - Math.max(run.start, from);
      return sum + Math.max(0, both);
    }, 0);
  let start = 0;
  for (let from = 0; from + length <= sizeBytes; from += DENSE_STEP_BYTES) if (held(from) > held(start)) start = from;
  return { start, length };
}

class Transfer {
  private readonly bench: Workbench;
  private readonly disk: string;
  private readonly before: string;
  private readonly earlier: string;

  constructor(bench: Workbench) {
    this.bench = bench;
    const disks = realDisks(bench.options.size);
    // The largest state, and the two before: little changes from the earlier one to the one before.
    [this.earlier, this.before, this.disk] = disks.slice(2, 5) as [string, string, string];
  }

  imports(): Figure[] {
    const { bench, disk } = this;
    const ours = (codec: Codec) => ({
      prepare: () => void bench.fresh(`${codec}.vsi`),
      commands: [vsimg('import', '--no-sync', '--compression', codec, disk, bench.at(`${codec}.vsi`))],
    });
    const qemu = (codec: Codec) => ({
      prepare: () => void bench.fresh(`${codec}.qcow2`),
      commands: [
        program(
          ...['qemu-img', 'convert', '-O', 'qcow2'],
          ...(codec === 'zstd' ? ['-c', '-o', 'compression_type=zstd'] : []),
          ...[disk, bench.at(`${codec}.qcow2`)],
        ),
      ],
    });
    const copy = { prepare: () => void bench.fresh('copy.raw'), commands: [this.copyTo('copy.raw')] };
    const none = bench.compare({ ours: ours('none'), qemu: qemu('none'), cp: copy });
    const zstd = bench.compare({ ours: ours('zstd'), qemu: qemu('zstd') });
    const bytes = (name: string) => bytesQuantity(bench.lengthBytes(name));
    return [
      timeRatio('import, `--compression none`, to `qemu-img convert -O qcow2`', none.ours, none.qemu, { atMost: 0.7 }),
      timeRatio('- the same to `cp --sparse=always`', none.ours, none.cp, { atMost: 1.4 }),
      ratio('- bytes, to those of the qcow2', bytes('none.vsi'), bytes('none.qcow2')),
      timeRatio('import, default compression, to `qemu-img convert -c` with zstd', zstd.ours, zstd.qemu, {
        atMost: 0.35,
      }),
      ratio('- bytes, to those of the qcow2', bytes('zstd.vsi'), bytes('zstd.qcow2'), { atMost: 1.03 }),
      { what: '- peak memory', value: zstd.ours.peakMiB, unit: 'MiB', atMost: 256, peakMiB: zstd.ours.peakMiB },
    ];
  }

  /** `cp` and `cmp` get files of their own, so that both sides read two inodes from cache. */
  unchanged(): Figure[] {
    const { bench, disk } = this;
    bench.run(this.copyTo('copy.raw'));
    return CODECS.flatMap((codec) => {
      const image = bench.at(`${codec}.vsi`);
      bench.run(program('cp', image, bench.fresh('again.vsi')));
      const again = vsimg('import', '--no-sync', disk, bench.at('again.vsi'));
      const measured = bench.compare({
        ours: { commands: [again] },
        cmp: { commands: [program('cmp', disk, bench.at('copy.raw'))] },
      });
      const { 'stored-bytes': storedBytes } = JSON.parse(
        bench.run(vsimg('import', '--no-sync', '--json', disk, bench.at('again.vsi'))),
      ) as {
        'stored-bytes': number;
      };
      return [
        timeRatio(`import of an unchanged state, ${codec}, to \`cmp\` of two such files`, measured.ours, measured.cmp, {
          atMost: 0.5,
        }),
        { what: '- data stored', value: storedBytes, unit: 'B', atMost: 0 },
      ];
    });
  }

  exports(): Figure[] {
    const { bench } = this;
    const ours = (codec: Codec) => ({
      prepare: () => void bench.fresh('ours.raw'),
      commands: [vsimg('export', '--no-sync', bench.at(`${codec}.vsi`), bench.at('ours.raw'))],
    });
    const none = bench.compare({
      ours: ours('none'),
      cp: { prepare: () => void bench.fresh('copy.raw'), commands: [this.copyTo('copy.raw')] },
    });
    this.verify('ours.raw');
    const zstd = bench.compare({
      ours: ours('zstd'),
      qemu: {
        prepare: () => void bench.fresh('qemu.raw'),
        commands: [program('qemu-img', 'convert', '-O', 'raw', bench.at('zstd.qcow2'), bench.at('qemu.raw'))],
      },
    });
    this.verify('ours.raw');
    return [
      timeRatio('export, none, to `cp --sparse=always`', none.ours, none.cp, { atMost: 1.3 }),
      timeRatio('export, zstd, to `qemu-img convert` of the zstd qcow2', zstd.ours, zstd.qemu, { atMost: 0.6 }),
    ];
  }

  /**
   * There and back between two versions, so that every run finds the file as it needs it, beside the export of all of
   * it. The time should be that of the start and, for the rest, the share of the data that changed.
   */
  seeds(): Figure[] {
    const { bench } = this;
    const image = bench.at('seed.vsi');
    bench.importAll('seed.vsi', 'none', [this.earlier, this.before, this.disk]);
    const full = {
      prepare: () => void bench.fresh('full.raw'),
      commands: [vsimg('export', '--no-sync', `${image}@3`, bench.at('full.raw'))],
    };
    bench.run(vsimg('export', '--no-sync', `${image}@2`, bench.fresh('seed.raw')));
    const seed = (from: number, to: number) =>
      vsimg('export', '--no-sync', '--seed', String(from), `${image}@${to}`, bench.at('seed.raw'));
    const there = (from: number, to: number) => {
      let isThere = false;
      return {
        prepare: () => {
          if (isThere) bench.run(seed(to, from));
          isThere = true;
        },
        commands: [seed(from, to)],
      };
    };
    const start = { commands: [program(process.execPath, '-e', '0')] };
    const dataBytes = bytesOf(changedRuns(null, this.disk));
    const figures: Figure[] = [];
    for (const { what, from, to, before, after } of [
      { what: 'little', from: 2, to: 1, before: this.before, after: this.earlier },
      { what: 'much', from: 1, to: 3, before: this.earlier, after: this.disk },
    ]) {
      const measured = bench.compare({ ours: there(from, to), full, start });
      bench.run(program('cmp', after, bench.at('seed.raw')));
      const share = bytesOf(changedRuns(before, after)) / dataBytes;
      const expected = measured.start.seconds + share * (measured.full.seconds - measured.start.seconds);
      figures.push(
        ratio(
          `\`export --seed\`, ${what} changed, to a start and ${(share * 100).toPrecision(2)} % of an export`,
          { value: measured.ours.seconds, unit: 's' },
          { value: expected, unit: 's' },
          { atMost: 1.5, peakMiB: measured.ours.peakMiB },
        ),
        timeRatio('- the same to an export of everything', measured.ours, measured.full),
      );
    }
    return figures;
  }

  reads(): Figure[] {
    const { bench, disk } = this;
    const sizeBytes = bench.lengthBytes('ours.raw');
    const { start, length } = densePart(changedRuns(null, disk), sizeBytes);
    const rate = (bytes: number, { seconds }: Measured) => ({ value: bytes / seconds / 1e9, unit: 'GB/s' }) as const;
    return CODECS.flatMap((codec) => {
      const limits = codec === 'none' ? { atLeast: 1 } : {};
      const image = bench.at(`${codec}.vsi`);
      const all = bench.compare({
        ours: { commands: [piped(vsimg('read', image))] },
        cat: { commands: [piped(program('cat', disk))] },
      });
      const range = ['--offset', String(start), '--length', String(length)];
      const dd = [
        `if=${disk}`,
        'bs=1M',
        `skip=${start}`,
        `count=${length}`,
        'iflag=skip_bytes,count_bytes',
        'status=none',
      ];
      const dense = bench.compare({
        ours: { commands: [piped(vsimg('read', image, ...range))] },
        cat: { commands: [piped(program('dd', ...dd))] },
      });
      const figure = (what: string, bytes: number, { ours, cat }: Record<'ours' | 'cat', Measured>): Figure => ({
        what,
        ...rate(bytes, ours),
        ...limits,
        ours: rate(bytes, ours),
        peer: rate(bytes, cat),
        peakMiB: ours.peakMiB,
      });
      return [
        figure(`\`read\` of the whole disk into a pipe, ${codec} (peer: \`cat\`)`, sizeBytes, all),
        figure(
          `\`read\` of ${length / 2 ** 20} MiB without holes into a pipe, ${codec} (peer: \`dd bs=1M\`)`,
          length,
          dense,
        ),
      ];
    });
  }

  private copyTo(name: string) {
    return program('cp', '--sparse=always', this.disk, this.bench.at(name));
  }

  private verify(name: string): void {
    this.bench.run(program('cmp', this.disk, this.bench.at(name)));
  }
}

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const transfer = new Transfer(bench);
    await bench.measure(() => transfer.imports());
    await bench.measure(() => transfer.unchanged());
    await bench.measure(() => transfer.exports());
    await bench.measure(() => transfer.reads());
    await bench.measure(() => transfer.seeds());
    return {
      title: 'Whole disks',
      notes: [
        `The largest of the six states, ${options.runs} runs, from cache, \`sync\` before each run.`,
        'Neither side waits for the disk: `--no-sync` for ours; `qemu-img convert`, `cp` and `cmp` do not sync.',
      ],
    };
  });
}
