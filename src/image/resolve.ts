import { resolveRevision } from '../versions/revision.ts';
import type { Container } from './container.ts';

/** The version that a revision names. Errors: 'not-found' (the hint names the nearest), 'usage' for an ambiguous prefix. */
export function resolve({ versions, refs, head }: Container, rev: string): number {
  return resolveRevision(rev, { versions, refs, head: head.version });
}
