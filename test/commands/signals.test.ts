import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { env } from 'node:process';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { openImageFile } from '../../src/image/file.ts';
import { BINARY } from '../support/cli.ts';
import { SeededRandom } from '../support/random.ts';
import { stateOf } from '../support/script.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const ROUNDS = Number(env['VSIMG_SIGNAL_ROUNDS'] ?? 2);
const SEED = Number(env['VSIMG_SIGNAL_SEED'] ?? 1);

/** Everything a command does may be cut short by a signal; the real program is told to stop at random moments. */
describe('a command that is told to stop at a random moment', () => {
  const { ok, path, directory } = workspace();

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(24 * MIB, 1));
    writeFileSync(path('two.raw'), noise(24 * MIB, 2));
    await ok(['import', 'one.raw', 'fresh.vsi', '--tag', 'one', '-q']);
    await ok(['import', 'two.raw', 'fresh.vsi', '-q']);
    await ok(['import', 'one.raw', 'fresh.vsi', '-q']);
    await ok(['delete', 'fresh.vsi', '2', '-q']);
  });

  async function state(name: string): Promise<string> {
    const image = await openImageFile(path(name), { mode: 'read-long' });
    try {
      return await stateOf(image);
    } finally {
      image.close();
    }
  }

  async function run(argv: readonly string[], signal?: 'SIGHUP' | 'SIGINT' | 'SIGTERM', delayMilliseconds = 0) {
    const child = spawn(process.execPath, [BINARY, ...argv], {
      cwd: directory,
      env: { ...process.env, SOURCE_DATE_EPOCH: '1700000000' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    const closed = once(child, 'close');
    if (signal !== undefined) {
      await setTimeout(delayMilliseconds);
      child.kill(signal);
    }
    const [status, killedBy] = await closed;
    return { status, killedBy, stderr };
  }

  it.each([
    ['import', ['import', 'two.raw', 'a.vsi', '--tag', 'new', '-q']],
    ['a first import', ['import', 'two.raw', 'new.vsi', '-q']],
    ['gc', ['gc', 'a.vsi', '-q']],
    ['export', ['export', 'a.vsi@one', 'out.raw', '-q']],
  ])(
    '%s leaves the image whole and no other file',
    async (what, argv) => {
      const random = new SeededRandom(SEED);
      const names = () => readdirSync(directory).sort();
      const cleanUp = () => {
        for (const name of ['new.vsi', 'out.raw']) rmSync(path(name), { force: true });
        copyFileSync(path('fresh.vsi'), path('a.vsi'));
      };
      cleanUp();
      const before = await state('a.vsi');
      const filesBefore = names();
      const started = performance.now();
      expect(await run(argv)).toEqual({ status: 0, killedBy: null, stderr: '' });
      const duration = performance.now() - started;
      const after = await state('a.vsi');
      const filesAfter = names();
      for (let round = 0; round < ROUNDS; round++) {
        for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
          cleanUp();
          const delay = random.next() * duration;
          const at = `seed ${SEED}, round ${round}: ${what}, ${signal} after ${delay} ms`;
          const { status, killedBy, stderr } = await run(argv, signal, delay);
          // Before it has begun to work, the program dies without a word; and it may be done already.
          if (status !== 0) {
            expect({ killedBy }, at).toEqual({ killedBy: signal });
            expect(['', `vsimg: stopped by ${signal}\n`], at).toContain(stderr);
          }
          expect(status === 0 ? [filesAfter] : [filesBefore, filesAfter], at).toContainEqual(names());
          expect(status === 0 ? [after] : [before, after], at).toContain(await state('a.vsi'));
          const written = names().find((name) => name === 'out.raw');
          if (written !== undefined)
            expect(readFileSync(path(written)).equals(readFileSync(path('one.raw'))), at).toBe(true);
          for (const image of names().filter((name) => name === 'a.vsi' || name === 'new.vsi'))
            await ok(['check', image, '--data', '-q']);
        }
      }
    },
    120_000,
  );
});
