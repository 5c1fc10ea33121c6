import { BlockSet } from '../storage/block-set.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { workingView } from './commit.ts';
import type { Container } from './container.ts';
import { DirtyBlocks } from './dirty-blocks.ts';
import type { Change, Disk, DiskRun, DiskWriting } from './disk.ts';
import { changesBetween, diskRuns } from './disk-ranges.ts';
import type { Looks } from './looks.ts';
import { reconcile } from './reconcile.ts';
import { checkRange, prepareBytes, readBytes } from './view.ts';
import { writeDirty, zeroBytes } from './write.ts';

/** Blocks in memory at a time: twice this, while one half is on its way into the container. */
const DIRTY_BYTES = 16 * 1024 * 1024;

/** What is so long, and whole blocks, gains nothing by being gathered. */
const DIRECT_BYTES = 64 * 1024;

/**
 * The working state with a cache that writes back, as a disk has one: a write is done when it is in memory, and lasting after
 * `flush`. What is in memory goes to the container in order of the disk, which costs a part of what single writes would.
 */
export class WorkingDisk implements Disk, DiskWriting {
  readonly #looks: Pick<Looks, 'container'>;
  readonly #change: Change;
  readonly #publish: () => Promise<void>;
  #dirty: DirtyBlocks;
  /** On its way into the container, and not all there yet. */
  #draining: DirtyBlocks | undefined;
  #spare: DirtyBlocks | undefined;
  #drain: Promise<void> | undefined;
  /** Until what is written past the cache is done, well or not. */
  #direct: Promise<void> | undefined;
  /** What `zero` is about to do: whoever completes a block in memory must not bring back what was there. */
  readonly #zeroing = new Set<ByteRange>();
  /** Flushes that began before this one ends are part of the next one. */
  #flushing: Promise<void> | undefined;
  #nextFlush: Promise<void> | undefined;
  /** Since the last time that what is the same as in the version was looked for. */
  #written = new BlockSet();
  /** Why nothing reaches the container any more; what is in memory stays readable. */
  #failure: unknown;

  constructor(looks: Pick<Looks, 'container'>, change: Change, publish: () => Promise<void>) {
    this.#looks = looks;
    this.#change = change;
    this.#publish = publish;
    this.#dirty = this.#newBlocks();
  }

  get #container(): Container {
    return this.#looks.container;
  }

  get writing(): DiskWriting {
    return this;
  }

  get sizeBytes(): number {
    return this.#container.workingSizeBytes;
  }

  read(guestOffset: number, into: Uint8Array): void {
    const { blockBytes } = this.#container;
    if (into.length === blockBytes && guestOffset % blockBytes === 0) {
      const dirty = this.#newest(guestOffset / blockBytes);
      if (dirty !== undefined) {
        into.set(dirty);
        return;
      }
    }
    readBytes(this.#container, workingView(this.#container), guestOffset, into);
    if (this.#dirty.count === 0 && this.#draining === undefined) return;
    const end = guestOffset + into.length;
    for (let block = Math.floor(guestOffset / blockBytes); block * blockBytes < end; block++) {
      const dirty = this.#newest(block);
      if (dirty === undefined) continue;
      const from = Math.max(guestOffset, block * blockBytes);
      const to = Math.min(end, (block + 1) * blockBytes);
      into.set(dirty.subarray(from - block * blockBytes, to - block * blockBytes), from - guestOffset);
    }
  }

  prepare(guestOffset: number, lengthBytes: number): Promise<unknown> | undefined {
    return prepareBytes(this.#container, workingView(this.#container), guestOffset, lengthBytes);
  }

  runs(range: ByteRange): Iterable<DiskRun> {
    return diskRuns(this.#container, workingView(this.#container), range);
  }

  changesSince(rev: string, range: ByteRange): Iterable<ByteRange> {
    return changesBetween(this.#container, rev, workingView(this.#container), range);
  }

  write(guestOffset: number, bytes: Uint8Array): Promise<void> | undefined {
    this.#refuseAfterFailure();
    checkRange(guestOffset, guestOffset + bytes.length, this.sizeBytes);
    // What is being written past the cache must not meet a block that was put together from what was there before.
    if (this.#direct !== undefined) return this.#direct.then(() => this.write(guestOffset, bytes));
    if (this.#isDirect(guestOffset, bytes.length)) return this.#writeDirect(guestOffset, bytes);
    const done = this.#put(guestOffset, bytes, 0);
    return done === bytes.length ? undefined : this.#writeRest(guestOffset, bytes, done);
  }

  /** Long enough to be written well as it is, and nothing in memory that it would have to replace. */
  #isDirect(guestOffset: number, lengthBytes: number): boolean {
    const { blockBytes } = this.#container;
    if (lengthBytes < DIRECT_BYTES || guestOffset % blockBytes !== 0 || lengthBytes % blockBytes !== 0) return false;
    if (this.#dirty.count === 0 && this.#draining === undefined) return true;
    const end = (guestOffset + lengthBytes) / blockBytes;
    for (let block = guestOffset / blockBytes; block < end; block++)
      if (this.#newest(block) !== undefined) return false;
    return true;
  }

  #writeDirect(guestOffset: number, bytes: Uint8Array): Promise<void> {
    const run = { startBlock: guestOffset / this.#container.blockBytes, bytes };
    this.#written.add(run.startBlock, run.startBlock + bytes.length / this.#container.blockBytes);
    const direct = this.#change((container) => writeDirty(container, [run])).then(
      () => {
        this.#direct = undefined;
      },
      (error: unknown) => {
        this.#failure = error;
        this.#direct = undefined;
        throw error;
      },
    );
    this.#direct = direct.catch(() => undefined);
    return direct;
  }

  async zero(guestOffset: number, lengthBytes: number): Promise<void> {
    const range = { start: guestOffset, end: guestOffset + lengthBytes };
    checkRange(range.start, range.end, this.sizeBytes);
    this.#zeroing.add(range);
    try {
      await this.settle();
      await this.#change(async (container) => {
        await zeroBytes(container, guestOffset, lengthBytes);
      });
    } finally {
      this.#zeroing.delete(range);
    }
  }

  /** Everything written so far is in the container when it ends, though not lasting. */
  async settle(): Promise<void> {
    this.#refuseAfterFailure();
    while (this.#drain !== undefined) await this.#drain;
    if (this.#dirty.count > 0) await this.#startDrain();
  }

  /**
   * What was written so far, and is what the version checked out holds there, is no change any more: as if it had been compared when it was
   * written. To be called before a commit, and when nothing more is written for now.
   */
  async reconcile(): Promise<void> {
    await this.settle();
    const written = this.#written;
    this.#written = new BlockSet();
    await this.#change((container) => reconcile(container, written));
  }

  flush(): Promise<void> {
    if (this.#flushing === undefined) return this.#startFlush();
    this.#nextFlush ??= this.#flushing.catch(() => undefined).then(() => this.#startFlush());
    return this.#nextFlush;
  }

  /** What is in memory is gone, and so is why it could not go into the container. Only when nothing is under way. */
  forget(): void {
    for (const blocks of [this.#dirty, this.#draining]) blocks?.reset();
    this.#spare = this.#draining ?? this.#spare;
    this.#draining = undefined;
    this.#written = new BlockSet();
    this.#failure = undefined;
  }

  #refuseAfterFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #startFlush(): Promise<void> {
    this.#nextFlush = undefined;
    const flushing = this.settle()
      .then(() => this.#change((container) => container.writeAhead()))
      .then(() => this.#publish())
      .finally(() => {
        if (this.#flushing === flushing) this.#flushing = undefined;
      });
    this.#flushing = flushing;
    return flushing;
  }

  #newest(block: number): Uint8Array | undefined {
    return this.#dirty.get(block) ?? this.#draining?.get(block);
  }

  /** Takes as much as there is room for; returns how much of `bytes` is done. */
  #put(guestOffset: number, bytes: Uint8Array, from: number): number {
    const { blockBytes } = this.#container;
    let done = from;
    while (done < bytes.length) {
      const at = guestOffset + done;
      const block = Math.floor(at / blockBytes);
      const inBlock = at - block * blockBytes;
      const count = Math.min(blockBytes - inBlock, bytes.length - done);
      const known = this.#dirty.get(block);
      if (known === undefined && this.#dirty.room === 0) return done;
      this.#written.add(block, block + 1);
      if (count === blockBytes) {
        this.#dirty.put(block).set(bytes.subarray(done, done + count));
      } else {
        const whole = known ?? this.#filled(block);
        whole.set(bytes.subarray(done, done + count), inBlock);
        if (known === undefined) this.#dirty.put(block).set(whole);
      }
      done += count;
    }
    return done;
  }

  /** What a block of the disk holds now; behind the end of the disk zeros. */
  #filled(block: number): Uint8Array {
    const { blockBytes } = this.#container;
    const whole = new Uint8Array(blockBytes);
    const lengthBytes = Math.min(blockBytes, this.sizeBytes - block * blockBytes);
    const from = block * blockBytes;
    this.read(from, whole.subarray(0, lengthBytes));
    for (const { start, end } of this.#zeroing)
      if (start < from + blockBytes && end > from) whole.fill(0, Math.max(0, start - from), end - from);
    return whole;
  }

  async #writeRest(guestOffset: number, bytes: Uint8Array, from: number): Promise<void> {
    for (let done = from; done < bytes.length; ) {
      if (this.#drain === undefined) void this.#startDrain().catch(() => undefined);
      else await this.#drain.catch(() => undefined);
      this.#refuseAfterFailure();
      done = this.#put(guestOffset, bytes, done);
    }
  }

  #newBlocks(): DirtyBlocks {
    const { blockBytes } = this.#container;
    return new DirtyBlocks(blockBytes, DIRTY_BYTES / blockBytes);
  }

  /** What is dirty now goes to the container; what is written meanwhile is gathered anew. */
  #startDrain(): Promise<void> {
    const blocks = this.#dirty;
    this.#draining = blocks;
    this.#dirty = this.#spare ?? this.#newBlocks();
    this.#spare = undefined;
    const drain = this.#change((container) => writeDirty(container, blocks.runs()))
      .then(
        () => {
          blocks.reset();
          this.#spare = blocks;
          this.#draining = undefined;
        },
        (error: unknown) => {
          this.#failure = error;
          throw error;
        },
      )
      .finally(() => {
        this.#drain = undefined;
      });
    this.#drain = drain;
    return drain;
  }
}
