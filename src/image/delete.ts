import { VsimgError } from '../errors.ts';
import { turnGiver } from '../storage/turns.ts';
import type { RefKind } from '../versions/refs.ts';
import { nearestRef } from '../versions/revision.ts';
import type { Ref } from './api.ts';
import type { Container } from './container.ts';

/** Errors: 'refused' for the version checked out, one that a branch names and one that is locked. */
export async function checkDeletion(container: Container, numbers: readonly number[]): Promise<void> {
  const giveTurn = turnGiver();
  for (const number of numbers) {
    const { head, branches, locked } = protectionOf(container, number);
    if (container.inUse.has(number))
      throw new VsimgError('refused', `version ${number} is being read`, {
        hint: 'end the clients that have it open first',
      });
    if (head)
      throw new VsimgError('refused', `version ${number} is checked out`, { hint: 'check out another version first' });
    if (branches[0] !== undefined) {
      throw new VsimgError('refused', `version ${number} is the newest of branch '${branches[0]}'`, {
        hint: `delete the branch first with 'vsimg branch IMAGE -d ${branches[0]}'`,
      });
    }
    if (locked) {
      throw new VsimgError('refused', `version ${number} is locked`, {
        hint: `unlock it first with 'vsimg tag IMAGE --unlock ${number}'`,
      });
    }
    await giveTurn();
  }
}

/** What keeps a version from being removed. */
export interface Protection {
  readonly head: boolean;
  readonly branches: readonly string[];
  readonly locked: boolean;
}

function protectionOf({ refs, head, versions }: Container, number: number): Protection {
  const branches = refs.of(number).filter(({ kind }) => kind === 'branch');
  return {
    head: number === head.version,
    branches: branches.map(({ name }) => name),
    locked: versions.need(number).locked === true,
  };
}

/** Removes versions and their tags, after `checkDeletion`; the caller publishes. Their space comes back at gc. */
export async function deleteVersions(container: Container, numbers: readonly number[]): Promise<void> {
  const { versions, refs } = container;
  const giveTurn = turnGiver();
  container.begin();
  // Oldest first: a child then gets its last parent at once, however many of those before it go.
  for (const number of [...numbers].sort((a, b) => a - b)) {
    for (const ref of refs.of(number)) refs.remove(ref);
    versions.remove(versions.need(number));
    await giveTurn();
  }
  container.unreclaimed += numbers.length;
}

/** Errors: 'not-found', 'refused' for the branch that is checked out. */
export function deletableRef({ refs, head }: Container, name: string, kind: RefKind): Ref {
  const ref = refs.get(name);
  if (ref?.kind !== kind) {
    const nearest = nearestRef(name, refs, kind);
    const other = nearest === undefined ? `'vsimg ${kind}' lists them` : `did you mean '${nearest.name}'?`;
    throw new VsimgError('not-found', `there is no ${kind} '${name}'`, {
      hint: ref === undefined ? other : `'${name}' is a ${ref.kind}`,
    });
  }
  if (kind === 'branch' && head.branch === name)
    throw new VsimgError('refused', `branch '${name}' is checked out`, { hint: 'check out another one first' });
  return ref;
}
