import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checksum } from '../../src/format/checksum.ts';
import { type Chunk, CODEC } from '../../src/format/chunk-table.ts';
import { type FetchJob, type Load, runFetchJob } from '../../src/log/fetch-job.ts';
import { Loads } from '../../src/log/loads.ts';
import type { ChunkPart } from '../../src/log/reader.ts';
import { sealChunk } from '../../src/log/seal.ts';
import { closeQuietly, type Descriptor } from '../../src/storage/descriptor.ts';
import { noise, text } from '../support/content.ts';
import { expectBytes } from '../support/image.ts';
import { scratchDirectory } from '../support/scratch.ts';

const BLOCK = 4096;
const CHUNK = 65_536;
const PLACE = 1000;

/** Three chunks behind each other in a container: packed, raw with a gap, packed. */
function chunksIn(): { readonly container: Buffer; readonly chunks: Chunk[]; readonly raws: Uint8Array[] } {
  const present = Uint8Array.of(0b0111_1111, 0xff);
  const raws = [text(CHUNK, 1), noise(CHUNK - BLOCK, 2), text(CHUNK, 3)];
  const options = { blockBytes: BLOCK, compression: { codec: 'zstd', level: 2 }, amount: 'few' } as const;
  const parts: Uint8Array[] = [new Uint8Array(PLACE)];
  let place = PLACE;
  const chunks = raws.map((raw, index) => {
    const { chunk, stored } = sealChunk(raw, 16, index === 1 ? present : undefined, options);
    parts.push(stored);
    place += stored.length;
    return { ...chunk, place: place - stored.length };
  });
  return { container: Buffer.concat(parts), chunks, raws };
}

function part(chunk: Chunk | undefined, first: number, count: number): ChunkPart {
  if (chunk === undefined) throw new Error('no chunk');
  const table = { firstLog: 0, blockCount: 0, bornVersion: 0, birth: 0, runs: [], lost: [], chunks: [] };
  return { table, chunkIndex: 0, chunk, first, count };
}

function opened(name: string, bytes: Uint8Array): Descriptor {
  const path = join(scratchDirectory(), name);
  fs.writeFileSync(path, bytes);
  const fd = fs.openSync(path, 'r+');
  onTestFinished(() => closeQuietly(fd));
  return { fd, name: path };
}

/** The end of the first chunk, the start of it, the raw one behind its gap, and all of the last. */
function someLoads(chunks: readonly Chunk[]): Loads {
  const loads = new Loads(BLOCK);
  loads.add(part(chunks[0], 10, 6), 0);
  loads.add(part(chunks[0], 0, 2), 6 * BLOCK);
  loads.add(part(chunks[1], 8, 8), 8 * BLOCK);
  loads.add(part(chunks[1], 0, 7), 20 * BLOCK);
  loads.add(part(chunks[2], 0, 16), 40 * BLOCK);
  return loads;
}

function expectedFor(raws: readonly Uint8Array[], fill: number): Buffer {
  const [first, second, third] = raws as [Uint8Array, Uint8Array, Uint8Array];
  const expected = Buffer.alloc(60 * BLOCK, fill);
  expected.set(first.subarray(10 * BLOCK), 0);
  expected.set(first.subarray(0, 2 * BLOCK), 6 * BLOCK);
  expected.set(second.subarray(7 * BLOCK), 8 * BLOCK);
  expected.set(second.subarray(0, 7 * BLOCK), 20 * BLOCK);
  expected.set(third, 40 * BLOCK);
  return expected;
}

describe('loads', () => {
  it('fetch a compressed chunk once, whatever is wanted of it, and of others only what is wanted', () => {
    const { chunks } = chunksIn();
    const { list } = someLoads(chunks);
    expect(list).toMatchObject([
      {
        codec: CODEC.zstd,
        place: PLACE,
        rawBytes: CHUNK,
        takes: [
          { from: 10 * BLOCK, to: CHUNK, at: 0 },
          { from: 0, to: 2 * BLOCK, at: 6 * BLOCK },
        ],
      },
      { codec: CODEC.raw, place: (chunks[1] as Chunk).place + 7 * BLOCK, at: 8 * BLOCK },
      { codec: CODEC.raw, place: (chunks[1] as Chunk).place, at: 20 * BLOCK },
      { codec: CODEC.zstd, takes: [{ from: 0, to: CHUNK, at: 40 * BLOCK }] },
    ]);
    // What goes to a thread takes no memory along that it is only a part of.
    for (const load of list)
      if (load.codec === CODEC.raw) expect(load.checksums.buffer.byteLength).toBe(load.checksums.byteLength);
  });
});

describe('a fetch job', () => {
  const job = (container: Descriptor, loads: readonly Load[], into: FetchJob['into']): FetchJob => ({
    kind: 'fetch',
    container,
    blockBytes: BLOCK,
    loads,
    into,
  });

  it('fills memory', () => {
    const { container, chunks, raws } = chunksIn();
    const memory = new Uint8Array(new SharedArrayBuffer(60 * BLOCK)).fill(0xee);
    const result = runFetchJob(job(opened('a', container), someLoads(chunks).list, { memory }));
    expect(result).toEqual({ isWhole: true });
    expectBytes(memory, expectedFor(raws, 0xee));
  });

  it('writes a file, and nothing between', () => {
    const { container, chunks, raws } = chunksIn();
    const file = opened('b', new Uint8Array(60 * BLOCK).fill(0xee));
    const result = runFetchJob(job(opened('a', container), someLoads(chunks).list, { file }));
    expect(result).toEqual({ isWhole: true });
    expectBytes(fs.readFileSync(file.name), expectedFor(raws, 0xee));
  });

  it.each(['memory', 'file'])('notices each wrong byte of what it needs (%s)', (kind) => {
    const { container, chunks } = chunksIn();
    const into =
      kind === 'memory' ? { memory: new Uint8Array(60 * BLOCK) } : { file: opened('b', new Uint8Array(60 * BLOCK)) };
    const [first, second, third] = chunks as [Chunk, Chunk, Chunk];
    for (const { place, storedBytes } of [first, second, third]) {
      for (const at of [place, place + Math.floor(storedBytes / 2), place + storedBytes - 1]) {
        const damaged = Buffer.from(container);
        damaged[at] = (damaged[at] as number) ^ 1;
        const result = runFetchJob(job(opened('a', damaged), someLoads(chunks).list, into));
        expect({ at, ...result }).toEqual({ at, isWhole: false });
      }
    }
    const cut = container.subarray(0, container.length - 1);
    expect(runFetchJob(job(opened('a', cut), someLoads(chunks).list, into))).toEqual({ isWhole: false });
  });

  it('refuses a frame whose checksum is right and which is none, or not as long as it says', () => {
    const { container, chunks } = chunksIn();
    const [first] = chunks as [Chunk];
    const memory = new Uint8Array(60 * BLOCK);
    const junk = Buffer.from(container).fill(7, first.place, first.place + first.storedBytes);
    const sum = checksum(junk.subarray(first.place, first.place + first.storedBytes));
    const [load] = someLoads(chunks).list as [Load & { codec: typeof CODEC.zstd }];
    expect(runFetchJob(job(opened('a', junk), [{ ...load, checksum: sum }], { memory }))).toEqual({ isWhole: false });
    const longer = { ...load, rawBytes: CHUNK + BLOCK };
    expect(runFetchJob(job(opened('b', container), [longer], { memory }))).toEqual({ isWhole: false });
  });

  it('fails when its file can not be written', () => {
    const { container, chunks } = chunksIn();
    const path = join(scratchDirectory(), 'read-only');
    fs.writeFileSync(path, '');
    const file = { fd: fs.openSync(path, 'r'), name: path };
    onTestFinished(() => closeQuietly(file.fd));
    expect(() => runFetchJob(job(opened('a', container), someLoads(chunks).list, { file }))).toThrow(
      expect.objectContaining({ path }),
    );
  });
});
