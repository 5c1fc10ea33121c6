import { run as experiment } from './experiment.ts';
import { run as flat } from './flat.ts';
import { run as fragmentation } from './fragmentation.ts';
import { run as gc } from './gc.ts';
import type { Package } from './peers.ts';
import type { Report } from './report.ts';
import { run as series } from './series.ts';
import { run as serve } from './serve.ts';
import { run as small } from './small.ts';
import { run as space } from './space.ts';
import { run as transfer } from './transfer.ts';
import type { BenchOptions } from './workbench.ts';

interface Group {
  readonly needs: readonly Package[];
  readonly run: (options: BenchOptions) => Promise<Report>;
}

/** What real-image.sh uses. */
const DISKS: readonly Package[] = ['e2fsprogs', 'mtools', 'dosfstools'];
const TIMED: readonly Package[] = ['time'];

/** In the order in which they run. */
export const groups = {
  space: { needs: DISKS, run: space },
  flat: { needs: [], run: flat },
  small: { needs: TIMED, run: small },
  transfer: { needs: [...DISKS, ...TIMED, 'qemu-utils'], run: transfer },
  series: { needs: [...DISKS, ...TIMED, 'restic', 'borgbackup', 'casync'], run: series },
  gc: { needs: [...DISKS, ...TIMED, 'qemu-utils'], run: gc },
  fragmentation: { needs: [...DISKS, ...TIMED], run: fragmentation },
  serve: { needs: [...DISKS, 'qemu-utils', 'fio'], run: serve },
  experiment: { needs: [...DISKS, ...TIMED], run: experiment },
} satisfies Record<string, Group>;

export function isGroup(name: string): name is keyof typeof groups {
  return Object.hasOwn(groups, name);
}
