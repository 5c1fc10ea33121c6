import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileStorage, type FileStorageOptions } from '../../src/storage/file.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { codeOf } from './contract.ts';

const MiB = 1_048_576;

function open(path: string, options: FileStorageOptions): FileStorage {
  const storage = FileStorage.open(path, options);
  onTestFinished(() => storage.close());
  return storage;
}

function systemFailure(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

describe('FileStorage.open', () => {
  it('says what is wrong with the path', () => {
    const directory = scratchDirectory();
    expect(codeOf(() => open(join(directory, 'none'), { mode: 'read' }))).toBe('not-found');
    expect(codeOf(() => open(join(directory, 'none/deeper'), { mode: 'create-exclusive' }))).toBe('not-found');
    expect(codeOf(() => open(directory, { mode: 'read' }))).toBe('io');
    expect(codeOf(() => open(directory, { mode: 'write' }))).toBe('io');
    expect(codeOf(() => open('/dev/null', { mode: 'write' }))).toBe('io');
    fs.writeFileSync(join(directory, 'there'), 'x');
    expect(codeOf(() => open(join(directory, 'there'), { mode: 'create-exclusive' }))).toBe('exists');
    expect(codeOf(() => open(join(directory, 'there/deeper'), { mode: 'read' }))).toBe('not-found');
  });

  it('does not wait at a named pipe', () => {
    const path = join(scratchDirectory(), 'pipe');
    spawnSync('mkfifo', [path]);
    expect(codeOf(() => open(path, { mode: 'read' }))).toBe('io');
    expect(codeOf(() => open(path, { mode: 'write' }))).toBe('io');
  });

  it('names path, position and cause in what it throws', () => {
    const path = join(scratchDirectory(), 'a.vsi');
    const storage = open(path, { mode: 'create-exclusive' });
    const writing = vi.spyOn(fs, 'writeSync').mockImplementation(() => {
      throw systemFailure('ENOSPC');
    });
    onTestFinished(() => writing.mockRestore());
    expect(() => storage.write(Uint8Array.of(1), 512)).toThrow(
      expect.objectContaining({
        code: 'no-space',
        path,
        hostOffset: 512,
        message: `cannot write '${path}' at byte 512: no space left on the file system`,
        hint: expect.stringContaining('free some space'),
        cause: expect.objectContaining({ code: 'ENOSPC' }),
      }),
    );
  });
});

describe('FileStorage and the system', () => {
  it.each([
    ['ENOSPC', 'no-space'],
    ['EDQUOT', 'no-space'],
    ['EFBIG', 'no-space'],
    ['EACCES', 'permission'],
    ['EROFS', 'permission'],
    ['EIO', 'io'],
    ['EWHATEVER', 'io'],
  ])('turns %s into %s', (system, code) => {
    const storage = open(join(scratchDirectory(), 'file'), { mode: 'create-exclusive' });
    for (const call of ['readSync', 'writeSync', 'ftruncateSync', 'fdatasyncSync'] as const) {
      const spy = vi.spyOn(fs, call).mockImplementation(() => {
        throw systemFailure(system);
      });
      const action = {
        readSync: () => storage.read(new Uint8Array(1), 0),
        writeSync: () => storage.write(new Uint8Array(1), 0),
        ftruncateSync: () => storage.truncate(5),
        fdatasyncSync: () => storage.sync(),
      }[call];
      expect(codeOf(action)).toBe(code);
      spy.mockRestore();
    }
  });

  it('goes on after short and interrupted reads and writes', () => {
    const storage = open(join(scratchDirectory(), 'file'), { mode: 'create-exclusive' });
    const [writeSync, readSync] = [fs.writeSync, fs.readSync] as const;
    let calls = 0;
    const interrupted = (): void => {
      calls++;
      if (calls % 3 === 0) throw systemFailure('EINTR');
    };
    vi.spyOn(fs, 'writeSync').mockImplementation(((
      fd: number,
      buffer: Uint8Array,
      from: number,
      length: number,
      at: number,
    ) => {
      interrupted();
      return writeSync(fd, buffer, from, Math.min(length, 7), at);
    }) as typeof fs.writeSync);
    vi.spyOn(fs, 'readSync').mockImplementation(((
      fd: number,
      buffer: Uint8Array,
      from: number,
      length: number,
      at: number,
    ) => {
      interrupted();
      return readSync(fd, buffer, from, Math.min(length, 5), at);
    }) as typeof fs.readSync);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    const data = Uint8Array.from({ length: 100 }, (_, index) => index);
    storage.write(data, 3);
    const back = new Uint8Array(100);
    expect(storage.read(back, 3)).toBe(100);
    expect(back).toEqual(data);
    expect(calls).toBeGreaterThan(40);
  });

  it('gives punched space back', () => {
    const path = join(scratchDirectory(), 'file');
    const storage = open(path, { mode: 'create-exclusive' });
    storage.write(Buffer.alloc(4 * MiB, 1), 0);
    storage.sync();
    const before = fs.statSync(path).blocks;
    storage.punch(MiB, 3 * MiB);
    expect(before - fs.statSync(path).blocks).toBe((2 * MiB) / 512);
    expect(fs.statSync(path).size).toBe(4 * MiB);
  });

  it('grants every lock when locking is off', () => {
    const path = join(scratchDirectory(), 'file');
    const a = open(path, { mode: 'create-exclusive', locking: 'off' });
    const b = open(path, { mode: 'write', locking: 'off' });
    expect(a.tryLock(5, 1, 'exclusive')).toBe(true);
    expect(b.tryLock(5, 1, 'exclusive')).toBe(true);
    a.unlock(5, 1);
  });
});

describe('locks and other processes', () => {
  const start = 2 ** 52;
  // Node 20 does not run TypeScript; and only from below node_modules the bundle finds the native packages.
  const bundle = join(import.meta.dirname, `../../node_modules/.cache/vsimg/lock-holder-${process.pid}.cjs`);

  beforeAll(() => {
    buildSync({
      entryPoints: [join(import.meta.dirname, 'lock-holder.ts')],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
      external: ['fs-native-extensions', 'koffi'],
    });
  });
  afterAll(() => fs.rmSync(bundle, { force: true }));

  async function holder(path: string, mode: 'shared' | 'exclusive') {
    const child = spawn(process.execPath, [bundle, path, String(start), mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const [text] = await once(child.stdout, 'data');
    return { child, said: String(text) };
  }

  it('keeps another process out, until it is killed', async () => {
    const path = join(scratchDirectory(), 'file');
    const storage = open(path, { mode: 'create-exclusive' });
    const { child, said } = await holder(path, 'exclusive');
    expect(said).toBe('held');
    expect(storage.tryLock(start, 1, 'exclusive')).toBe(false);
    expect(storage.tryLock(start, 1, 'shared')).toBe(false);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(storage.tryLock(start, 1, 'exclusive')).toBe(true);
    expect((await holder(path, 'exclusive')).said).toBe('refused');
  });

  it('shares with another process', async () => {
    const path = join(scratchDirectory(), 'file');
    const storage = open(path, { mode: 'create-exclusive' });
    expect(storage.tryLock(start, 1, 'shared')).toBe(true);
    expect((await holder(path, 'shared')).said).toBe('held');
    expect(storage.tryLock(start, 1, 'exclusive')).toBe(false);
  });
});
