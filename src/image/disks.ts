import { VsimgError } from '../errors.ts';
import { MAX_MESSAGE_BYTES } from '../format/version-record.ts';
import { openScratchFile } from '../storage/scratch-file.ts';
import type { Storage } from '../storage/storage.ts';
import type { ByteRange } from '../storage/transfer.ts';
import type { CommitOptions } from './api.ts';
import { commitBeside } from './beside.ts';
import { checkMessage, workingView } from './commit.ts';
import type { Container } from './container.ts';
import type { Change, Disk, DiskRun } from './disk.ts';
import { changesBetween, diskRuns } from './disk-ranges.ts';
import type { Looks } from './looks.ts';
import { resolve } from './resolve.ts';
import { ScratchDisk } from './scratch-disk.ts';
import { prepareBytes, readBytes, type View, versionView } from './view.ts';
import { WorkingDisk } from './working-disk.ts';

/** A disk that somebody has open, and how to give it up. */
export interface OpenDisk<D extends Disk = Disk> {
  readonly disk: D;
  /** After the last use. Errors: those of a change, for what was written. */
  close(): Promise<void>;
}

/** A scratch disk, and the version that it began as. */
export interface OpenScratch extends OpenDisk<ScratchDisk> {
  readonly base: number;
}

/** States of the disk for those that stay: each is open until it is closed, which keeps its version from being removed. */
export class Disks {
  readonly #looks: Looks;
  readonly #change: Change;
  readonly #publish: () => Promise<void>;
  #working: WorkingDisk | undefined;

  constructor(looks: Looks, change: Change, publish: () => Promise<void>) {
    this.#looks = looks;
    this.#change = change;
    this.#publish = publish;
  }

  /** A version, which never changes. Errors: 'not-found', 'usage' for an ambiguous prefix. */
  version(rev: string): OpenDisk {
    const { number, sizeBytes } = this.#looks.look(() => {
      const { container } = this.#looks;
      return container.versions.need(resolve(container, rev));
    });
    const { inUse } = this.#looks.container;
    inUse.add(number);
    let isOpen = true;
    return {
      disk: new StateDisk(this.#looks, number, sizeBytes),
      close: async () => {
        if (isOpen) inUse.remove(number);
        isOpen = false;
      },
    };
  }

  /**
   * The working state, the same one for all; changes are gathered in memory, and `flush` publishes them. Other changes of the
   * image take what was gathered with them only after `settle`. Errors: 'permission' if the image is open for reading only.
   */
  working(): WorkingDisk {
    const { storage } = this.#looks.container;
    if (this.#looks.isBrief || storage.readOnly)
      throw new VsimgError('permission', `'${storage.name}' is open for reading only`, { path: storage.name });
    this.#working ??= new WorkingDisk(this.#looks, this.#change, this.#publish);
    return this.#working;
  }

  /** What was written to the working state, if anything, is part of it for everybody else when this ends, though not lasting. */
  async settle(): Promise<void> {
    await this.#working?.settle();
  }

  /** The same, and what was written as the version checked out has it is no change any more. */
  async reconcile(): Promise<void> {
    await this.#working?.reconcile();
  }

  /** What was written to the working state and is not published is gone. */
  forget(): void {
    this.#working?.forget();
  }

  /** The working state as it is in an image that is open for a long read, so that nobody changes it. */
  state(): Disk {
    if (this.#looks.isBrief) throw new VsimgError('internal', 'the working state of a short look may change');
    return new StateDisk(this.#looks, null, this.#looks.container.workingSizeBytes);
  }

  /** A private disk that begins as a version, and is gone with its last user unless it is made a version too. */
  scratch(rev: string): OpenScratch {
    const base = this.version(rev);
    const number = this.#looks.look(() => resolve(this.#looks.container, rev));
    const { blockBytes, storage } = this.#looks.container;
    let file: Storage;
    try {
      file = openScratchFile(storage.name);
    } catch (error) {
      void base.close();
      throw error;
    }
    const disk = new ScratchDisk(base.disk, blockBytes, file);
    return {
      disk,
      base: number,
      close: async () => {
        await base.close();
        file.close();
      },
    };
  }

  /** Makes a version of what a scratch disk holds. Errors: 'usage' for a bad message; those of a change. */
  async commit({ disk, base }: OpenScratch, options: CommitOptions): Promise<number> {
    checkMessage(options.message, MAX_MESSAGE_BYTES);
    return this.#change((container) => commitBeside(container, disk.changes(), { ...options, parent: base }));
  }
}

/** A version, or null for the working state, through whatever container there is by then. */
class StateDisk implements Disk {
  readonly writing = undefined;
  readonly sizeBytes: number;
  readonly #looks: Looks;
  readonly #number: number | null;
  #known: { readonly container: Container; readonly edits: number; readonly view: View } | undefined;

  constructor(looks: Looks, number: number | null, sizeBytes: number) {
    this.#looks = looks;
    this.#number = number;
    this.sizeBytes = sizeBytes;
  }

  read(guestOffset: number, into: Uint8Array): void {
    this.#looks.look(() => readBytes(this.#looks.container, this.#view(), guestOffset, into));
  }

  prepare(guestOffset: number, lengthBytes: number): Promise<unknown> | undefined {
    return this.#looks.look(() => prepareBytes(this.#looks.container, this.#view(), guestOffset, lengthBytes));
  }

  runs(range: ByteRange): Iterable<DiskRun> {
    return this.#looks.held(() => diskRuns(this.#looks.container, this.#view(), range));
  }

  changesSince(rev: string, range: ByteRange): Iterable<ByteRange> {
    return this.#looks.held(() => changesBetween(this.#looks.container, rev, this.#view(), range));
  }

  async settle(): Promise<void> {}

  #view(): View {
    const { container } = this.#looks;
    if (this.#number === null) return workingView(container);
    // gc writes maps anew, and then gives up the old ones.
    const { edits } = container.versions;
    if (this.#known?.container !== container || this.#known.edits !== edits) {
      this.#known = { container, edits, view: versionView(container, this.#number) };
    }
    return this.#known.view;
  }
}
