import { BlockSet } from '../storage/block-set.ts';
import type { Storage } from '../storage/storage.ts';
import type { ByteRange, Piece } from '../storage/transfer.ts';
import type { Disk, DiskRun, DiskWriting } from './disk.ts';
import { checkRange } from './view.ts';

const ZERO_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/** A version with what one user wrote over it, which is kept outside the container in blocks at their own place. */
export class ScratchDisk implements Disk, DiskWriting {
  readonly #base: Disk;
  readonly #blockBytes: number;
  readonly #file: Storage;
  readonly #written = new BlockSet();
  /** Blocks of which the file may hold something, also after a write that failed. */
  readonly #touched = new BlockSet();
  #isChanged = false;

  constructor(base: Disk, blockBytes: number, file: Storage) {
    this.#base = base;
    this.#blockBytes = blockBytes;
    this.#file = file;
  }

  get sizeBytes(): number {
    return this.#base.sizeBytes;
  }

  get writing(): DiskWriting {
    return this;
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  read(guestOffset: number, into: Uint8Array): void {
    const end = guestOffset + into.length;
    checkRange(guestOffset, end, this.sizeBytes);
    for (const { start, end: stop, isMember } of this.#parts({ start: guestOffset, end })) {
      const part = into.subarray(start - guestOffset, stop - guestOffset);
      if (isMember) this.#readFile(part, start);
      else this.#base.read(start, part);
    }
  }

  prepare(guestOffset: number, lengthBytes: number): Promise<unknown> | undefined {
    return this.#base.prepare(guestOffset, lengthBytes);
  }

  *runs(range: ByteRange): Generator<DiskRun> {
    for (const { start, end, isMember } of this.#parts(range))
      if (isMember) yield { start, end, kind: 'data' };
      else yield* this.#base.runs({ start, end });
  }

  *changesSince(rev: string, range: ByteRange): Generator<ByteRange> {
    for (const { start, end, isMember } of this.#parts(range))
      if (isMember) yield { start, end };
      else yield* this.#base.changesSince(rev, { start, end });
  }

  async settle(): Promise<void> {}

  write(guestOffset: number, bytes: Uint8Array): undefined {
    const end = guestOffset + bytes.length;
    checkRange(guestOffset, end, this.sizeBytes);
    if (bytes.length === 0) return;
    this.#fillEdges({ start: guestOffset, end });
    this.#touch({ start: guestOffset, end });
    try {
      this.#file.write(bytes, guestOffset);
    } finally {
      // A part of it may be there after an error too, in blocks that are not as the version has them any more.
      this.#add({ start: guestOffset, end });
    }
  }

  async zero(guestOffset: number, lengthBytes: number): Promise<void> {
    const range = { start: guestOffset, end: guestOffset + lengthBytes };
    checkRange(range.start, range.end, this.sizeBytes);
    if (lengthBytes === 0) return;
    this.#fillEdges(range);
    const zeros = new Uint8Array(Math.min(ZERO_BYTES, lengthBytes));
    // What was never written there reads as zeros already.
    for (const { start, end, isMember } of this.#parts(range, this.#touched)) {
      if (!isMember) continue;
      for (let at = start; at < end; at += zeros.length)
        this.#file.write(zeros.subarray(0, Math.min(zeros.length, end - at)), at);
    }
    this.#add(range);
  }

  async flush(): Promise<void> {}

  /** What was written, in blocks, cut at the end of the disk; data is valid until the next piece is asked for. */
  *changes(): Generator<Piece & { readonly kind: 'data' }> {
    const buffer = new Uint8Array(PIECE_BYTES);
    for (const { start, end, isMember } of this.#parts({ start: 0, end: this.sizeBytes })) {
      if (!isMember) continue;
      for (let at = start; at < end; at += PIECE_BYTES) {
        const bytes = buffer.subarray(0, Math.min(PIECE_BYTES, end - at));
        this.#readFile(bytes, at);
        yield { kind: 'data', start: at, bytes };
      }
    }
  }

  /** What lies behind the end of the file was zeros. */
  #readFile(into: Uint8Array, position: number): void {
    into.fill(0, this.#file.read(into, position));
  }

  #touch({ start, end }: ByteRange): void {
    this.#touched.add(Math.floor(start / this.#blockBytes), Math.ceil(end / this.#blockBytes));
  }

  #add({ start, end }: ByteRange): void {
    this.#written.add(Math.floor(start / this.#blockBytes), Math.ceil(end / this.#blockBytes));
    this.#isChanged = true;
  }

  /** Blocks that are written in part get the rest of them from the version. */
  #fillEdges({ start, end }: ByteRange): void {
    const blockBytes = this.#blockBytes;
    const edges = new Set<number>();
    if (start % blockBytes !== 0) edges.add(Math.floor(start / blockBytes));
    if (end % blockBytes !== 0 && end < this.sizeBytes) edges.add(Math.floor(end / blockBytes));
    for (const block of edges) {
      if (this.#written.has(block)) continue;
      const from = block * blockBytes;
      const whole = new Uint8Array(Math.min(blockBytes, this.sizeBytes - from));
      this.#base.read(from, whole);
      this.#touch({ start: from, end: from + whole.length });
      this.#file.write(whole, from);
      this.#written.add(block, block + 1);
    }
  }

  *#parts({ start, end }: ByteRange, blocks = this.#written): Generator<ByteRange & { readonly isMember: boolean }> {
    const blockBytes = this.#blockBytes;
    for (const run of blocks.runs(Math.floor(start / blockBytes), Math.ceil(end / blockBytes)))
      yield {
        start: Math.max(start, run.start * blockBytes),
        end: Math.min(end, run.end * blockBytes),
        isMember: run.isMember,
      };
  }
}
