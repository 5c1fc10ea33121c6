import { VsimgError } from '../errors.ts';
import { checkRefName } from '../versions/refs.ts';
import type { Ref } from './api.ts';
import type { Container } from './container.ts';

/** Errors: 'usage' for a bad name, 'exists' for a taken one, 'refused' for the branch that is checked out. */
export function settableRef({ refs, head }: Container, ref: Ref, options: { readonly force?: boolean }): Ref {
  const { name, kind, version } = ref;
  checkRefName(name);
  const taken = refs.get(name);
  if (taken !== undefined && (options.force !== true || taken.kind !== kind)) {
    throw new VsimgError('exists', `${taken.kind} '${name}' exists already, at version ${taken.version}`, {
      hint: taken.kind === kind ? 'give --force to move it' : 'choose another name: names are unique',
    });
  }
  if (kind === 'branch' && head.branch === name && head.version !== version) {
    throw new VsimgError('refused', `branch '${name}' is checked out: moving it would leave the working state behind`, {
      hint: 'check out another branch first',
    });
  }
  return ref;
}
