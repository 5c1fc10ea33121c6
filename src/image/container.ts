import { corrupt, VsimgError } from '../errors.ts';
import { decodeSegmentEntry } from '../format/chunk-table.ts';
import { type Header, refuseUnwritable, TREE_NAMES, type TreeName } from '../format/header.ts';
import { SLOT_A_OFFSET, SLOT_B_OFFSET } from '../format/layout.ts';
import type { PageRef, TreeRoot } from '../format/page.ts';
import { numberInKey } from '../format/record-page.ts';
import { encodeSlot, readSlots, type Slots } from '../format/slot.ts';
import { LogReader } from '../log/reader.ts';
import { SegmentTables } from '../log/tables.ts';
import { LogWriter } from '../log/writer.ts';
import { ExtentMap } from '../map/extent-map.ts';
import { recordLayout } from '../map/layouts.ts';
import { PageStore } from '../map/pages.ts';
import { type RecordTree, recordsBackward } from '../map/records.ts';
import { PersistentTree } from '../map/tree.ts';
import { Space } from '../space/space.ts';
import { FailStopStorage } from '../storage/fail-stop.ts';
import type { Storage } from '../storage/storage.ts';
import { Refs } from '../versions/refs.ts';
import { VersionTable } from '../versions/version-table.ts';
import type { CreateOptions } from './api.ts';
import { cleanYoung } from './clean.ts';
import { CACHES, type ContainerOptions, type PublishOptions } from './container-options.ts';
import { InUse } from './in-use.ts';
import { newHeader } from './new-header.ts';
import { readBothSlots } from './slots.ts';

const TREE_TITLES: { readonly [name in TreeName]: string } = {
  versions: 'version table',
  children: 'version children',
  refs: 'tags and branches',
  marks: 'names of versions',
  log: 'log index',
};

/**
 * One container with its parts opened: the published header, the trees it names, the log, the space, and
 * the working state as it is being changed in memory.
 */
export class Container {
  readonly storage: Storage;
  readonly pages: PageStore;
  readonly trees: { readonly [name in TreeName]: RecordTree };
  readonly space: Space;
  readonly tables: SegmentTables;
  readonly reader: LogReader;
  readonly log: LogWriter;
  readonly versions: VersionTable;
  readonly refs: Refs;
  readonly map: ExtentMap;
  readonly inUse: InUse;
  /** As published last; for a repair, as it is to be. */
  header: Header;
  /** What the slots hold. */
  private stored: Header;
  generation: number;
  /** The working state beside its map. */
  workingSizeBytes: number;
  sharedGeneration: number;
  head: Header['head'];
  unreclaimed: number;
  private readonly options: ContainerOptions;
  /**
   * Generation that what is written now is born in. Above `generation` by more than one when `publish` was held back
   * and versions were made meanwhile: so that what the working state writes afterwards is younger than they are.
   */
  private nextGeneration: number;
  private isHeldBack = false;
  private begun = false;
  /** The second slot of the last publication is written, but not durable yet. */
  private isSlotPending = false;
  /** A header was being written when something failed: it may name what lies behind the published end. */
  private isHeaderUnsure = false;
  /** End of the file in the generation before, which the second slot may still hold after a cut. */
  private formerEnd = 0;
  /** Null when both slots are current. */
  damagedSlot: 'first' | 'second' | null;
  private staleSlot: Slots['staleSlot'];

  private constructor(storage: Storage, slots: Slots, options: ContainerOptions, stored = slots.header) {
    const { header } = slots;
    this.inUse = options.inUse ?? new InUse();
    this.storage = storage;
    this.stored = stored;
    this.options = options;
    this.header = header;
    this.generation = slots.generation;
    this.nextGeneration = slots.generation + 1;
    this.staleSlot = slots.staleSlot;
    this.damagedSlot = slots.staleSlot === undefined ? null : slots.staleSlot === 'a' ? 'first' : 'second';
    const caches = CACHES[options.caches ?? 'small'];
    this.pages = new PageStore(storage, { cacheBytes: caches.pageBytes });
    const open = (name: TreeName): RecordTree =>
      new PersistentTree(recordLayout(TREE_TITLES[name]), this.pages, header.trees[name]);
    this.trees = {
      versions: open('versions'),
      children: open('children'),
      refs: open('refs'),
      marks: open('marks'),
      log: open('log'),
    };
    this.space = new Space(this.pages, header.space);
    this.tables = new SegmentTables(storage, this.trees.log, { blockBytes: header.blockBytes, ...caches.tables });
    this.reader = new LogReader(storage, this.tables, {
      blockBytes: header.blockBytes,
      decodedBytes: caches.decodedBytes,
    });
    this.log = new LogWriter(
      {
        storage,
        index: this.trees.log,
        tables: this.tables,
        space: this.space,
        blockBytes: header.blockBytes,
        compression: header.compression,
      },
      header.log,
    );
    this.versions = new VersionTable(this.trees, { next: header.nextVersion, count: header.versionCount });
    this.refs = new Refs(this.trees);
    this.log.startGeneration(this.nextGeneration, header.nextVersion);
    this.map = new ExtentMap(this.pages, header.working.map);
    this.workingSizeBytes = header.working.sizeBytes;
    this.sharedGeneration = header.working.sharedGeneration;
    this.head = header.head;
    this.unreclaimed = header.unreclaimed;
  }

  /** Errors: 'corrupt', 'unsupported', 'io'. */
  static open(storage: Storage, options: ContainerOptions = {}): Container {
    const slots = readBothSlots(storage, { orOlder: options.damage === 'accept' });
    if (storage.readOnly) return new Container(storage, slots, options);
    refuseUnwritable(slots.header, storage.name);
    const container = new Container(new FailStopStorage(storage), slots, options);
    if (options.damage !== 'accept') container.checkCounters();
    return container;
  }

  /** Makes an empty container on an empty storage and opens it. Errors: 'usage' for impossible sizes. */
  static create(storage: Storage, create: CreateOptions, options: ContainerOptions = {}): Container {
    const slot = encodeSlot(1, newHeader(create));
    storage.write(slot, SLOT_A_OFFSET);
    storage.write(slot, SLOT_B_OFFSET);
    return Container.open(storage, options);
  }

  /** The same container as if its header said this; for a repair, whose publication makes it true. */
  withHeader(header: Header): Container {
    const { generation, staleSlot } = this;
    return new Container(this.storage, { generation, header, staleSlot }, this.options, this.stored);
  }

  /** Opens `storage`, which holds this container, to be changed there beside the same readers. */
  openCopy(storage: Storage): Container {
    return Container.open(storage, { ...this.options, caches: 'tiny' });
  }

  /**
   * The published state opened anew, to go on with after a change that failed half-way; this one must not be used any more. Undefined
   * after a failure that leaves in doubt what is published. Errors: as `open`.
   */
  async reopened(): Promise<Container | undefined> {
    if (!(this.storage instanceof FailStopStorage)) return undefined;
    await this.storage.settled();
    const inner = this.storage.renewed;
    if (inner === undefined) return undefined;
    // The one that takes over does not know what the second slot may still hold.
    if (this.isSlotPending && this.options.sync !== 'off') inner.sync();
    const { cutOffset } = this;
    if (cutOffset !== undefined && inner.size() > cutOffset) inner.truncate(cutOffset);
    return Container.open(inner, { ...this.options, inUse: this.inUse });
  }

  /** Bytes that the file lacks. */
  get missingBytes(): number {
    const missing = this.header.space.end - this.storage.size();
    // Of a state that is read beside a writer, collection may have cut off what was free.
    return missing <= 0 || this.isStale() ? 0 : missing;
  }

  /** Counters of a damaged header must not lead a writer over what is there. Errors: 'corrupt'. */
  private checkCounters(): void {
    const { log, space, nextVersion } = this.header;
    if (this.missingBytes > 0) {
      throw new VsimgError(
        'corrupt',
        `${this.storage.name}: the file was cut: ${this.missingBytes} of its bytes are missing at the end`,
        {
          hint: "get the whole file again, or save what is left with 'vsimg check --repair'",
          hostOffset: this.storage.size(),
        },
      );
    }
    for (const { key, value } of recordsBackward(this.trees.log)) {
      const entry = decodeSegmentEntry(value);
      if (numberInKey(key) + entry.blockCount > log.next || entry.place + entry.lengthBytes > space.end)
        throw corrupt(`${this.storage.name}: the header lags behind the log`);
      break;
    }
    for (const { key } of recordsBackward(this.trees.versions)) {
      if (numberInKey(key) >= nextVersion)
        throw corrupt(`${this.storage.name}: the header lags behind the version table`);
      break;
    }
  }

  get blockBytes(): number {
    return this.header.blockBytes;
  }

  /** True if the published header is no longer the newest on the storage. */
  isStale(): boolean {
    return readBothSlots(this.storage).generation !== this.generation;
  }

  /** True if something was changed since the last publication. */
  get isChanged(): boolean {
    return this.begun;
  }

  /** To be called before anything is changed. */
  begin(): void {
    if (this.begun) return;
    if (this.storage.readOnly) throw new VsimgError('internal', `${this.storage.name} is open for reading only`);
    this.begun = true;
    // The second slot may still hold the generation before: a cut and the loss of the first bring it back.
    const slots = { first: this.generation - 1, last: this.generation };
    this.space.begin([...(this.options.heldGenerations?.(slots.first) ?? []), slots]);
  }

  /**
   * From now on `publish` leaves the published state alone, until it is let go; a version that it makes is complete then,
   * but for what the header says of it.
   */
  holdBack(): void {
    this.isHeldBack = true;
  }

  letGo(): void {
    this.isHeldBack = false;
  }

  get isHeld(): boolean {
    return this.isHeldBack;
  }

  /** Whatever is written so far was born in this generation or an earlier one. */
  get youngestGeneration(): number {
    return this.nextGeneration - 1;
  }

  /**
   * Makes everything changed so far the published state, or changes nothing.
   *
   * Order: records, sync, slot A, sync, slot B. The second slot becomes durable with the first sync of the
   * next publication or when the container is closed; until then the state before may come back after a cut and
   * the loss of slot A, and nothing of it has been overwritten (see `Space`).
   */
  async publish({ makeVersion, cleaning = 'now' }: PublishOptions = {}): Promise<void> {
    if (!this.begun || (this.isHeldBack && makeVersion === undefined)) return;
    await this.log.flush();
    if (cleaning === 'now') await cleanYoung(this);
    const map = this.writeMap();
    if (makeVersion !== undefined) {
      makeVersion(map, (other) => this.writeMapOf(other, () => {}));
      this.sharedGeneration = this.nextGeneration;
    }
    if (this.isHeldBack) this.startGeneration(this.nextGeneration + 1);
    else this.publishTrees(map);
  }

  private startGeneration(generation: number): void {
    this.nextGeneration = generation;
    this.log.startGeneration(generation, this.versions.next);
  }

  private writePage(bytes: Uint8Array, life: 'lasting' | 'passing'): number {
    const place = this.space.allocate(bytes.length, life);
    this.storage.write(bytes, place);
    return place;
  }

  private releasePage(ref: PageRef, birth: number): void {
    this.pages.forget(ref.place);
    this.space.release(ref.place, ref.lengthBytes, birth);
  }

  private writeMap(): TreeRoot {
    // Older pages may belong to versions; gc finds out.
    return this.writeMapOf(this.map, (ref, birth) => {
      if (birth > this.sharedGeneration) this.releasePage(ref, birth);
    });
  }

  private writeMapOf(map: ExtentMap, releasePage: (ref: PageRef, birth: number) => void): TreeRoot {
    const writePage = (bytes: Uint8Array): number => this.writePage(bytes, 'lasting');
    return map.tree.flush({ generation: this.nextGeneration, writePage, releasePage });
  }

  private publishTrees(map: TreeRoot): void {
    const generation = this.nextGeneration;
    const sink = {
      generation,
      writePage: (bytes: Uint8Array) => this.writePage(bytes, 'passing'),
      releasePage: (ref: PageRef, birth: number): void => this.releasePage(ref, birth),
    };
    const trees = Object.fromEntries(TREE_NAMES.map((name) => [name, this.trees[name].flush(sink)])) as Header['trees'];
    const header: Header = {
      ...this.header,
      nextVersion: this.versions.next,
      versionCount: this.versions.count,
      unreclaimed: this.unreclaimed,
      head: this.head,
      working: { sizeBytes: this.workingSizeBytes, map, sharedGeneration: this.sharedGeneration },
      log: this.log.state,
      trees,
      space: this.space.finish(generation, (bytes, place) => this.storage.write(bytes, place)),
    };
    this.publishHeader(generation, header);
  }

  private publishHeader(generation: number, header: Header): void {
    const slot = encodeSlot(generation, header);
    // Totals that come from a damaged header must not make one that nobody can read.
    readSlots(slot, slot, this.storage.name);
    if (this.staleSlot !== undefined) {
      // The one good slot must never be the one that is written next.
      this.storage.write(
        encodeSlot(this.generation, this.stored),
        this.staleSlot === 'a' ? SLOT_A_OFFSET : SLOT_B_OFFSET,
      );
      this.staleSlot = undefined;
      this.damagedSlot = null;
    }
    // A file that is shorter than its header says was cut by somebody else.
    if (this.storage.size() < header.space.end) this.storage.truncate(header.space.end);
    this.sync();
    this.isHeaderUnsure = true;
    this.storage.write(slot, SLOT_A_OFFSET);
    this.sync();
    this.storage.write(slot, SLOT_B_OFFSET);
    this.isHeaderUnsure = false;
    this.isSlotPending = true;
    this.formerEnd = this.header.space.end;
    this.header = header;
    this.stored = header;
    this.generation = generation;
    this.startGeneration(generation + 1);
    this.begun = false;
  }

  /** Writes what the log holds in memory and waits for the disk while others go on: then little is left to be waited for at `publish`. */
  async writeAhead(): Promise<void> {
    if (!this.begun) return;
    await this.log.flush();
    if (this.options.sync !== 'off') await this.storage.syncMeanwhile?.();
  }

  /** Waits until everything written is durable. */
  sync(): void {
    if (this.options.sync !== 'off') this.storage.sync();
    this.isSlotPending = false;
  }

  /** Gives up what was not published; the file gets its published length back, and both slots are durable. */
  close(): void {
    try {
      if (this.isSlotPending) this.sync();
    } catch {
      // Told by whoever must know; here it is too late.
    }
    if (this.storage instanceof FailStopStorage) this.storage.closeAt(this.cutOffset);
    else this.storage.close();
  }

  /** Where to cut the file, so that what was not published gets no place in it; undefined: nowhere. */
  private get cutOffset(): number | undefined {
    if (!this.begun || this.isHeaderUnsure) return undefined;
    return Math.max(this.header.space.end, this.stored.space.end, this.formerEnd);
  }
}
