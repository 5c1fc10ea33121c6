import { ExtentMap } from '../map/extent-map.ts';
import type { ByteRange } from '../storage/transfer.ts';
import type { DiffRange } from './api.ts';
import { headView, workingView } from './commit.ts';
import type { Container } from './container.ts';
import { diffViews } from './diff.ts';
import type { View } from './view.ts';

/** One state of the disk and the one it was made from. */
export interface Step {
  /** Null for the working state. */
  readonly version: number | null;
  readonly before: View;
  readonly after: View;
}

/** From a state (null: the working state) up to its first version, whose `before` is an empty disk of its size. */
export function* lineage(container: Container, from: number | null): Generator<Step> {
  let next = from;
  if (next === null) {
    yield { version: null, before: headView(container), after: workingView(container) };
    next = container.head.version;
  }
  while (next !== null) {
    const step = stepOf(container, next);
    yield step.step;
    next = step.parent;
  }
}

/** A version beside the one it was made from. */
export function stepOf(
  { versions, pages }: Container,
  number: number,
): { readonly step: Step; readonly parent: number | null } {
  const { map, sizeBytes, parent } = versions.need(number);
  const origin = parent === null ? { map: null, sizeBytes } : versions.need(parent);
  const before = { map: new ExtentMap(pages, origin.map), sizeBytes: origin.sizeBytes };
  return { step: { version: number, before, after: { map: new ExtentMap(pages, map), sizeBytes } }, parent };
}

/** What a step changed within a range, ascending. */
export function changesOf({ blockBytes }: Container, { before, after }: Step, within: ByteRange): Generator<DiffRange> {
  return diffViews(before, after, blockBytes, within);
}
