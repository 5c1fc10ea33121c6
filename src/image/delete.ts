import { VsimgError } from '../errors.ts';
import type { RefKind } from '../versions/refs.ts';
import { nearestRef } from '../versions/revision.ts';
import type { Ref } from './api.ts';
import type { Container } from './container.ts';

/** Errors: 'refused' for the version checked out and for one that a branch names. */
export function checkDeletion(container: Container, numbers: readonly number[]): void {
  const { refs, head } = container;
  for (const number of numbers) {
    if (number === head.version) {
      throw new VsimgError('refused', `version ${number} is checked out`, { hint: 'check out another version first' });
    }
    const branch = refs.of(number).find((ref) => ref.kind === 'branch');
    if (branch !== undefined) {
      throw new VsimgError('refused', `version ${number} is the newest of branch '${branch.name}'`, {
        hint: `delete the branch first with 'vsimg branch IMAGE -d ${branch.name}'`,
      });
    }
  }
}

/** Removes versions and their tags, after `checkDeletion`; the caller publishes. Their space comes back at gc. */
export function deleteVersions(container: Container, numbers: readonly number[]): void {
  const { versions, refs } = container;
  container.begin();
  for (const number of numbers) {
    for (const ref of refs.of(number)) refs.remove(ref);
    versions.remove(versions.need(number));
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
