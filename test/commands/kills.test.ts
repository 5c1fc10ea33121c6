import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { killCommands } from '../support/kills.ts';
import { scratchDirectory } from '../support/scratch.ts';

const MIB = 1024 * 1024;
const seed = Number(process.env.VSIMG_TEST_SEED ?? Date.now() % 1e9);

function killing(binary: string, kills: number) {
  const directory = scratchDirectory();
  const lines: string[] = [];
  return killCommands({
    directory: join(directory, 'image'),
    binary,
    kills,
    seed,
    diskBytes: MIB + 4321,
    log: (line) => lines.push(line),
  });
}

it(`a killed command leaves the state before or the state after it (seed ${seed})`, async () => {
  const { losses, kills } = await killing(BINARY, 6);
  expect(losses).toEqual([]);
  expect([...kills.values()].reduce((sum, count) => sum + count, 0)).toBe(6);
}, 60_000);

it('a program that does nothing, or too much, is noticed', async () => {
  const binary = join(scratchDirectory(), 'other.mjs');
  writeFileSync(
    binary,
    `import { spawnSync } from 'node:child_process';
     const argv = process.argv.slice(2);
     if (argv[0] === 'tag') spawnSync(process.execPath, [${JSON.stringify(BINARY)}, 'commit', 'disk.vsi', '-m', 'x', '--allow-empty']);
     setTimeout(() => {}, 100);`,
  );
  const { losses } = await killing(binary, 1);
  expect(losses.join('\n')).toContain('is neither');
}, 60_000);
