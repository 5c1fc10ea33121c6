import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execPath } from 'node:process';
import { expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { workspace } from '../support/workspace.ts';

const MAIN = join(dirname(BINARY), '../dist/cli/main.cjs');
const { ok, path } = workspace();

it('ends when all is done and written, whatever the threads of Node still do, if it ran for a while', async () => {
  await ok(['create', 'a.vsi', '16M', '-q']);
  writeFileSync(
    path('late.cjs'),
    `
    // As a thread that never ends its work would.
    setInterval(() => {}, 1000);
    setTimeout(() => require(${JSON.stringify(MAIN)}).main(process.argv.slice(2)), 200);
    `,
  );
  const run = (...argv: readonly string[]) =>
    spawnSync(execPath, [path('late.cjs'), ...argv], { timeout: 60_000, maxBuffer: 2 ** 25 });
  const info = run('info', path('a.vsi'));
  expect({ status: info.status, signal: info.signal }).toEqual({ status: 0, signal: null });
  expect(String(info.stdout)).toContain('virtual size: 16 MiB');
  // Also when it said something on stderr.
  expect(run('info', path('no.vsi'))).toMatchObject({ status: 66 });
});
