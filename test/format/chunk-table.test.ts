import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Chunk,
  type ChunkTable,
  CODEC,
  chunkBlocksOf,
  decodeChunkTable,
  decodeSegmentEntry,
  encodeChunkTable,
  encodeSegmentEntry,
  isHeld,
  isPresent,
  type LogRange,
  lostSegment,
  presentBefore,
  presentCount,
  type SegmentEntry,
  segmentBlocksOf,
} from '../../src/format/chunk-table.ts';
import { ByteWriter } from '../../src/format/cursor.ts';
import type { GuestRun } from '../../src/format/guest-runs.ts';
import { MAX_TABLE_BYTES, RECORDS_OFFSET } from '../../src/format/layout.ts';
import { checksums, counts } from '../support/arbitraries.ts';
import { attack, decodeHostile } from '../support/hostile.ts';

/** Which blocks of a chunk are present: all, or some but not none and not all. */
function presence(blockCount: number): fc.Arbitrary<Uint8Array | undefined> {
  if (blockCount < 2) return fc.constant(undefined);
  const some = fc
    .uniqueArray(fc.nat({ max: blockCount - 1 }), { minLength: 1, maxLength: blockCount - 1 })
    .map((blocks) => {
      const bits = new Uint8Array(Math.ceil(blockCount / 8));
      for (const block of blocks) bits[block >>> 3] = (bits[block >>> 3] as number) | (1 << (block & 7));
      return bits;
    });
  return fc.option(some, { nil: undefined });
}

function chunks(blockCount: number, blockBytes: number): fc.Arbitrary<Chunk | undefined> {
  const chunk = fc
    .tuple(presence(blockCount), counts(2 ** 50), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.boolean())
    .chain(([present, place, hash, isRaw]) => {
      const base = {
        place: place + RECORDS_OFFSET,
        codec: isRaw ? CODEC.raw : CODEC.zstd,
        blockCount,
        present,
        hash,
        storedBytes: 0,
        checksums: new Uint32Array(0),
      };
      const held = presentCount(base);
      const sums = fc.array(checksums, { minLength: isRaw ? held : 1, maxLength: isRaw ? held : 1 });
      const stored = isRaw ? fc.constant(held * blockBytes) : fc.integer({ min: 1, max: held * blockBytes - 1 });
      return fc
        .tuple(sums, stored)
        .map(([list, storedBytes]): Chunk => ({ ...base, storedBytes, checksums: Uint32Array.from(list) }));
    });
  return fc.option(chunk, { nil: undefined });
}

function runsOf(blockCount: number, cuts: readonly number[], starts: readonly number[]): GuestRun[] {
  const edges = [...new Set([0, ...cuts.map((cut) => cut % blockCount), blockCount])].sort((a, b) => a - b);
  return edges
    .slice(1)
    .map((end, index) => ({ start: starts[index % starts.length] as number, length: end - (edges[index] as number) }));
}

/** With the runs as a list, as a test has them. */
function plain(table: ChunkTable): ChunkTable {
  return { ...table, runs: [...table.runs] };
}

/** Of the blocks wished for those that are not held, as runs. */
function lostOf(table: ChunkTable, wish: readonly number[], blockBytes: number): LogRange[] {
  const runs: { start: number; end: number }[] = [];
  for (const block of [...new Set(wish)].sort((a, b) => a - b)) {
    const log = table.firstLog + block;
    if (isHeld(table, log, blockBytes)) continue;
    const last = runs[runs.length - 1];
    if (last?.end === log) last.end++;
    else runs.push({ start: log, end: log + 1 });
  }
  return runs;
}

function tables(blockBytes: number, maxBlocks: number): fc.Arbitrary<ChunkTable> {
  const positions = fc.array(counts(2 ** 47), { minLength: 1, maxLength: 10 });
  return fc.integer({ min: 1, max: maxBlocks }).chain((blockCount) => {
    const chunkBlocks = chunkBlocksOf(blockBytes);
    const sizes = Array.from({ length: Math.ceil(blockCount / chunkBlocks) }, (_, index) =>
      Math.min(chunkBlocks, blockCount - index * chunkBlocks),
    );
    return fc
      .record({
        firstLog: counts(2 ** 47),
        blockCount: fc.constant(blockCount),
        bornVersion: counts(),
        birth: counts(),
        runs: fc
          .tuple(fc.array(fc.nat(), { maxLength: 9 }), positions)
          .map(([cuts, starts]) => runsOf(blockCount, cuts, starts)),
        chunks: fc.tuple(...sizes.map((size) => chunks(size, blockBytes))),
        wish: fc.array(fc.nat({ max: blockCount - 1 }), { maxLength: 5 }),
      })
      .map(({ wish, ...table }) => ({ ...table, lost: lostOf({ ...table, lost: [] }, wish, blockBytes) }));
  });
}

describe('chunk table', () => {
  it.each([512, 4096, 65_536])('comes back with blocks of %d bytes', (blockBytes) => {
    fc.assert(
      fc.property(tables(blockBytes, Math.min(64, segmentBlocksOf(blockBytes))), (table) => {
        expect(plain(decodeChunkTable(encodeChunkTable(table), blockBytes, 'test'))).toEqual(table);
      }),
    );
  });

  it('of a full segment fits its limit, however it was written', () => {
    const blockCount = segmentBlocksOf(512);
    const chunkBlocks = chunkBlocksOf(512);
    const table: ChunkTable = {
      firstLog: 2 ** 47,
      blockCount,
      bornVersion: 2 ** 53 - 1,
      birth: 2 ** 53 - 1,
      runs: Array.from({ length: blockCount }, (_, index) => ({ start: index % 2 === 0 ? 2 ** 47 : 0, length: 1 })),
      chunks: Array.from({ length: blockCount / chunkBlocks }, (_, index) => ({
        place: index % 2 === 0 ? 2 ** 50 : RECORDS_OFFSET,
        storedBytes: 65_536,
        codec: CODEC.raw,
        blockCount: chunkBlocks,
        present: undefined,
        hash: new Uint8Array(16),
        checksums: new Uint32Array(chunkBlocks),
      })),
      lost: [],
    };
    const bytes = encodeChunkTable(table);
    expect(bytes.length).toBeLessThanOrEqual(MAX_TABLE_BYTES);
    expect(plain(decodeChunkTable(bytes, 512, 'test'))).toEqual(table);
  });

  it('changed anywhere is refused, or another table', () => {
    const hash = Uint8Array.from({ length: 16 }, (_, index) => index);
    const sample: ChunkTable = {
      firstLog: 1000,
      blockCount: 40,
      bornVersion: 3,
      birth: 3,
      runs: [
        { start: 7, length: 39 },
        { start: 0, length: 1 },
      ],
      chunks: [
        {
          place: 8192,
          storedBytes: 300,
          codec: CODEC.zstd,
          blockCount: 16,
          present: Uint8Array.of(1, 128),
          hash,
          checksums: Uint32Array.of(99),
        },
        undefined,
        {
          place: 8492,
          storedBytes: 8 * 4096,
          codec: CODEC.raw,
          blockCount: 8,
          present: undefined,
          hash,
          checksums: new Uint32Array(8).fill(5),
        },
      ],
      lost: [{ start: 1032, end: 1034 }],
    };
    attack(encodeChunkTable(sample), (bytes) => decodeChunkTable(bytes, 4096, 'test'), encodeChunkTable);
  });

  it('of random bytes is refused', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        (bytes) => void decodeHostile(() => decodeChunkTable(Uint8Array.from([0x54, ...bytes]), 4096, 'test')),
      ),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['no blocks', [0, 0, 1, 0]],
    ['more blocks than a segment', [0, 1025, 1, 0]],
    ['4 GiB of blocks', [0, 2 ** 32, 1, 0]],
    ['blocks beyond the end of the log', [2 ** 48, 1, 1, 1, 0, 1, 0]],
    ['4 GiB of guest runs', [0, 1, 1, 2 ** 32]],
    ['guest runs of another length', [0, 1, 1, 1, 0, 2, 0]],
    ['an empty guest run', [0, 1, 1, 2, 0, 0, 0, 1, 0]],
    ['a guest run before the beginning', [0, 1, 1, 1, 1, 1, 0]],
    ['bytes behind its end', [0, 1, 1, 1, 0, 1, 0, 0]],
  ])('with %s is corrupt', (_name, numbers) => {
    const writer = new ByteWriter();
    writer.byte(0x54);
    for (const number of numbers) writer.varint(number);
    expect(decodeHostile(() => decodeChunkTable(writer.finish(), 4096, 'test'))).toEqual({ code: 'corrupt' });
  });

  it.each([
    ['an unknown codec', { codec: 7 }],
    ['a place inside the slots', { place: 8191 }],
    ['too few raw bytes', { storedBytes: 16 * 4096 - 1 }],
    ['zstd bytes that save nothing', { codec: CODEC.zstd, storedBytes: 16 * 4096, checksums: Uint32Array.of(0) }],
    ['no present block', { present: Uint8Array.of(0, 0), storedBytes: 4096 }],
    ['a map of blocks that are all present', { present: Uint8Array.of(255, 255) }],
  ])('with a chunk of %s is corrupt', (_name, change) => {
    const chunk = {
      place: 8192,
      storedBytes: 16 * 4096,
      codec: CODEC.raw,
      blockCount: 16,
      present: undefined,
      hash: new Uint8Array(16),
      checksums: new Uint32Array(16),
      ...change,
    } as Chunk;
    const bytes = encodeChunkTable({
      firstLog: 0,
      blockCount: 16,
      bornVersion: 1,
      birth: 1,
      runs: [{ start: 0, length: 16 }],
      chunks: [chunk],
      lost: [],
    });
    expect(decodeHostile(() => decodeChunkTable(bytes, 4096, 'test'))).toEqual({ code: 'corrupt' });
  });

  it.each([
    ['that a chunk holds', [{ start: 3, end: 5 }], true],
    ['behind the end', [{ start: 15, end: 17 }], false],
    ['of no length', [{ start: 3, end: 3 }], false],
    [
      'that touch',
      [
        { start: 1, end: 3 },
        { start: 3, end: 4 },
      ],
      false,
    ],
  ])('with lost blocks %s is corrupt', (_name, lost, isHeldToo) => {
    const chunk: Chunk = {
      place: 8192,
      storedBytes: 16 * 4096,
      codec: CODEC.raw,
      blockCount: 16,
      present: undefined,
      hash: new Uint8Array(16),
      checksums: new Uint32Array(16),
    };
    const table = {
      firstLog: 0,
      blockCount: 16,
      bornVersion: 1,
      birth: 1,
      runs: [],
      chunks: [isHeldToo ? chunk : undefined],
      lost,
    };
    expect(decodeHostile(() => decodeChunkTable(encodeChunkTable(table), 4096, 'test'))).toEqual({ code: 'corrupt' });
  });
});

describe('present blocks', () => {
  it('are counted as a plain list would', () => {
    fc.assert(
      fc.property(chunks(100, 512), (chunk) => {
        if (chunk === undefined) return;
        const all = Array.from({ length: 100 }, (_, block) => isPresent(chunk, block));
        expect(presentCount(chunk)).toBe(all.filter(Boolean).length);
        for (let block = 0; block <= 100; block++)
          expect(presentBefore(chunk, block)).toBe(all.slice(0, block).filter(Boolean).length);
      }),
    );
  });
});

describe('segment entry', () => {
  const entries: fc.Arbitrary<SegmentEntry> = fc
    .record({
      blockCount: counts(2 ** 48).map((value) => Math.max(1, value)),
      place: counts(),
      lengthBytes: counts().map((value) => Math.max(1, value)),
      checksum: checksums,
      dead: counts(),
    })
    .map(({ dead, ...entry }) => ({ ...entry, deadBlocks: Math.min(dead, entry.blockCount) }));

  it('comes back', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decodeSegmentEntry(encodeSegmentEntry(entry))).toEqual(entry);
      }),
    );
  });

  it('of a segment that is lost as a whole comes back, and has neither place nor checksum', () => {
    const entry = lostSegment(2 ** 40);
    expect(decodeSegmentEntry(encodeSegmentEntry(entry))).toEqual(entry);
    for (const change of [{ place: 1 }, { checksum: 1 }, { deadBlocks: 1 }])
      expect(decodeHostile(() => decodeSegmentEntry(encodeSegmentEntry({ ...entry, ...change })))).toEqual({
        code: 'corrupt',
      });
  });

  it('changed anywhere is refused, or another entry', () => {
    attack(
      encodeSegmentEntry({ blockCount: 1000, place: 2 ** 40, lengthBytes: 700, checksum: 0x89abcdef, deadBlocks: 3 }),
      decodeSegmentEntry,
      encodeSegmentEntry,
    );
  });
});
