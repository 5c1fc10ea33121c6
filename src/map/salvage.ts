import { isDamage } from '../errors.ts';
import type { Extents } from '../format/extent-page.ts';
import { EXTENT_KIND, extentCount, extentKind, extentLength, extentLog, extentStart } from '../format/extent-page.ts';
import type { ExtentMap, Run } from './extent-map.ts';
import { isLeaf, type TreeNode } from './node.ts';

/**
 * As `ExtentMap.runs`, for a map that may be damaged: what pages that cannot be read may have mapped comes as
 * `EXTENT_KIND.lost`.
 */
export function* salvageRuns(map: ExtentMap, start: number, end: number): Generator<Run> {
  let at = start;
  for (const run of salvageExtents(map, start, end)) {
    if (run.start > at) yield { start: at, length: run.start - at, log: undefined, kind: EXTENT_KIND.data };
    // Damage may make ranges overlap: nothing is handed out twice.
    const from = Math.max(at, run.start);
    const to = run.start + run.length;
    if (to <= from) continue;
    yield {
      ...run,
      start: from,
      length: to - from,
      log: run.log === undefined ? undefined : run.log + from - run.start,
    };
    at = to;
  }
  if (at < end) yield { start: at, length: end - at, log: undefined, kind: EXTENT_KIND.data };
}

function* salvageExtents(map: ExtentMap, start: number, end: number): Generator<Run> {
  const lost = (from: number, to: number): Run => ({
    start: Math.max(from, start),
    length: Math.min(to, end) - Math.max(from, start),
    log: undefined,
    kind: EXTENT_KIND.lost,
  });
  const visit = function* (node: TreeNode<number, Extents>, upper: number | undefined): Generator<Run> {
    if (isLeaf(node)) {
      yield* leafRuns(node.leaf, start, end);
      return;
    }
    for (let index = 0; index < node.keys.length; index++) {
      const key = node.keys[index] as number;
      const limit = node.keys[index + 1] ?? upper;
      if (key >= end || (limit !== undefined && limit <= start)) continue;
      const child = orDamage(() => map.tree.childNode(node, index, upper));
      if (child === undefined) yield lost(key, limit ?? end);
      else yield* visit(child, limit);
    }
  };
  if (start >= end) return;
  const top = orDamage(() => map.tree.topNode());
  if (top === undefined) yield lost(start, end);
  else if (top !== null) yield* visit(top, undefined);
}

function orDamage<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

function* leafRuns(leaf: Extents, start: number, end: number): Generator<Run> {
  for (let index = 0; index < extentCount(leaf); index++) {
    const first = extentStart(leaf, index);
    const from = Math.max(first, start);
    const to = Math.min(first + extentLength(leaf, index), end);
    if (from >= to) continue;
    const kind = extentKind(leaf, index) as Run['kind'];
    const log = kind === EXTENT_KIND.data ? extentLog(leaf, index) + from - first : undefined;
    yield { start: from, length: to - from, log, kind };
  }
}
