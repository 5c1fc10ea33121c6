import { unlessCorrupt, VsimgError } from '../errors.ts';
import { EXTENT_KIND, extentCount, extentKind, extentLength, extentLog } from '../format/extent-page.ts';
import { checkRefName } from '../versions/refs.ts';
import { isDirty } from './commit.ts';
import type { Container } from './container.ts';

/** Refuses when the working state holds changes that no version has. */
export function refuseDirty(container: Container, what: string): void {
  if (!isDirty(container)) return;
  throw new VsimgError('refused', `${what} would drop uncommitted changes`, {
    hint: "commit them first with 'vsimg commit', or drop them with 'vsimg checkout IMAGE --force'",
  });
}

export interface CheckoutPlan {
  readonly version: number;
  /** Branch that later commits move, or null for none. */
  readonly branch: string | null;
  /** The branch is made here. */
  readonly isNewBranch: boolean;
}

/** Errors: 'usage' for a bad name, 'exists' when the new branch's name is taken. */
export function planCheckout(
  container: Container,
  rev: string,
  version: number,
  newBranch: string | undefined,
): CheckoutPlan {
  if (newBranch !== undefined) {
    checkRefName(newBranch);
    const taken = container.refs.get(newBranch);
    if (taken !== undefined)
      throw new VsimgError('exists', `${taken.kind} '${newBranch}' exists already, at version ${taken.version}`, {
        hint: 'choose another name',
      });
    return { version, branch: newBranch, isNewBranch: true };
  }
  const ref = container.refs.get(rev);
  return { version, branch: ref?.kind === 'branch' ? ref.name : null, isNewBranch: false };
}

/** Makes the working state that version; the caller publishes. */
export function checkOut(container: Container, plan: CheckoutPlan): void {
  container.begin();
  const version = container.versions.need(plan.version);
  dropWorking(container);
  container.map.tree.adopt(version.map);
  container.workingSizeBytes = version.sizeBytes;
  // Whatever is written so far may belong to a version now.
  container.sharedGeneration = container.youngestGeneration;
  container.head = { branch: plan.branch, version: plan.version };
  if (plan.isNewBranch && plan.branch !== null)
    container.refs.set({ name: plan.branch, kind: 'branch', version: plan.version });
}

/** Gives up the pages and blocks that only the working state has. */
function dropWorking(container: Container): void {
  const { map, log, space, pages, sharedGeneration } = container;
  const { youngMark } = log.state;
  const isCleared = unlessCorrupt(() => {
    map.tree.clear({
      olderThan: sharedGeneration,
      onLeaf: (leaf) => {
        for (let index = 0; index < extentCount(leaf); index++) {
          if (extentKind(leaf, index) !== EXTENT_KIND.data) continue;
          const start = extentLog(leaf, index);
          if (start + extentLength(leaf, index) > youngMark) log.noteDead(start, extentLength(leaf, index));
        }
      },
    });
    return true;
  });
  // A damaged working state can be dropped too: what it has that can not be found is for gc.
  if (isCleared === undefined) container.unreclaimed++;
  for (const { ref, birth } of map.tree.takeReleased()) {
    if (birth <= sharedGeneration) continue;
    pages.forget(ref.place);
    space.release(ref.place, ref.lengthBytes, birth);
  }
}
