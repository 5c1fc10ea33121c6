import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execPath } from 'node:process';
import { expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { workspace } from '../support/workspace.ts';

const MAIN = join(dirname(BINARY), '../dist/cli/main.cjs');
const { ok, path } = workspace();

/** Ends with a program that would go on for ever, after the time from which on it ends at once. */
const LATE = `
  setInterval(() => {}, 1000);
  setTimeout(() => require(${JSON.stringify(MAIN)}).main(process.argv.slice(2)), 200);
`;

it.each(['True', 'False'])('leaves open files that others have too as they were (blocking: %s)', async (blocking) => {
  await ok(['create', 'b.vsi', '1M', '-q', '--force']);
  writeFileSync(path('late.cjs'), LATE);
  const script = `
import os, subprocess, sys
ends = [os.pipe() for _ in range(3)]
for r, w in ends:
    os.set_blocking(r, ${blocking}), os.set_blocking(w, ${blocking})
given = dict(stdin=ends[0][0], stdout=ends[1][1], stderr=ends[2][1])
for image in sys.argv[3:]:
    done = subprocess.run([sys.argv[1], sys.argv[2], 'info', image], **given)
    print(done.returncode, [os.get_blocking(fd) for fd in given.values()])
`;
  const argv = ['-c', script, execPath, path('late.cjs'), path('b.vsi'), path('no.vsi')];
  const { status, stdout } = spawnSync('python3', argv, { timeout: 60_000 });
  const all = `[${blocking}, ${blocking}, ${blocking}]`;
  expect({ status, stdout: String(stdout) }).toEqual({ status: 0, stdout: `0 ${all}\n66 ${all}\n` });
});

it('ends when all is done and written, whatever the threads of Node still do, if it ran for a while', async () => {
  await ok(['create', 'a.vsi', '16M', '-q']);
  writeFileSync(path('late.cjs'), LATE);
  const run = (...argv: readonly string[]) =>
    spawnSync(execPath, [path('late.cjs'), ...argv], { timeout: 60_000, maxBuffer: 2 ** 25 });
  const info = run('info', path('a.vsi'));
  expect({ status: info.status, signal: info.signal }).toEqual({ status: 0, signal: null });
  expect(String(info.stdout)).toContain('virtual size: 16 MiB');
  // Also when it said something on stderr.
  expect(run('info', path('no.vsi'))).toMatchObject({ status: 66 });
});
