import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { isBrokenPipe } from '../../src/storage/system-error.ts';
import { openFileTarget, streamTarget } from '../../src/storage/target.ts';
import type { DataTarget } from '../../src/storage/transfer.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { codeOf } from './contract.ts';
import { withLoopDevice } from './loop-device.ts';

const MiB = 1_048_576;

/** Writes a pattern with holes at the beginning, inside and at the end; reuses its buffer as an engine does. */
async function fill(target: DataTarget): Promise<Buffer> {
  const expected = Buffer.alloc(5 * MiB);
  const buffer = Buffer.alloc(100_000);
  await target.hole(0, MiB);
  for (const [start, value] of [
    [MiB, 1],
    [MiB + 100_000, 2],
    [3 * MiB + 1000, 3],
  ] as const) {
    if (value === 3) await target.hole(MiB + 200_000, start);
    await target.data(start, buffer.fill(value));
    expected.fill(value, start, start + buffer.length);
    buffer.fill(255);
  }
  await target.finish(expected.length);
  return expected;
}

async function failure(promise: Promise<unknown>): Promise<VsimgError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(VsimgError);
  return error as VsimgError;
}

describe('openFileTarget', () => {
  it('makes a sparse file that appears when it is finished', async () => {
    const directory = scratchDirectory();
    const path = join(directory, 'raw');
    const target = openFileTarget(path);
    expect(fs.existsSync(path)).toBe(false);
    const expected = await fill(target);
    target.abort();
    expect(fs.readdirSync(directory)).toEqual(['raw']);
    expect(fs.readFileSync(path).equals(expected)).toBe(true);
    expect(fs.statSync(path).blocks * 512).toBeLessThan(MiB);
  });

  it('leaves nothing when it is aborted', async () => {
    const directory = scratchDirectory();
    const target = openFileTarget(join(directory, 'raw'));
    await target.data(0, Buffer.from('x'));
    target.abort();
    target.abort();
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  it('replaces a file only by force', async () => {
    const path = join(scratchDirectory(), 'raw');
    fs.writeFileSync(path, 'old');
    expect(codeOf(() => openFileTarget(path))).toBe('exists');
    const target = openFileTarget(path, { force: true });
    expect(fs.readFileSync(path, 'latin1')).toBe('old');
    const expected = await fill(target);
    expect(fs.readFileSync(path).equals(expected)).toBe(true);
  });

  it('says what is wrong with the path', () => {
    const directory = scratchDirectory();
    expect(codeOf(() => openFileTarget(directory, { force: true }))).toBe('exists');
    expect(codeOf(() => openFileTarget(join(directory, 'none/raw')))).toBe('not-found');
  });

  it('writes to a named pipe from front to back', async () => {
    const directory = scratchDirectory();
    spawnSync('mkfifo', [join(directory, 'pipe')]);
    const reader = spawn('sh', ['-c', 'cat pipe > copy'], { cwd: directory });
    const expected = await fill(openFileTarget(join(directory, 'pipe')));
    await once(reader, 'close');
    expect(fs.readFileSync(join(directory, 'copy')).equals(expected)).toBe(true);
  });

  it('writes to /dev/null', async () => {
    await fill(openFileTarget('/dev/null'));
    expect(fs.statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('passes on that a device is full', async () => {
    const error = await failure(fill(openFileTarget('/dev/full')));
    expect(error.code).toBe('no-space');
  });

  withLoopDevice('overwrites a block device with zeros for holes, and leaves the rest', async (device, backingPath) => {
    fs.writeFileSync(backingPath, Buffer.alloc(6 * MiB, 'o'));
    const path = device.attach();
    const expected = await fill(openFileTarget(path, { sizeBytes: 5 * MiB }));
    const found = fs.readFileSync(path);
    expect(found.subarray(0, 5 * MiB).equals(expected)).toBe(true);
    expect(found.subarray(5 * MiB).equals(Buffer.alloc(MiB, 'o'))).toBe(true);
  });

  withLoopDevice('waits for the disk unless told not to', async (device, backingPath) => {
    fs.writeFileSync(backingPath, Buffer.alloc(6 * MiB));
    for (const path of [device.attach(), join(scratchDirectory(), 'file')]) {
      for (const sync of ['on', 'off'] as const) {
        const waiting = [vi.spyOn(fs, 'fdatasyncSync'), vi.spyOn(fs, 'fsyncSync')];
        const expected = await fill(openFileTarget(path, { sync, force: true }));
        const count = waiting.reduce((total, spy) => total + spy.mock.calls.length, 0);
        for (const spy of waiting) spy.mockRestore();
        if (sync === 'on') expect(count).toBeGreaterThan(0);
        else expect(count).toBe(0);
        expect(fs.readFileSync(path).subarray(0, expected.length).equals(expected)).toBe(true);
      }
    }
  });

  withLoopDevice('refuses a device that is too small before it writes', async (device, backingPath) => {
    fs.writeFileSync(backingPath, Buffer.alloc(MiB, 'o'));
    const path = device.attach();
    expect(codeOf(() => openFileTarget(path, { sizeBytes: MiB + 1 }))).toBe('no-space');
    const target = openFileTarget(path);
    expect((await failure(target.data(0, Buffer.alloc(MiB + 1)))).code).toBe('no-space');
    target.abort();
    expect(fs.readFileSync(path).equals(Buffer.alloc(MiB, 'o'))).toBe(true);
  });

  withLoopDevice('refuses a device that is in use', async (device, backingPath) => {
    fs.writeFileSync(backingPath, Buffer.alloc(MiB));
    const path = device.attach();
    const first = openFileTarget(path);
    expect(codeOf(() => openFileTarget(path))).toBe('locked');
    first.abort();
  });
});

describe('streamTarget', () => {
  it('writes holes as zeros and paces the caller', async () => {
    const parts: Buffer[] = [];
    let inFlight = 0;
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        expect(++inFlight).toBe(1);
        setImmediate(() => {
          inFlight--;
          parts.push(Buffer.from(chunk));
          done();
        });
      },
    });
    const expected = await fill(streamTarget(stream));
    expect(Buffer.concat(parts).equals(expected)).toBe(true);
    expect(stream.writableEnded).toBe(false);
  });

  it('cannot go back', async () => {
    const target = streamTarget(new Writable({ write: (_chunk, _encoding, done) => done() }));
    await target.data(10, Buffer.from('x'));
    expect((await failure(target.data(5, Buffer.from('x')))).code).toBe('internal');
  });

  it('tells when the reader went away, at every later call too', async () => {
    const child = spawn('head', ['-c', '10'], { stdio: ['pipe', 'ignore', 'inherit'] });
    onTestFinished(() => {
      child.kill();
    });
    const target = streamTarget(child.stdin);
    const error = await failure(
      (async () => {
        for (let start = 0; ; start += MiB) await target.data(start, Buffer.alloc(MiB, 1));
      })(),
    );
    expect(error.code).toBe('io');
    expect(isBrokenPipe(error)).toBe(true);
    expect(isBrokenPipe(await failure(target.finish(2 ** 40)))).toBe(true);
    expect(isBrokenPipe(new VsimgError('io', 'something else'))).toBe(false);
  });
});
