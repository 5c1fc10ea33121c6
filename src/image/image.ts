import { VsimgError } from '../errors.ts';
import type { ByteRange, DataSource, DataTarget, Piece } from '../storage/transfer.ts';
import type { RefKind } from '../versions/refs.ts';
import type {
  CheckReport,
  CommitOptions,
  DiffRange,
  GcReport,
  HeadInfo,
  ImageInfo,
  OnProgress,
  ReclaimReport,
  Ref,
  RepairReport,
  SpaceUsage,
  UnreadableRange,
  VersionInfo,
  WriteReport,
} from './api.ts';
import { ChangeQueue } from './change-queue.ts';
import { changeSides } from './changes.ts';
import { type CheckOptions, checkContainer } from './check.ts';
import { checkOut, planCheckout, refuseDirty } from './checkout.ts';
import { checkCommit, commitWorking, workingView } from './commit.ts';
import type { Container } from './container.ts';
import { describeHead, describeImage, describeVersion, describeVersionsBelow } from './describe.ts';
import { diffViews } from './diff.ts';
import type { Change } from './disk.ts';
import type { Disks } from './disks.ts';
import { collectGarbage, type GcOptions, rehearseGc } from './gc.ts';
import { History } from './history.ts';
import { type LookSource, Looks } from './looks.ts';
import { measureReclaim } from './reclaim.ts';
import { checkRepair, repairContainer } from './repair.ts';
import { checkResize, resizeWorking } from './resize.ts';
import { resolve } from './resolve.ts';
import { salvagePieces } from './salvage.ts';
import { exportChanges, type SeedOptions, type SeedReport } from './seed.ts';
import { refuseHeld, withoutPublishing } from './transaction.ts';
import {
  bulkPieces,
  checkImport,
  type ExportOptions,
  type ExportReport,
  exportView,
  type ImportOptions,
  importSource,
} from './transfer.ts';
import { measureUsage } from './usage.ts';
import { VersionEdits } from './version-edits.ts';
import { checkRange, copiedPieces, type View, versionView, viewDataRanges } from './view.ts';
import { writeBytes, zeroBytes } from './write.ts';

const LOOK_BYTES = 1024 * 1024;
/** Versions that are read at a time: whoever stops early pays for few. */
const VERSIONS_A_LOOK = 16;

/**
 * One open container. `rev` is a revision as the user writes it (`3`, `v1.2`, `main`, `HEAD~2`, a unique
 * id prefix); null stands for the working state.
 */
export class Image {
  /** Which version wrote what. */
  readonly history: History;
  /** What versions are called, and which of them stay. */
  readonly edits = new VersionEdits((plan) =>
    this.changes.run(async () => {
      const { apply, result } = await plan(this.container);
      if (apply !== undefined) await this.changes.carryOut(() => this.publishAfter(apply));
      return result();
    }),
  );
  private readonly looks: Looks;
  private readonly changes = new ChangeQueue(() => this.path);

  private openedDisks: Promise<Disks> | undefined;

  /** With a source the container is only looked into, without a lock of its own. */
  constructor(container: Container, source?: LookSource) {
    this.looks = new Looks(container, source);
    this.history = new History(this.looks);
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

  /** For who looks again and again: from now on all calls tell of the newest state. */
  refresh(): void {
    this.looks.refresh();
  }

  get path(): string {
    return this.container.storage.name;
  }

  /** States of the disk for whoever reads and writes anywhere in them, the same ones at every call. Few programs need them. */
  disks(): Promise<Disks> {
    const change: Change = (action) => this.changes.run(() => this.changes.carryOut(() => action(this.container)));
    this.openedDisks ??= import('./disks.ts').then(({ Disks }) => new Disks(this.looks, change, () => this.publish()));
    return this.openedDisks;
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
    return this.looks.look(() => resolve(this.container, rev));
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
        const page = this.looks.look(() => describeVersionsBelow(this.container, next, VERSIONS_A_LOOK));
        yield* page;
        if (page.length < VERSIONS_A_LOOK) return;
        next = page[page.length - 1]?.number ?? null;
      }
    } finally {
      letGo();
    }
  }

  /** All tags and branches, or those whose names begin so, sorted by name. */
  refs(beginning = ''): Ref[] {
    return this.looks.look(() => [...this.container.refs.all(beginning)]);
  }

  private view(rev: string | null): View {
    return rev === null ? workingView(this.container) : versionView(this.container, this.resolve(rev));
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
        yield* this.looks.look(() =>
          copiedPieces(this.container, this.view(rev), from, Math.min(end, from + LOOK_BYTES)),
        );
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

  private async publishAfter(change: () => void | Promise<void>): Promise<void> {
    this.container.begin();
    await change();
    await this.container.publish();
  }

  /**
   * Errors: 'refused' beyond the end of the disk. After any error that comes later, of this or another method that
   * changes, every change is 'refused' until the image is opened again.
   */
  write(guestOffset: number, bytes: Uint8Array): Promise<WriteReport> {
    return this.changes.run(async () => {
      checkRange(guestOffset, guestOffset + bytes.length, this.container.workingSizeBytes);
      return this.changes.carryOut(() => writeBytes(this.container, guestOffset, bytes));
    });
  }

  /** `[guestOffset, guestOffset + lengthBytes)` reads as zeros from now on and holds no data. Errors: as `write`. */
  zero(guestOffset: number, lengthBytes: number): Promise<WriteReport> {
    return this.changes.run(async () => {
      checkRange(guestOffset, guestOffset + lengthBytes, this.container.workingSizeBytes);
      return this.changes.carryOut(() => zeroBytes(this.container, guestOffset, lengthBytes));
    });
  }

  /** Gives the working state another size; new bytes read as zeros. Errors: 'refused' for a smaller one without `shrink`. */
  resize(sizeBytes: number, options: { readonly shrink?: boolean } = {}): Promise<void> {
    return this.changes.run(async () => {
      checkResize(this.container, sizeBytes, options);
      return this.changes.carryOut(() => resizeWorking(this.container, sizeBytes));
    });
  }

  /**
   * What `action` changes by this image's methods, commits too, is published at once when it has ended, or, after an error,
   * never: then as after any failed change. `gc` and `repair` are 'refused' meanwhile.
   */
  async transaction<T>(action: () => Promise<T>): Promise<T> {
    const result = await this.changes.carryOut(() => withoutPublishing(this.container, action));
    await this.publish();
    return result;
  }

  /** Makes the working state durable. Commit, checkout, tags, branches, delete and gc publish by themselves. */
  publish(): Promise<void> {
    return this.changes.run(() => this.changes.carryOut(() => this.container.publish()));
  }

  /**
   * After something that failed: what is not published is given up, and the image can be changed again. For whoever knows that nobody
   * counts on what is lost by that. False, and nothing happens, where a failing disk leaves in doubt what is there.
   */
  recover(): Promise<boolean> {
    return this.changes.run(async () => {
      if (!this.changes.isSpoiled && !this.container.isChanged) return true;
      const container = await this.container.reopened();
      if (container === undefined) return false;
      this.looks.replace(container);
      (await this.openedDisks)?.forget();
      this.changes.heal();
      return true;
    });
  }

  /** Errors: 'refused' when nothing changed, 'usage' for a bad message or tag, 'exists' for a taken tag. */
  commit(options: CommitOptions): Promise<VersionInfo> {
    return this.changes.run(async () => {
      checkCommit(this.container, options);
      return this.version(await this.changes.carryOut(() => commitWorking(this.container, options)));
    });
  }

  /** Errors: 'refused' when uncommitted changes would be lost. */
  checkout(rev: string, options: { readonly branch?: string; readonly force?: boolean }): Promise<HeadInfo> {
    return this.changes.run(async () => {
      const number = this.resolve(rev);
      const plan = planCheckout(this.container, rev, number, options.branch);
      if (options.force !== true) refuseDirty(this.container, `checking out version ${number}`);
      await this.changes.carryOut(() => {
        checkOut(this.container, plan);
        return this.container.publish();
      });
      return describeHead(this.container);
    });
  }

  /** Ranges that differ, ascending. */
  diff(a: string | null, b: string | null): IterableIterator<DiffRange> {
    return this.looks.held(() => diffViews(this.view(a), this.view(b), this.container.blockBytes));
  }

  /** Where a state may hold data, ascending and apart, without reading it. */
  dataRanges(rev: string | null): IterableIterator<ByteRange> {
    return this.looks.held(() => viewDataRanges(this.view(rev), this.container.blockBytes));
  }

  /** Ranges in which a version differs from its parent, or for null the working state from HEAD: the first ones from an empty disk. */
  *changesOf(rev: string | null): IterableIterator<DiffRange> {
    yield* this.looks.held(() => {
      const { from, to } = changeSides(this.container, rev === null ? null : this.resolve(rev));
      return diffViews(from, to, this.container.blockBytes);
    });
  }

  /** Who holds the space of the published state. */
  usage(): Promise<SpaceUsage> {
    return this.whileHeld(() => measureUsage(this.container), 'required');
  }

  /** What deleting these versions and then gc would give back; changes nothing. */
  reclaim(revs: readonly string[]): Promise<ReclaimReport> {
    return this.whileHeld(
      () => measureReclaim(this.container, [...new Set(revs.map((rev) => this.resolve(rev)))]),
      'required',
    );
  }

  setTag(name: string, rev: string, options: { readonly force?: boolean } = {}): Promise<Ref> {
    return this.edits.setRef({ name, rev, kind: 'tag' }, options);
  }

  setBranch(name: string, rev: string, options: { readonly force?: boolean } = {}): Promise<Ref> {
    return this.edits.setRef({ name, rev, kind: 'branch' }, options);
  }

  /** Errors: 'not-found', 'refused' for the branch that is checked out. */
  async deleteRef(name: string, kind: RefKind): Promise<Ref> {
    const [ref] = await this.deleteRefs([name], kind);
    return ref as Ref;
  }

  /** The same for several, all or none. */
  deleteRefs(names: readonly string[], kind: RefKind): Promise<Ref[]> {
    return this.edits.removeRefs(names, kind);
  }

  /** Removes versions; their tags go with them. Errors: 'refused' for one that is checked out, that a branch names or that is locked. */
  deleteVersions(revs: readonly string[]): Promise<VersionInfo[]> {
    return this.edits.remove(revs);
  }

  /** `dryRun`: only tells, to the byte, what it would do. */
  gc(options: GcOptions & { readonly dryRun?: boolean } = {}): Promise<GcReport> {
    return this.changes.run(async () => {
      refuseHeld(this.container, 'gc');
      await this.changes.carryOut(() => this.container.publish());
      if (options.dryRun === true) return this.whileHeld(() => rehearseGc(this.container, options), 'required');
      return this.changes.carryOut(() => collectGarbage(this.container, options));
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
      checkRepair(this.container);
      const { container, report } = await this.changes.carryOut(() => repairContainer(this.container, options));
      this.looks.replace(container);
      return report;
    });
  }

  /** Makes the working state equal to `source`, its size too, and commits it. Errors: 'refused' for uncommitted changes. */
  importFrom(
    source: DataSource,
    options: ImportOptions,
  ): Promise<{ readonly version: VersionInfo; readonly report: WriteReport; readonly changed: boolean }> {
    return this.changes.run(async () => {
      checkImport(this.container, options);
      const { number, ...result } = await this.changes.carryOut(() => importSource(this.container, source, options));
      return { version: this.version(number), ...result };
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
