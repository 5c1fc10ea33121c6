import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { CODEC } from '../../src/format/chunk-table.ts';
import type { HostRange } from '../../src/format/header.ts';
import { decompress } from '../../src/log/codec.ts';
import { type FillJob, runFillJob } from '../../src/log/fill-job.ts';
import { blake3 } from '../../src/log/hash.ts';
import { sealsOf } from '../../src/log/seal.ts';
import { closeQuietly, type Descriptor } from '../../src/storage/descriptor.ts';
import type { ByteRange } from '../../src/storage/transfer.ts';
import { noise, text } from '../support/content.ts';
import { expectBytes } from '../support/image.ts';
import { scratchDirectory } from '../support/scratch.ts';

const CHUNK = 65_536;
const MIB = 1024 * 1024;

function opened(name: string, bytes: Uint8Array): Descriptor {
  const path = join(scratchDirectory(), name);
  fs.writeFileSync(path, bytes);
  const fd = fs.openSync(path, 'r+');
  onTestFinished(() => closeQuietly(fd));
  return { fd, name: path };
}

const NONE = { codec: 'none' } as const;
const ZSTD = { codec: 'zstd', level: 2 } as const;

/** What is not zero in the ranges of `disk`, in whole blocks, and which blocks are zeros. */
function expectedOf(disk: Uint8Array, ranges: readonly ByteRange[], blockBytes: number) {
  const kept: Uint8Array[] = [];
  const zeros: boolean[] = [];
  for (const { start, end } of ranges) {
    for (let at = start; at < end; at += blockBytes) {
      const block = new Uint8Array(blockBytes);
      block.set(disk.subarray(at, Math.min(at + blockBytes, end)));
      const isZero = block.every((byte) => byte === 0);
      zeros.push(isZero);
      if (!isZero) kept.push(block);
    }
  }
  return { bytes: Buffer.concat(kept), zeros };
}

/** Noise, text and zeros in turns, ending within a block. */
function mixedDisk(): Uint8Array {
  const disk = new Uint8Array(3 * MIB + 777);
  disk.set(noise(700_000, 1), 0);
  disk.set(text(900_000, 2), 800_000);
  for (let at = 1_800_000; at < 2_600_000; at += 40_000) disk.set(noise(1000, at), at);
  disk.set(noise(777, 3), 3 * MIB);
  return disk;
}

describe.each([512, 4096, 65_536])('a fill job with blocks of %d bytes', (blockBytes) => {
  const disk = mixedDisk();
  const ranges = [
    { start: 0, end: MIB + 65_536 },
    { start: MIB + 3 * 65_536, end: disk.length },
  ];

  it.each([NONE, ZSTD])('puts what is not zero into memory ($codec)', (compression) => {
    const memory = new Uint8Array(new SharedArrayBuffer(4 * MIB));
    const job: FillJob = { kind: 'fill', source: opened('a', disk), ranges, blockBytes, compression, into: { memory } };
    const result = runFillJob(job);
    const { bytes, zeros } = expectedOf(disk, ranges, blockBytes);
    expect(result.storedBlocks * blockBytes).toBe(bytes.length);
    expect(zeros.map((_, block) => (((result.zeros[block >>> 3] as number) >>> (block & 7)) & 1) === 1)).toEqual(zeros);
    let [at, stored] = [0, 0];
    for (const seal of sealsOf(result, blockBytes)) {
      if (seal === undefined) throw new Error('no seal');
      const raw = bytes.subarray(at, at + CHUNK);
      const frame = memory.slice(stored, stored + seal.storedBytes);
      const back = seal.codec === CODEC.raw ? frame : new Uint8Array(raw.length);
      if (seal.codec === CODEC.zstd) decompress(frame, back, 0, 'few');
      expectBytes(back, raw, `chunk at ${at}`);
      expect(Buffer.compare(seal.hash, blake3(raw))).toBe(0);
      at += raw.length;
      stored += seal.storedBytes;
    }
    expect(at).toBe(bytes.length);
    if (compression.codec === 'zstd') expect(stored).toBeLessThan(at);
  });

  it('puts it into the spans of a file, and nothing elsewhere', () => {
    const { bytes } = expectedOf(disk, ranges, blockBytes);
    const before = new Uint8Array(8 * MIB).fill(0xee);
    const file = opened('b', before);
    // Spans of a chunk and a bit, and one for the rest.
    const spans: HostRange[] = [
      { start: 1000, end: 1000 + CHUNK + 100 },
      { start: 300_000, end: 300_000 + CHUNK },
      { start: MIB, end: 7 * MIB },
    ];
    const source = opened('a', disk);
    runFillJob({ kind: 'fill', source, ranges, blockBytes, compression: NONE, into: { file, spans } });
    const expected = Buffer.from(before);
    expected.set(bytes.subarray(0, CHUNK), 1000);
    expected.set(bytes.subarray(CHUNK, 2 * CHUNK), 300_000);
    // The last chunk is short where it fits behind another.
    const rest = bytes.subarray(2 * CHUNK);
    const tail = rest.length % CHUNK;
    expected.set(tail > 0 && tail <= 100 ? rest.subarray(0, -tail) : rest, MIB);
    expectBytes(fs.readFileSync(file.name), expected, 'file');
  });
});

it('a fill job reads many blocks at a time, also zeros behind data that nearly fill its buffer', () => {
  const disk = new Uint8Array(4 * MIB);
  disk.set(noise(256 * 1024 - 512, 1));
  disk.set(noise(512, 2), 2 * MIB);
  const source = opened('a', disk);
  const reads = vi.spyOn(fs, 'readSync');
  onTestFinished(() => reads.mockRestore());
  const memory = new Uint8Array(4 * MIB);
  const ranges = [{ start: 0, end: disk.length }];
  const result = runFillJob({ kind: 'fill', source, ranges, blockBytes: 512, compression: NONE, into: { memory } });
  expect(result.storedBlocks).toBe(512);
  expect(reads.mock.calls.length).toBeLessThanOrEqual(32);
});

it('a fill job fails when its source ends early, or nothing has room', () => {
  const disk = noise(3 * CHUNK, 1);
  const source = opened('a', disk);
  const base = { kind: 'fill', source, blockBytes: 4096, compression: NONE } as const;
  const memory = new Uint8Array(MIB);
  expect(() => runFillJob({ ...base, ranges: [{ start: 0, end: 4 * CHUNK }], into: { memory } })).toThrow(
    expect.objectContaining({ code: 'io', path: source.name }),
  );
  const file = opened('b', new Uint8Array(10));
  const spans = [{ start: 0, end: 2 * CHUNK }];
  expect(() => runFillJob({ ...base, ranges: [{ start: 0, end: 3 * CHUNK }], into: { file, spans } })).toThrow(
    expect.objectContaining({ code: 'internal' }),
  );
});
