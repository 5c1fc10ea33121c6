import type { TreeRoot } from '../format/page.ts';
import type { ExtentMap } from '../map/extent-map.ts';
import type { GenerationRange } from '../space/pending.ts';
import type { InUse } from './in-use.ts';

const MIB = 1024 * 1024;
export const CACHES = {
  /** For moments beside another one. */
  tiny: { pageBytes: 3 * MIB, decodedBytes: MIB, tables: { cachedTableBytes: 2 * MIB } },
  small: { pageBytes: 16 * MIB, decodedBytes: 4 * MIB, tables: { cachedTableBytes: 8 * MIB } },
  large: { pageBytes: 10 * MIB, decodedBytes: 4 * MIB, tables: { cachedTableBytes: 8 * MIB } },
} as const;

export interface ContainerOptions {
  /** Generations below `limit` that other processes still read, ascending and apart. */
  readonly heldGenerations?: (limit: number) => readonly GenerationRange[];
  /** Skip waiting for the disk: for throw-away images only. */
  readonly sync?: 'on' | 'off';
  /** How much of what was read is kept. */
  readonly caches?: 'tiny' | 'small' | 'large';
  /** Versions that must not be removed, of a container that this one takes over from. */
  readonly inUse?: InUse;
  /** 'accept' opens for a repair what writers refuse, and takes the older header if the newest makes no sense. */
  readonly damage?: 'accept';
}

export interface PublishOptions {
  /** Called when the map of the working state is written and before the version table is: may add a version that has this map. */
  readonly makeVersion?: (working: TreeRoot, writeMap: (map: ExtentMap) => TreeRoot) => void;
  /** 'later': young blocks may be needed by something that is not the working state. */
  readonly cleaning?: 'now' | 'later';
}
