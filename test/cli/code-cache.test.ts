import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { workspace } from '../support/workspace.ts';

const root = join(import.meta.dirname, '../..');

/** A copy of the built program, which keeps its compiled code beside itself. */
describe('compiled code', () => {
  const { ok, path } = workspace();
  const installed = path('installed/dist/cli');

  beforeAll(async () => {
    mkdirSync(path('installed/dist'), { recursive: true });
    cpSync(join(root, 'bin'), path('installed/bin'), { recursive: true });
    cpSync(join(root, 'dist/cli'), installed, { recursive: true });
    symlinkSync(join(root, 'node_modules'), path('installed/node_modules'));
    await ok(['create', 'a.vsi', '1M', '-q']);
  });

  beforeEach(() => {
    for (const name of readdirSync(installed))
      if (name.includes('.cache')) rmSync(join(installed, name), { recursive: true });
  });

  const caches = (): string[] => readdirSync(installed).filter((name) => name.includes('.cache'));

  function info(options: { readonly NODE_OPTIONS?: string } = {}, argv = ['info', 'a.vsi']): Promise<unknown> {
    const { NODE_OPTIONS: _flags, ...env } = process.env;
    const child = spawn(process.execPath, [path('installed/bin/vsimg.js'), ...argv], {
      cwd: path('.'),
      env: { ...env, ...options },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = { stdout: '', stderr: '' };
    child.stdout.on('data', (part) => {
      texts.stdout += part;
    });
    child.stderr.on('data', (part) => {
      texts.stderr += part;
    });
    return new Promise((resolve) => child.on('close', (status) => resolve({ status, ...texts })));
  }

  function flip(code: Buffer, at: number): Buffer {
    return code.fill((code[at] ?? 0) ^ 1, at, at + 1);
  }

  const good = { status: 0, stderr: '', stdout: expect.stringMatching(/^image: +a\.vsi\n/) };

  it('is kept by the first run of a command and used by the next', async () => {
    expect(await info()).toEqual(good);
    const [name = '', ...more] = caches();
    expect(more).toEqual([]);
    expect(name).toMatch(new RegExp(`^program-[0-9a-f]{16}-info-${process.version}-${process.arch}\\.cache$`));
    const code = readFileSync(join(installed, name));
    expect(await info()).toEqual(good);
    expect(caches()).toEqual([name]);
    expect(Buffer.compare(readFileSync(join(installed, name)), code)).toBe(0);
  });

  it.each<readonly [string, (code: Buffer) => Uint8Array]>([
    ['has a wrong byte', (code) => flip(code, 1000)],
    ['has a wrong byte in its second half', (code) => flip(code, code.length - 1000)],
    ['was cut', (code) => code.subarray(0, code.length - 4096)],
    ['is empty', () => new Uint8Array(0)],
    ['holds zeros', (code) => code.fill(0)],
  ])('is made anew when it %s', async (_what, damage) => {
    await info();
    const cache = join(installed, caches()[0] ?? '');
    const length = readFileSync(cache).length;
    writeFileSync(cache, damage(readFileSync(cache)));
    expect(await info()).toEqual(good);
    const code = readFileSync(cache);
    expect(code.subarray(0, code.length / 2).equals(code.subarray(code.length / 2))).toBe(true);
    expect(code.length).toBeGreaterThan(length / 2);
    expect(await info()).toEqual(good);
  });

  it('is not kept where it can not be, and nothing is said about it', async () => {
    await info();
    const [name = ''] = caches();
    rmSync(join(installed, name));
    mkdirSync(join(installed, name));
    expect(await info()).toEqual(good);
    expect(caches()).toEqual([name]);
  });

  it('is not kept by runs that would spoil it: with flags of their own, with help, with an error', async () => {
    expect(await info({ NODE_OPTIONS: '--max-old-space-size=200' })).toEqual(good);
    expect(await info({}, ['info', '--help'])).toMatchObject({ status: 0 });
    expect(await info({}, ['info', 'nothing.vsi'])).toMatchObject({ status: 66 });
    expect(await info({}, ['../../info', 'a.vsi'])).toMatchObject({ status: 64 });
    expect(caches()).toEqual([]);
  });

  it('is made by several at a time', async () => {
    const results = await Promise.all(Array.from({ length: 6 }, () => info()));
    expect(results).toEqual(results.map(() => good));
    expect(caches()).toHaveLength(1);
  });
});
