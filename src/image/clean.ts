import { unlessCorrupt } from '../errors.ts';
import { decodeSegmentEntry } from '../format/chunk-table.ts';
import { numberInKey, numberKey } from '../format/record-page.ts';
import type { Segment } from '../log/tables.ts';
import { records } from '../map/records.ts';
import type { Container } from './container.ts';
import { readLog } from './view.ts';

/** Dead young bytes that are always allowed: below this, cleaning would cost more than it gives. */
const ALLOWED_BYTES = 8 * 1024 * 1024;
/** Share of the stored bytes that may be dead young blocks. */
const ALLOWED_SHARE = 0.2;
/** A segment with a smaller share of dead blocks is not worth writing again. */
const DEAD_SHARE = 0.1;

/**
 * Keeps a working state that is overwritten again and again from growing the file: once too many of the
 * blocks written since the last commit are dead, the live blocks of the segments that hold them are
 * appended to the log again, and those segments go.
 */
export async function cleanYoung(container: Container): Promise<void> {
  const { log, trees } = container;
  const { dataBytes, youngMark } = log.state;
  if (log.deadBytes <= ALLOWED_BYTES + dataBytes * ALLOWED_SHARE) return;
  const worth: Segment[] = [];
  for (const { key, value } of records(trees.log, numberKey(youngMark))) {
    const entry = decodeSegmentEntry(value);
    if (entry.deadBlocks >= entry.blockCount * DEAD_SHARE) worth.push({ firstLog: numberInKey(key), entry });
  }
  // The deadest first, and only until there is room again: each costs writing what is alive in it.
  worth.sort((a, b) => b.entry.deadBlocks / b.entry.blockCount - a.entry.deadBlocks / a.entry.blockCount);
  let excess = log.deadBytes - (ALLOWED_BYTES + dataBytes * ALLOWED_SHARE) / 2;
  for (const segment of worth) {
    if (excess <= 0) break;
    excess -= segment.entry.deadBlocks * container.blockBytes;
    await moveLiveBlocks(container, segment);
  }
  await log.flush();
}

/** Appends what the working map still needs of a young segment; that makes all of its blocks dead. */
async function moveLiveBlocks(container: Container, segment: Segment): Promise<void> {
  const { map, log, blockBytes, tables } = container;
  let first = segment.firstLog;
  const table = unlessCorrupt(() => tables.table(segment));
  for (const run of table?.runs ?? []) {
    const last = first + run.length;
    const live = [...map.extents(run.start, run.start + run.length)].filter(
      // The blocks of a run stand in the log as they stand in the disk, unless they were overwritten.
      (extent) => extent.log - first === extent.start - run.start && extent.log + extent.length <= last,
    );
    for (const extent of live) {
      const bytes = new Uint8Array(extent.length * blockBytes);
      // What is damaged stays where it is: it must not stop what is being published.
      if (unlessCorrupt(() => readLog(container, extent.log, bytes, extent.start) ?? true) === undefined) continue;
      for (let at = 0; at < extent.length; ) {
        const count = Math.min(extent.length - at, await log.room());
        log.noteDead(extent.log + at, count);
        map.set(
          extent.start + at,
          count,
          log.append(extent.start + at, bytes.subarray(at * blockBytes, (at + count) * blockBytes)),
        );
        at += count;
      }
    }
    first = last;
  }
}
