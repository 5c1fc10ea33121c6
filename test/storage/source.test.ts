import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { openFileSource, streamSource } from '../../src/storage/source.ts';
import type { DataSource } from '../../src/storage/transfer.ts';
import { SeededRandom } from '../support/random.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { codeOf } from './contract.ts';
import { withLoopDevice } from './loop-device.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

interface Gathered {
  readonly bytes: Buffer;
  readonly shape: string[];
}

/** All bytes of a source, and its pieces as text; checks that they follow each other. */
async function gather(source: DataSource, maxPieceBytes = MiB): Promise<Gathered> {
  onTestFinished(() => source.close());
  const parts: Buffer[] = [];
  const shape: string[] = [];
  let at = 0;
  for await (const piece of source.pieces(maxPieceBytes)) {
    expect(piece.start).toBe(at);
    const end = piece.kind === 'hole' ? piece.end : piece.start + piece.bytes.length;
    expect(end).toBeGreaterThan(at);
    if (piece.kind === 'data') expect(piece.bytes.length).toBeLessThanOrEqual(maxPieceBytes);
    parts.push(piece.kind === 'hole' ? Buffer.alloc(end - at) : Buffer.from(piece.bytes));
    shape.push(`${piece.kind} ${at}-${end}`);
    at = end;
  }
  return { bytes: Buffer.concat(parts), shape };
}

async function failure(promise: Promise<unknown>): Promise<VsimgError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VsimgError);
  return error as VsimgError;
}

/** A file with `runs` of random bytes and holes elsewhere. */
function sparseFile(sizeBytes: number, runs: readonly (readonly [start: number, length: number])[]): string {
  const path = join(scratchDirectory(), 'raw');
  const fd = fs.openSync(path, 'w');
  fs.ftruncateSync(fd, sizeBytes);
  const random = new SeededRandom(1);
  for (const [start, length] of runs)
    fs.writeSync(fd, Buffer.from(random.bytes(length)).fill(1, 0, 1), 0, length, start);
  fs.closeSync(fd);
  return path;
}

describe('openFileSource', () => {
  it('gives data in aligned pieces and skips holes', async () => {
    const path = sparseFile(10 * MiB, [
      [100 * KiB, 200 * KiB],
      [5 * MiB, 2 * MiB + 5],
    ]);
    const source = openFileSource(path);
    expect(source.sizeBytes).toBe(10 * MiB);
    const { bytes, shape } = await gather(source);
    expect(bytes.equals(fs.readFileSync(path))).toBe(true);
    expect(shape).toEqual([
      'hole 0-65536',
      'data 65536-327680',
      'hole 327680-5242880',
      'data 5242880-6291456',
      'data 6291456-7340032',
      'data 7340032-7405568',
      'hole 7405568-10485760',
    ]);
  });

  it('finds the same bytes when it is not told of holes', async () => {
    const path = sparseFile(5 * MiB + 77, [
      [0, 10],
      [2 * MiB - 1, 2],
    ]);
    const { bytes, shape } = await gather(openFileSource(path, { holes: 'read' }));
    expect(bytes.equals(fs.readFileSync(path))).toBe(true);
    expect(shape).toEqual([
      'data 0-1048576',
      'data 1048576-2097152',
      'data 2097152-3145728',
      'hole 3145728-4194304',
      'hole 4194304-5242880',
      'hole 5242880-5242957',
    ]);
  });

  it.each(['ask', 'read'] as const)('gives what the file holds, whatever its layout (%s)', async (holes) => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed);
      const runs = Array.from(
        { length: random.below(12) },
        () => [random.below(4 * MiB), 1 + random.below(random.below(2) === 0 ? 5000 : 400_000)] as const,
      );
      const path = sparseFile(random.below(5 * MiB), runs);
      const maxPieceBytes = [4096, 65_536, MiB, 12_345][random.below(4)] ?? MiB;
      const { bytes, shape } = await gather(openFileSource(path, { holes }), maxPieceBytes);
      expect(bytes.equals(fs.readFileSync(path)), `seed ${seed}`).toBe(true);
      if (maxPieceBytes % 65_536 !== 0) continue;
      for (const line of shape) expect(Number(/\d+/.exec(line)?.[0]) % 65_536, `seed ${seed}: ${line}`).toBe(0);
    }
  });

  it('reads no hole of a file of 8 TiB', async () => {
    const path = sparseFile(8 * 2 ** 40, [[2 ** 42, 4096]]);
    const source = openFileSource(path);
    onTestFinished(() => source.close());
    const shape: string[] = [];
    for await (const piece of source.pieces(MiB)) shape.push(piece.kind);
    expect(shape).toEqual(['hole', 'data', 'hole']);
  });

  it('reads an empty file', async () => {
    expect(await gather(openFileSource(sparseFile(0, [])))).toEqual({ bytes: Buffer.alloc(0), shape: [] });
  });

  it.each([
    ['in data', 3 * MiB, [[0, 3 * MiB]], MiB + 5],
    ['in a hole', 64 * MiB, [[0, MiB]], 2 * MiB],
    ['at the very end', 2 * MiB, [[0, 2 * MiB]], 2 * MiB - 1],
  ] as const)('fails when the file becomes shorter %s', async (_where, size, runs, left) => {
    const path = sparseFile(size, runs);
    const source = openFileSource(path);
    onTestFinished(() => source.close());
    const reading = (async () => {
      for await (const piece of source.pieces(MiB)) {
        if (piece.start === 0) fs.truncateSync(path, left);
      }
    })();
    const error = await failure(reading);
    expect(error.code).toBe('io');
    expect(error.message).toContain(`became shorter while it was read: ${left} of ${size}`);
  });

  it('says what is wrong with the path', () => {
    const directory = scratchDirectory();
    expect(codeOf(() => openFileSource(join(directory, 'none')))).toBe('not-found');
    expect(codeOf(() => openFileSource(directory))).toBe('io');
  });

  it('reads a named pipe from front to back', async () => {
    const path = join(scratchDirectory(), 'pipe');
    spawnSync('mkfifo', [path]);
    spawn('sh', ['-c', `head -c 3000000 /dev/zero | tr '\\0' x > '${path}'`]);
    const source = openFileSource(path);
    expect(source.sizeBytes).toBeUndefined();
    const { bytes, shape } = await gather(source);
    expect(bytes.equals(Buffer.alloc(3_000_000, 'x'))).toBe(true);
    expect(shape).toEqual(['data 0-1048576', 'data 1048576-2097152', 'data 2097152-3000000']);
  });

  it('lets timers run between pieces', async () => {
    const path = sparseFile(2 * MiB, [[0, 1]]);
    const source = openFileSource(path, { holes: 'read' });
    onTestFinished(() => source.close());
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    onTestFinished(() => clearInterval(timer));
    for await (const _piece of source.pieces(65_536)) {
      const until = performance.now() + 8;
      while (performance.now() < until);
    }
    expect(ticks).toBeGreaterThan(1);
  });

  withLoopDevice('reads a block device, whose length fstat does not tell', async (device, backingPath) => {
    fs.writeFileSync(backingPath, new SeededRandom(3).bytes(3 * MiB));
    const source = openFileSource(device.attach());
    expect(source.sizeBytes).toBe(3 * MiB);
    expect((await gather(source)).bytes.equals(fs.readFileSync(backingPath))).toBe(true);
  });
});

describe('streamSource', () => {
  it('fills pieces whatever the chunks are', async () => {
    const random = new SeededRandom(7);
    const data = Buffer.from(random.bytes(300_000));
    const chunks: Buffer[] = [];
    for (let at = 0; at < data.length; ) {
      const length = random.below(20_000);
      chunks.push(data.subarray(at, at + length));
      at += length;
    }
    const source = streamSource(Readable.from(chunks));
    expect(source.sizeBytes).toBeUndefined();
    const { bytes, shape } = await gather(source, 131_072);
    expect(bytes.equals(data)).toBe(true);
    expect(shape).toEqual(['data 0-131072', 'data 131072-262144', 'data 262144-300000']);
  });

  it('gives pieces of zeros as holes', async () => {
    const { shape } = await gather(streamSource(Readable.from([Buffer.alloc(150_000), Buffer.from('x')])), 65_536);
    expect(shape).toEqual(['hole 0-65536', 'hole 65536-131072', 'data 131072-150001']);
  });

  it('ends with nothing when nothing comes', async () => {
    expect((await gather(streamSource(Readable.from([])))).shape).toEqual([]);
  });

  it('fails when the stream does', async () => {
    const stream = Readable.from(
      (async function* () {
        yield Buffer.alloc(10, 1);
        throw Object.assign(new Error('EIO'), { code: 'EIO' });
      })(),
    );
    const error = await failure(gather(streamSource(stream, 'the pipe')));
    expect(error.code).toBe('io');
    expect(error.message).toBe('cannot read the pipe at byte 10: input/output error');
  });

  it('refuses text', async () => {
    expect((await failure(gather(streamSource(Readable.from(['text']))))).code).toBe('internal');
  });
});
