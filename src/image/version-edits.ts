import { turnGiver } from '../storage/turns.ts';
import { checkRefName, type RefKind } from '../versions/refs.ts';
import { planAmendment } from './amend.ts';
import type {
  AmendOptions,
  ForgetOptions,
  ForgetReport,
  KeepPolicy,
  Ref,
  SquashOptions,
  SquashReport,
  VersionInfo,
} from './api.ts';
import type { Container } from './container.ts';
import { checkDeletion, deletableRef, deleteVersions } from './delete.ts';
import { describeVersion } from './describe.ts';
import { findForgettable } from './forget.ts';
import { planLocks } from './lock.ts';
import { checkNaming } from './name.ts';
import { resolve } from './resolve.ts';
import { versionsBetween } from './squash.ts';

/** A change that was decided on and not made yet. */
export interface Edit<T> {
  /** Absent where there is nothing to change. It is published afterwards. */
  readonly apply?: (() => void | Promise<void>) | undefined;
  /** Called afterwards. */
  readonly result: () => T;
}

/** Plans and applies, while nobody else changes the container. */
export type EditRunner = <T>(plan: (container: Container) => Edit<T> | Promise<Edit<T>>) => Promise<T>;

/**
 * Changes to versions that are there: what they are called, and which of them stay. What a version holds, its number and its
 * id never change. Each change is published as a whole, or not at all.
 */
export class VersionEdits {
  readonly #run: EditRunner;

  constructor(run: EditRunner) {
    this.#run = run;
  }

  /** Errors: 'usage' for a bad message or tag, 'exists' for a taken tag, 'refused' where the record has no room. */
  amend(rev: string, options: AmendOptions): Promise<VersionInfo> {
    return this.#run((container) => {
      const number = resolve(container, rev);
      return { apply: planAmendment(container, number, options), result: () => describe(container, number) };
    });
  }

  /** None of these versions can be removed before they are unlocked. */
  lock(revs: readonly string[]): Promise<VersionInfo[]> {
    return this.#setLocks(revs, 'locked');
  }

  unlock(revs: readonly string[]): Promise<VersionInfo[]> {
    return this.#setLocks(revs, 'unlocked');
  }

  #setLocks(revs: readonly string[], wanted: 'locked' | 'unlocked'): Promise<VersionInfo[]> {
    return this.#run((container) => {
      const numbers = resolveAll(container, revs);
      return {
        apply: planLocks(container, numbers, wanted),
        result: () => numbers.map((number) => describe(container, number)),
      };
    });
  }

  /** Makes or moves a tag or a branch. Errors: 'usage' for a bad name, 'exists' for a taken one, 'refused' for the branch that is checked out. */
  setRef(
    { name, rev, kind }: { readonly name: string; readonly rev: string; readonly kind: RefKind },
    options: { readonly force?: boolean },
  ): Promise<Ref> {
    return this.#run((container) => {
      checkRefName(name);
      const ref = { name, kind, version: resolve(container, rev) };
      checkNaming(container, ref, options);
      return { apply: () => container.refs.set(ref), result: () => ref };
    });
  }

  /** Removes names, all or none. Errors: 'not-found', 'refused' for the branch that is checked out. */
  removeRefs(names: readonly string[], kind: RefKind): Promise<Ref[]> {
    return this.#run((container) => {
      const doomed = [...new Set(names)].map((name) => deletableRef(container, name, kind));
      const apply = (): void => {
        for (const ref of doomed) container.refs.remove(ref);
      };
      return { apply, result: () => doomed };
    });
  }

  /** Removes versions and the tags that name them. Errors: 'refused' for one that is protected. */
  remove(revs: readonly string[]): Promise<VersionInfo[]> {
    return this.#run(async (container) => {
      const numbers = resolveAll(container, revs);
      const removed = await describeAll(container, numbers);
      return { apply: await planRemoval(container, numbers), result: () => removed };
    });
  }

  /**
   * Removes the versions between two, so that the later one holds all that changed since the earlier one.
   * Errors: 'refused' if the later one did not come from the earlier one, or if one between them is protected, also in a dry run.
   */
  squash(from: string, to: string, { dryRun = false }: SquashOptions = {}): Promise<SquashReport> {
    return this.#run(async (container) => {
      const last = resolve(container, to);
      const numbers = await versionsBetween(container, resolve(container, from), last);
      const removed = await describeAll(container, numbers);
      const removal = await planRemoval(container, numbers);
      return {
        apply: dryRun ? undefined : removal,
        result: () => ({ version: describe(container, last), removed }),
      };
    });
  }

  /** Removes all versions that no rule keeps and nothing protects. Errors: 'usage' without a rule, 'not-found' for a tag to keep. */
  forget(policy: KeepPolicy, options: ForgetOptions): Promise<ForgetReport> {
    return this.#run(async (container) => {
      const { keep, remove } = await findForgettable(container, policy, options.nowSeconds);
      const removed = await describeAll(container, remove);
      return {
        apply: options.dryRun === true ? undefined : await planRemoval(container, remove),
        result: () => ({ kept: keep, removed }),
      };
    });
  }
}

async function planRemoval(container: Container, numbers: readonly number[]): Promise<Edit<void>['apply']> {
  await checkDeletion(container, numbers);
  return numbers.length === 0 ? undefined : () => deleteVersions(container, numbers);
}

function describe(container: Container, number: number): VersionInfo {
  return describeVersion(container, container.versions.need(number));
}

async function describeAll(container: Container, numbers: readonly number[]): Promise<VersionInfo[]> {
  const giveTurn = turnGiver();
  const described: VersionInfo[] = [];
  for (const number of numbers) {
    described.push(describe(container, number));
    await giveTurn();
  }
  return described;
}

function resolveAll(container: Container, revs: readonly string[]): number[] {
  return [...new Set(revs.map((rev) => resolve(container, rev)))];
}
