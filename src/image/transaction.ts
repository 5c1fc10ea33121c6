import { VsimgError } from '../errors.ts';
import type { Container } from './container.ts';

/** While `action` runs, what changes is not published. Errors: 'refused' within another one. */
export async function withoutPublishing<T>(container: Container, action: () => Promise<T>): Promise<T> {
  refuseHeld(container, 'another transaction');
  container.holdBack();
  try {
    return await action();
  } finally {
    container.letGo();
  }
}

/** For what goes through the published state as a whole: it would tell of what is no more. Errors: 'refused' after a change. */
export function refuseUnpublished(container: Container, what: string): void {
  if (!container.isHeld || !container.isChanged) return;
  throw new VsimgError('refused', `${what} tells of what is published, and there are changes that are not yet`, {
    hint: 'do it before the first change, or when all is published',
  });
}

/** For what publishes step by step. Errors: 'refused'. */
export function refuseHeld(container: Container, what: string): void {
  if (!container.isHeld) return;
  throw new VsimgError('refused', `${what} is not possible within a transaction`, { hint: 'end it first' });
}
