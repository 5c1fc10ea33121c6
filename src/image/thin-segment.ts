import { unlessCorrupt } from '../errors.ts';
import { type Chunk, CODEC, isPresent, presentBefore } from '../format/chunk-table.ts';
import { SEGMENT_BYTES } from '../format/layout.ts';
import { blake3 } from '../log/hash.ts';
import { type SealedChunk, Sealer } from '../log/seal.ts';
import { DATA_BYTES } from '../space/space.ts';
import type { Container } from './container.ts';
import type { Survey } from './survey.ts';
import { type ChunkPlan, lostAlive, type SegmentPlan } from './thin.ts';

/** Share of a segment that must be written again before all that is left of it is. */
const ANEW_SHARE = 0.5;

type Part = Chunk | SealedChunk | undefined;

/** Carries out what was planned for segments, one after the other, in the same memory. */
export class SegmentThinner {
  readonly #container: Container;
  readonly #survey: Survey;
  readonly #sealer: Sealer;
  /** A chunk as it was, and what is alive of it. */
  readonly #raw: Uint8Array;
  readonly #packed: Uint8Array;
  /** The chunks of a segment as they will be stored. */
  readonly #stored = new Uint8Array(SEGMENT_BYTES);
  #storedBytes = 0;

  constructor(container: Container, survey: Survey) {
    const { blockBytes, reader, header } = container;
    this.#container = container;
    this.#survey = survey;
    this.#sealer = new Sealer({ blockBytes, compression: header.compression, amount: 'many' });
    this.#raw = new Uint8Array(reader.chunkBlocks * blockBytes);
    this.#packed = new Uint8Array(reader.chunkBlocks * blockBytes);
  }

  /** Returns how many bytes it wrote. */
  carryOut(plan: SegmentPlan): number {
    const { log, space, tables } = this.#container;
    if (plan.isDead) {
      log.drop(plan.segment);
      return 0;
    }
    this.#storedBytes = 0;
    const table = tables.table(plan.segment);
    const thinned = table.chunks.map((chunk, index): Part => {
      const what = plan.chunks[index] as ChunkPlan;
      if (chunk === undefined || what === 'drop') return undefined;
      return what === 'keep' ? chunk : (this.#thin(chunk, what.live, what.count) ?? chunk);
    });
    const chunks = this.#isMostlyAnew(thinned) ? (this.#allAnew(thinned) ?? thinned) : thinned;
    const places = this.#places(chunks);
    log.rewrite(
      plan.segment,
      chunks,
      (lengthBytes) => places.shift() ?? space.allocate(lengthBytes, 'lasting'),
      lostAlive(this.#survey, table),
    );
    return this.#storedBytes;
  }

  /**
   * Where the chunks that are written go: one behind the other, so that they leave one hole when they go in turn, or into holes as they
   * are if that would make the file longer.
   */
  #places(chunks: readonly Part[]): number[] {
    const { space } = this.#container;
    const anew = chunks.filter(isAnew);
    let next = this.#storedBytes < DATA_BYTES ? undefined : space.allocateInside(this.#storedBytes);
    return anew.map(({ stored: { length } }) => {
      if (next === undefined) return space.allocateBelow(length, space.end) ?? space.allocate(length, 'lasting');
      next += length;
      return next - length;
    });
  }

  /** What stays of a segment may as well be written again then: it would lie among holes too small for what comes. */
  #isMostlyAnew(chunks: readonly Part[]): boolean {
    const keptBytes = chunks.reduce(
      (total, part) => total + (part === undefined || isAnew(part) ? 0 : part.storedBytes),
      0,
    );
    return this.#storedBytes > 0 && this.#storedBytes >= (this.#storedBytes + keptBytes) * ANEW_SHARE;
  }

  /** All chunks with their stored bytes; undefined if one is damaged, which must stay where it is. */
  #allAnew(chunks: readonly Part[]): (SealedChunk | undefined)[] | undefined {
    const before = this.#storedBytes;
    const anew = unlessCorrupt(() =>
      chunks.map((part) => {
        if (part === undefined || isAnew(part)) return part;
        return { chunk: part, stored: this.#take(this.#container.reader.storedBytes(part, this.#room()).length) };
      }),
    );
    if (anew === undefined) this.#storedBytes = before;
    return anew;
  }

  /** The chunk with only the blocks whose bit is set in `live`; undefined for one that is damaged, which must stay as it is for check to find. */
  #thin(chunk: Chunk, live: Uint8Array, count: number): SealedChunk | undefined {
    const { blockBytes, reader } = this.#container;
    const raw = unlessCorrupt(() => reader.decode(chunk, this.#raw));
    // A new hash must not vouch for bytes that the old one denies.
    if (raw === undefined || Buffer.compare(blake3(raw), chunk.hash) !== 0) return undefined;
    const packed = this.#packed.subarray(0, count * blockBytes);
    let at = 0;
    for (let block = 0; block < chunk.blockCount; block++) {
      if (((live[block >>> 3] as number) & (1 << (block & 7))) === 0 || !isPresent(chunk, block)) continue;
      const from = presentBefore(chunk, block) * blockBytes;
      packed.set(raw.subarray(from, from + blockBytes), at);
      at += blockBytes;
    }
    const room = this.#room();
    const seal = this.#sealer.seal(packed, room);
    if (seal.codec === CODEC.raw) room.set(packed);
    return {
      chunk: { place: 0, blockCount: chunk.blockCount, present: live, ...seal },
      stored: this.#take(seal.storedBytes),
    };
  }

  /** Behind what is stored so far; chunks never take more than they are long, so that all of a segment fit. */
  #room(): Uint8Array {
    return this.#stored.subarray(this.#storedBytes);
  }

  #take(lengthBytes: number): Uint8Array {
    const stored = this.#stored.subarray(this.#storedBytes, this.#storedBytes + lengthBytes);
    this.#storedBytes += lengthBytes;
    return stored;
  }
}

function isAnew(part: Part): part is SealedChunk {
  return part !== undefined && 'stored' in part;
}
