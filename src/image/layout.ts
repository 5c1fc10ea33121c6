import { type ChunkTable, chunkBlocksOf } from '../format/chunk-table.ts';
import { EXTENT_KIND, MAX_BLOCKS } from '../format/extent-page.ts';
import type { Segment } from '../log/tables.ts';
import { ExtentMap } from '../map/extent-map.ts';
import type { Container } from './container.ts';
import type { Survey } from './survey.ts';

/** Share of the stored blocks that may be dead. */
const DEAD_SHARE = 0.01;
/** Share of the chunks that may be more than there would be if all were full. */
const SHORT_SHARE = 1 / 8;
/** Chunks that are not full in any log: where a commit, the working state, or the log ends. */
const SHORT_CHUNKS = 4;
/** The newest version may go on elsewhere once in so many blocks. */
const BLOCKS_A_JUMP = 2048;
const JUMPS = 2;

/** Where a segment's chunks lie. */
interface SegmentPlaces {
  readonly firstLog: number;
  readonly endLog: number;
  readonly place: number;
  /** How often the next chunk lies before the one that it follows. */
  readonly jumps: number;
}

/** Notes while a container is surveyed what tells whether its log is in good order. */
export class LayoutNotes {
  private chunks = 0;
  private readonly places: SegmentPlaces[] = [];

  segment({ firstLog, entry }: Segment, table: ChunkTable): void {
    let end = 0;
    let place: number | undefined;
    let jumps = 0;
    for (const chunk of table.chunks) {
      if (chunk === undefined) continue;
      this.chunks++;
      place ??= chunk.place;
      if (chunk.place < end) jumps++;
      end = chunk.place + chunk.storedBytes;
    }
    if (place !== undefined) this.places.push({ firstLog, endLog: firstLog + entry.blockCount, place, jumps });
  }

  /** False if writing the whole log anew would make the container smaller or its newest version faster to read. */
  isGood(container: Container, survey: Survey): boolean {
    if (deadShare(survey) > DEAD_SHARE) return false;
    const heldBlocks = survey.held.totalBytes;
    const full = Math.ceil(heldBlocks / chunkBlocksOf(container.blockBytes));
    if (this.chunks > full * (1 + SHORT_SHARE) + SHORT_CHUNKS) return false;
    const { jumps, blocks } = this.newest(container);
    return jumps <= JUMPS + blocks / BLOCKS_A_JUMP;
  }

  /** How often the newest version's data goes on elsewhere, in the order of the disk. */
  private newest(container: Container): { readonly jumps: number; readonly blocks: number } {
    const [version] = container.versions.newestFirst();
    const map = version === undefined ? container.map : new ExtentMap(container.pages, version.map);
    const near = chunkBlocksOf(container.blockBytes);
    let blocks = 0;
    let jumps = 0;
    let end = 0;
    let at: number | undefined;
    for (const { kind, log, length } of map.extents(0, MAX_BLOCKS)) {
      if (kind !== EXTENT_KIND.data) continue;
      blocks += length;
      if (at !== undefined && (log < end || log - end > near)) jumps++;
      end = log + length;
      let index = this.indexOf(log);
      for (; index < this.places.length && (this.places[index] as SegmentPlaces).firstLog < end; index++) {
        if (index === at) continue;
        const here = this.places[index] as SegmentPlaces;
        jumps += here.jumps;
        if (at !== undefined && here.place < (this.places[at] as SegmentPlaces).place) jumps++;
        at = index;
      }
    }
    return { jumps, blocks };
  }

  /** The first segment that ends behind `log`; segments come in the order of the log. */
  private indexOf(log: number): number {
    let low = 0;
    let high = this.places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.places[middle] as SegmentPlaces).endLog <= log) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Of the blocks that are stored, how many nothing refers to. */
function deadShare({ held, live }: Survey): number {
  let liveBlocks = 0;
  for (const { start, end } of held.ranges())
    for (const range of live.within(start, end)) liveBlocks += range.end - range.start;
  const heldBlocks = held.totalBytes;
  return heldBlocks === 0 ? 0 : (heldBlocks - liveBlocks) / heldBlocks;
}
