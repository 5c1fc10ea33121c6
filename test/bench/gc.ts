// Deleting the oldest four of six versions and collecting their space, beside internal snapshots of a qcow2.
import { copyFileSync } from 'node:fs';
import { randomWrites, writeRandomly } from './random-writes.ts';
import { bytesOf, changedRuns, type Run, realDisks } from './real-disk.ts';
import { bytesQuantity, type Figure, type Report, ratio } from './report.ts';
import { makeSnapshots } from './snapshots.ts';
import { timeRatio } from './time-ratio.ts';
import { type BenchOptions, program, vsimg, Workbench } from './workbench.ts';

const DELETED = 4;
const MIB = 2 ** 20;

class Collections {
  private readonly bench: Workbench;
  private readonly states: readonly string[];
  private readonly codec: string;

  constructor(bench: Workbench, states: readonly string[], codec: string) {
    this.bench = bench;
    this.states = states;
    this.codec = codec;
  }

  private deletion(image: string, ...gc: readonly string[]) {
    return [vsimg('delete', image, `1..${DELETED}`), vsimg('gc', ...gc, image)];
  }

  /** Of the disk: all of the fifth state, and what is new in the sixth. */
  private keptDataBytes(): number {
    const [fifth, sixth] = this.states.slice(DELETED) as [string, string];
    const isData = ({ kind }: Run): boolean => kind === 'data';
    return bytesOf(changedRuns(null, fifth)) + bytesOf(changedRuns(fifth, sixth).filter(isData));
  }

  beside(snapshots: string): Figure[] {
    const { bench, codec, states } = this;
    bench.importAll('six.vsi', codec, states);
    bench.importAll('kept.vsi', codec, states.slice(DELETED));
    const ours = bench.at('ours.vsi');
    const qcow2 = bench.at('peer.qcow2');
    const measured = bench.compare({
      ours: { prepare: () => copyFileSync(bench.at('six.vsi'), ours), commands: this.deletion(ours) },
      qemu: {
        prepare: () => copyFileSync(snapshots, qcow2),
        commands: Array.from({ length: DELETED }, (_, index) =>
          program('qemu-img', 'snapshot', '-d', `state${index + 1}`, qcow2),
        ),
      },
    });
    this.verify('ours.vsi', 6);
    const keptBytes = bench.lengthBytes('kept.vsi');
    const figures: Figure[] = [
      timeRatio(
        `\`delete\` of 4 of 6 versions and \`gc\`, ${codec}, to \`qemu-img snapshot -d\``,
        measured.ours,
        measured.qemu,
        { atMost: 1 },
      ),
      {
        what: '- for each GiB of data kept, before compression',
        value: measured.ours.seconds / (this.keptDataBytes() / 2 ** 30),
        unit: 's/GiB',
        atMost: 1,
      },
      ratio(
        '- length of the file, to a fresh import of what is kept',
        bytesQuantity(bench.lengthBytes('ours.vsi')),
        bytesQuantity(keptBytes),
        { atMost: 1.03 },
      ),
      {
        what: '- for comparison: length of the qcow2 after that',
        ...bytesQuantity(bench.lengthBytes('peer.qcow2')),
      },
    ];
    bench.fresh('ours.vsi');
    bench.fresh('peer.qcow2');
    return figures;
  }

  /** The same with a seventh version of random writes on top. */
  async afterRandomWrites(): Promise<Figure[]> {
    const { bench, codec, states } = this;
    const { writes } = randomWrites(bench.options.size);
    await writeRandomly(bench.at('six.vsi'), states.at(-1) as string, { writes, commits: 1 });
    bench.run(vsimg('export', '--no-sync', bench.at('six.vsi'), bench.fresh('head.raw')));
    bench.importAll('kept.vsi', codec, [...states.slice(DELETED), bench.at('head.raw')]);
    const keptBytes = bench.lengthBytes('kept.vsi');
    const after = (...gc: readonly string[]): { bytes: number; seconds: number; peakMiB: number } => {
      const copy = bench.at('ours.vsi');
      const { ours } = bench.compare(
        { ours: { prepare: () => copyFileSync(bench.at('six.vsi'), copy), commands: this.deletion(copy, ...gc) } },
        { runs: 1, warmUps: 0 },
      );
      this.verify('ours.vsi', 7);
      return { bytes: bench.lengthBytes('ours.vsi'), ...ours };
    };
    const plain = after();
    const compact = after('--compact');
    const length = (what: string, { bytes, peakMiB }: { bytes: number; peakMiB: number }, atMost: number): Figure =>
      ratio(what, bytesQuantity(bytes), bytesQuantity(keptBytes), { atMost, peakMiB });
    return [
      length(
        `after ${writes.toLocaleString('en')} random writes, ${codec}: length, to a fresh import`,
        plain,
        1.3 + (64 * MIB) / keptBytes,
      ),
      length('- the same with `gc --compact`', compact, 1.03),
      { what: '- `delete` and `gc`, one run', value: plain.seconds, unit: 's' },
      { what: '- `delete` and `gc --compact`, one run', value: compact.seconds, unit: 's' },
    ];
  }

  /** The sixth state and the head, as they were. */
  private verify(name: string, newest: number): void {
    const { bench, states } = this;
    bench.run(vsimg('check', bench.at(name)));
    const expected = new Map([
      [6, states[5] as string],
      [7, bench.at('head.raw')],
    ]);
    for (let version = 6; version <= newest; version++) {
      bench.run(vsimg('export', '--no-sync', `${bench.at(name)}@${version}`, bench.fresh('verified.raw')));
      bench.run(program('cmp', expected.get(version) as string, bench.at('verified.raw')));
    }
    bench.fresh('verified.raw');
  }
}

export function run(options: BenchOptions): Promise<Report> {
  return Workbench.report(options, async (bench) => {
    const states = realDisks(options.size);
    const snapshots = makeSnapshots(bench, states);
    for (const codec of ['none', 'zstd']) {
      const collections = new Collections(bench, states, codec);
      await bench.measure(() => collections.beside(snapshots));
      await bench.measure(() => collections.afterRandomWrites());
    }
    return {
      title: 'Deleting versions',
      notes: [
        'Both sides make durable what they do: `qemu-img snapshot` syncs, ours runs without `--no-sync`. `sync` before each run.',
        'The qcow2 was written as a guest writes: only what changed between two states, zeros as discards, with a snapshot after each.',
      ],
    };
  });
}
