import { VsimgError } from '../errors.ts';
import { ExtentMap } from '../map/extent-map.ts';
import type { DataSource, DataTarget, Piece } from '../storage/transfer.ts';
import { checkRefName, type RefKind } from '../versions/refs.ts';
import { resolveRevision } from '../versions/revision.ts';
import type {
  CheckReport,
  CommitOptions,
  DiffRange,
  GcReport,
  HeadInfo,
  ImageInfo,
  OnProgress,
  Ref,
  RepairReport,
  UnreadableRange,
  VersionInfo,
  WriteReport,
} from './api.ts';
import { type CheckOptions, checkContainer } from './check.ts';
import { checkOut, planCheckout, refuseDirty } from './checkout.ts';
import { checkCommit, commitWorking, workingView } from './commit.ts';
import type { Container } from './container.ts';
import { checkDeletion, deletableRef, deleteVersions } from './delete.ts';
import { describeHead, describeImage, describeVersion } from './describe.ts';
import { diffViews } from './diff.ts';
import { collectGarbage, type GcOptions } from './gc.ts';
import { type LookSource, Looks } from './looks.ts';
import { Queue } from './queue.ts';
import { repairContainer } from './repair.ts';
import { salvagePieces } from './salvage.ts';
import { exportChanges, type SeedOptions, type SeedReport } from './seed.ts';
import {
  bulkPieces,
  checkImport,
  type ExportOptions,
  type ExportReport,
  exportView,
  type ImportOptions,
  importSource,
} from './transfer.ts';
import { checkRange, type View, viewPieces } from './view.ts';
import { writeBytes, zeroBytes } from './write.ts';

const LOOK_BYTES = 1024 * 1024;
/** Versions that are read at a time: whoever stops early pays for few. */
const VERSIONS_A_LOOK = 16;

/**
 * One open container. `rev` is a revision as the user writes it (`3`, `v1.2`, `main`, `HEAD~2`, a unique
 * id prefix); null stands for the working state.
 */
export class Image {
  private readonly looks: Looks;
  /** A change reads and changes step by step: two at a time would see each other's halves. */
  private readonly changes = new Queue();
  /** Why a change stopped half-way; then this image takes no more of them. */
  private spoiled: unknown;

  /** With a source the container is only looked into, without a lock of its own. */
  constructor(container: Container, source?: LookSource) {
    this.looks = new Looks(container, source);
  }

  private get container(): Container {
    return this.looks.container;
  }

  /**
   * What all calls within `action` tell is of one state, also without a lock: then `action` is called again when
   * a writer has used the space of that state for something else. For what takes milliseconds.
   */
  inOneState<T>(action: () => T): T {
    return this.looks.look(action);
  }

  /**
   * The same for what takes longer: a reader's lock keeps the state, and its space, until `action` has ended.
   * Errors: 'locked' when it can not go on without such a lock; 'unsupported' when 'required' locks do not work.
   */
  async whileHeld<T>(action: () => Promise<T>, lock: 'required' | 'wanted' = 'wanted'): Promise<T> {
    const letGo = this.looks.hold(lock);
    try {
      return await action();
    } finally {
      letGo();
    }
  }

  get path(): string {
    return this.container.storage.name;
  }

  /** Releases the file and its locks; what was not published is gone. */
  close(): void {
    this.looks.close();
  }

  info(): ImageInfo {
    return this.looks.look(() => describeImage(this.container));
  }

  /** Errors: 'not-found' (the hint names the nearest), 'usage' for an ambiguous prefix. */
  resolve(rev: string): number {
    return this.looks.look(() => {
      const { versions, refs, head } = this.container;
      return resolveRevision(rev, { versions, refs, head: head.version });
    });
  }

  version(rev: string | number): VersionInfo {
    return this.looks.look(() => {
      const number = typeof rev === 'number' ? rev : this.resolve(rev);
      const version = this.container.versions.get(number);
      if (version === undefined)
        throw new VsimgError('not-found', `there is no version ${number}`, { hint: "'vsimg log' lists them" });
      return describeVersion(this.container, version);
    });
  }

  /** Newest first; lazy, so a caller that stops early costs nothing more. */
  *versions(): IterableIterator<VersionInfo> {
    const letGo = this.looks.hold('wanted');
    try {
      let next: number | null = null;
      for (;;) {
        const page = this.looks.look(() => this.versionsBelow(next));
        yield* page;
        if (page.length < VERSIONS_A_LOOK) return;
        next = page[page.length - 1]?.number ?? null;
      }
    } finally {
      letGo();
    }
  }

  private versionsBelow(above: number | null): VersionInfo[] {
    const page: VersionInfo[] = [];
    let next = above;
    for (const version of this.container.versions.newestFirst(above === null ? undefined : above - 1)) {
      page.push(describeVersion(this.container, version, next));
      if (page.length === VERSIONS_A_LOOK) break;
      next = version.number;
    }
    return page;
  }

  /** All tags and branches, or those whose names begin so, sorted by name. */
  refs(beginning = ''): Ref[] {
    return this.looks.look(() => [...this.container.refs.all(beginning)]);
  }

  private view(rev: string | null): View {
    if (rev === null) return workingView(this.container);
    const version = this.container.versions.need(this.resolve(rev));
    return { map: new ExtentMap(this.container.pages, version.map), sizeBytes: version.sizeBytes };
  }

  sizeOf(rev: string | null): number {
    return this.looks.look(() => this.view(rev).sizeBytes);
  }

  /** Data and holes of `[start, end)` in order; data at most 1 MiB a piece, valid until the next is asked for. */
  async *pieces(rev: string | null, start: number, end: number): AsyncIterableIterator<Piece> {
    if (!this.looks.isBrief) {
      yield* bulkPieces(this.container, this.view(rev), { start, end });
      return;
    }
    const letGo = end - start > LOOK_BYTES ? this.looks.hold('wanted') : undefined;
    try {
      for (let from = start; from < end; from += LOOK_BYTES)
        yield* this.looks.look(() => this.copyPieces(rev, from, Math.min(end, from + LOOK_BYTES)));
    } finally {
      letGo?.();
    }
  }

  /** As `pieces`; what can not be read comes as a hole, after `onUnreadable` was told. Not for short looks. */
  async *readablePieces(
    rev: string | null,
    start: number,
    end: number,
    onUnreadable: (range: UnreadableRange) => void,
  ): AsyncIterableIterator<Piece> {
    yield* salvagePieces(this.container, this.view(rev), { start, end, onUnreadable });
  }

  private copyPieces(rev: string | null, start: number, end: number): Piece[] {
    const copies: Piece[] = [];
    for (const piece of viewPieces(this.container, this.view(rev), start, end))
      copies.push(piece.kind === 'data' ? { ...piece, bytes: piece.bytes.slice() } : piece);
    return copies;
  }

  /**
   * Every change goes through here, alone and after the checks that may refuse it: what a change leaves behind that fails
   * half-way must never be published, not even by a later change that goes well.
   */
  private async change<T>(action: () => Promise<T>): Promise<T> {
    if (this.spoiled !== undefined) {
      throw new VsimgError('refused', `'${this.path}' cannot be changed after a change that failed half-way`, {
        path: this.path,
        hint: 'open it again: all that was published is there',
        cause: this.spoiled,
      });
    }
    try {
      return await action();
    } catch (error) {
      this.spoiled = error;
      throw error;
    }
  }

  /**
   * Errors: 'refused' beyond the end of the disk. After any error that comes later, of this or another method that
   * changes, every change is 'refused' until the image is opened again.
   */
  write(guestOffset: number, bytes: Uint8Array): Promise<WriteReport> {
    return this.changes.run(async () => {
      checkRange(guestOffset, guestOffset + bytes.length, this.container.workingSizeBytes);
      return this.change(() => writeBytes(this.container, guestOffset, bytes));
    });
  }

  /** `[guestOffset, guestOffset + lengthBytes)` reads as zeros from now on and holds no data. Errors: as `write`. */
  zero(guestOffset: number, lengthBytes: number): Promise<WriteReport> {
    return this.changes.run(async () => {
      checkRange(guestOffset, guestOffset + lengthBytes, this.container.workingSizeBytes);
      return this.change(() => zeroBytes(this.container, guestOffset, lengthBytes));
    });
  }

  /** Makes the working state durable. Commit, checkout, tags, branches, delete and gc publish by themselves. */
  publish(): Promise<void> {
    return this.changes.run(() => this.change(() => this.container.publish()));
  }

  /** Errors: 'refused' when nothing changed, 'usage' for a bad message or tag, 'exists' for a taken tag. */
  commit(options: CommitOptions): Promise<VersionInfo> {
    return this.changes.run(async () => {
      checkCommit(this.container, options);
      return this.version(await this.change(() => commitWorking(this.container, options)));
    });
  }

  /** Errors: 'refused' when uncommitted changes would be lost. */
  checkout(rev: string, options: { readonly branch?: string; readonly force?: boolean }): Promise<HeadInfo> {
    return this.changes.run(async () => {
      const number = this.resolve(rev);
      const plan = planCheckout(this.container, rev, number, options.branch);
      if (options.force !== true) refuseDirty(this.container, `checking out version ${number}`);
      await this.change(() => {
        checkOut(this.container, plan);
        return this.container.publish();
      });
      return describeHead(this.container);
    });
  }

  /** Ranges that differ, ascending. */
  *diff(a: string | null, b: string | null): IterableIterator<DiffRange> {
    const letGo = this.looks.hold('required');
    try {
      yield* diffViews(this.view(a), this.view(b), this.container.blockBytes);
    } finally {
      letGo();
    }
  }

  setTag(name: string, rev: string, options: { readonly force?: boolean } = {}): Promise<Ref> {
    return this.setRef(name, rev, 'tag', options);
  }

  setBranch(name: string, rev: string, options: { readonly force?: boolean } = {}): Promise<Ref> {
    return this.setRef(name, rev, 'branch', options);
  }

  private setRef(name: string, rev: string, kind: RefKind, options: { readonly force?: boolean }): Promise<Ref> {
    return this.changes.run(async () => {
      checkRefName(name);
      const { refs, head } = this.container;
      const version = this.resolve(rev);
      const taken = refs.get(name);
      if (taken !== undefined && (options.force !== true || taken.kind !== kind)) {
        throw new VsimgError('exists', `${taken.kind} '${name}' exists already, at version ${taken.version}`, {
          hint: taken.kind === kind ? 'give --force to move it' : 'choose another name: names are unique',
        });
      }
      if (kind === 'branch' && head.branch === name && head.version !== version) {
        throw new VsimgError(
          'refused',
          `branch '${name}' is checked out: moving it would leave the working state behind`,
          { hint: 'check out another branch first' },
        );
      }
      await this.change(() => {
        this.container.begin();
        refs.set({ name, kind, version });
        return this.container.publish();
      });
      return { name, kind, version };
    });
  }

  /** Errors: 'not-found', 'refused' for the branch that is checked out. */
  async deleteRef(name: string, kind: RefKind): Promise<Ref> {
    const [ref] = await this.deleteRefs([name], kind);
    return ref as Ref;
  }

  /** The same for several, all or none. */
  deleteRefs(names: readonly string[], kind: RefKind): Promise<Ref[]> {
    return this.changes.run(async () => {
      const doomed = [...new Set(names)].map((name) => deletableRef(this.container, name, kind));
      const { refs } = this.container;
      await this.change(() => {
        this.container.begin();
        for (const ref of doomed) refs.remove(ref);
        return this.container.publish();
      });
      return doomed;
    });
  }

  /** Removes versions; their tags go with them. Errors: 'refused' for the version checked out and for one that a branch names. */
  deleteVersions(revs: readonly string[]): Promise<VersionInfo[]> {
    return this.changes.run(async () => {
      const numbers = [...new Set(revs.map((rev) => this.resolve(rev)))];
      const deleted = numbers.map((number) => this.version(number));
      checkDeletion(this.container, numbers);
      await this.change(() => {
        deleteVersions(this.container, numbers);
        return this.container.publish();
      });
      return deleted;
    });
  }

  gc(options: GcOptions = {}): Promise<GcReport> {
    return this.changes.run(async () => {
      await this.change(() => this.container.publish());
      if (options.dryRun === true) return collectGarbage(this.container, options);
      return this.change(() => collectGarbage(this.container, options));
    });
  }

  /** Reports what is wrong; throws only when the container can not be looked at at all. */
  async check(options: CheckOptions = {}): Promise<CheckReport> {
    return this.whileHeld(() => checkContainer(this.container, options), 'required');
  }

  /**
   * Saves what can be saved of a damaged container that was opened with the mode 'repair'; what can not be read
   * any more gives an error from then on, and is listed by `check`. Errors: 'io' when the disk itself fails,
   * 'corrupt' when nothing can be written safely; the container is untouched then.
   */
  repair(options: { readonly onProgress?: OnProgress } = {}): Promise<RepairReport> {
    return this.changes.run(async () => {
      if (this.container.isChanged) {
        throw new VsimgError('refused', `'${this.path}' has changes that are not published`, {
          path: this.path,
          hint: 'publish them, or open it again',
        });
      }
      const { container, report } = await this.change(() => repairContainer(this.container, options));
      this.looks.replace(container);
      return report;
    });
  }

  /** Makes the working state equal to `source`, its size too, and commits it. Errors: 'refused' for uncommitted changes. */
  importFrom(
    source: DataSource,
    options: ImportOptions,
  ): Promise<{ readonly version: VersionInfo; readonly report: WriteReport }> {
    return this.changes.run(async () => {
      checkImport(this.container, options);
      const { number, report } = await this.change(() => importSource(this.container, source, options));
      return { version: this.version(number), report };
    });
  }

  exportTo(rev: string | null, target: DataTarget, options: ExportOptions = {}): Promise<ExportReport> {
    return this.whileHeld(() => exportView(this.container, this.view(rev), target, options), 'required');
  }

  /** The same for a target that holds what `seed` holds and keeps it, as `openSeedTarget` does: it is given what differs. */
  exportOver(seed: string, rev: string | null, target: DataTarget, options: SeedOptions = {}): Promise<SeedReport> {
    return this.whileHeld(async () => {
      const states = { seed: this.view(seed), view: this.view(rev) };
      return exportChanges(this.container, states, target, options);
    }, 'required');
  }
}
