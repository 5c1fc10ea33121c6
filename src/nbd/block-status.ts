import type { Disk } from '../image/disk.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { ALLOCATION, BASE_ALLOCATION } from './protocol.ts';
import type { StatusRun } from './reply.ts';

/** What a client may ask, beside `base:allocation`: what was changed since a version, whose name follows. */
export const CHANGED_SINCE = 'vsimg:changed-since:';
/** The same in a form that qemu's clients know: a bitmap of what is dirty. */
export const DIRTY_BITMAP = 'qemu:dirty-bitmap:';

const DIRTY = 1;
/** The protocol has 32 bits for the length of a run; multiples of every block size. */
const MAX_RUN_BYTES = 0xffff_0000;

/** The version that a context asks about; undefined for other contexts. */
export function revisionIn(context: string): string | undefined {
  const prefix = [CHANGED_SINCE, DIRTY_BITMAP].find((each) => context.startsWith(each));
  return prefix === undefined ? undefined : context.slice(prefix.length);
}

/** At most `limit` runs from the start of `range` on, at least one, without gaps. Errors: of the disk. */
export function statusRuns(disk: Disk, context: string, range: ByteRange, limit: number): StatusRun[] {
  const runs: (readonly [number, number])[] = [];
  let held: { length: number; status: number } | undefined;
  for (const { length, status } of statuses(disk, context, range)) {
    if (held !== undefined && held.status === status && held.length + length <= MAX_RUN_BYTES) {
      held.length += length;
      continue;
    }
    if (held !== undefined) runs.push([held.length, held.status]);
    held = undefined;
    if (runs.length === limit) return runs;
    held = { length, status };
  }
  if (held !== undefined) runs.push([held.length, held.status]);
  return runs;
}

function* statuses(disk: Disk, context: string, range: ByteRange): Generator<{ length: number; status: number }> {
  if (context === BASE_ALLOCATION) {
    for (const { start, end, kind } of disk.runs(range))
      yield { length: end - start, status: kind === 'hole' ? ALLOCATION.hole | ALLOCATION.zero : 0 };
    return;
  }
  let at = range.start;
  for (const { start, end } of disk.changesSince(revisionIn(context) ?? '', range)) {
    if (start > at) yield { length: start - at, status: 0 };
    yield { length: end - start, status: DIRTY };
    at = end;
  }
  if (at < range.end) yield { length: range.end - at, status: 0 };
}
