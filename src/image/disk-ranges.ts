import { EXTENT_KIND } from '../format/extent-page.ts';
import type { ByteRange } from '../storage/transfer.ts';
import type { Container } from './container.ts';
import { diffViews } from './diff.ts';
import type { DiskRun } from './disk.ts';
import { resolve } from './resolve.ts';
import { checkRange, type View, versionView, viewRuns } from './view.ts';

/** Data and holes of `[start, end)`. */
export function* diskRuns(container: Container, view: View, { start, end }: ByteRange): Generator<DiskRun> {
  checkRange(start, end, view.sizeBytes);
  const { blockBytes } = container;
  for (const run of viewRuns(container, view, { start, end })) {
    yield {
      start: Math.max(start, run.start * blockBytes),
      end: Math.min(end, (run.start + run.length) * blockBytes),
      // What was lost is no hole: reading it is an error.
      kind: run.log === undefined && run.kind === EXTENT_KIND.data ? 'hole' : 'data',
    };
  }
}

/** Where `view` may differ from a version. */
export function* changesBetween(container: Container, rev: string, view: View, range: ByteRange): Generator<ByteRange> {
  const before = versionView(container, resolve(container, rev));
  for (const { start, length } of diffViews(before, view, container.blockBytes, range))
    yield { start, end: start + length };
}
