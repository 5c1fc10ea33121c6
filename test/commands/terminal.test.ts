import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { workspace } from '../support/workspace.ts';

const { ok, directory } = workspace();

/** The built program with a terminal as stdout and stderr, which script(1) makes. */
function onTerminal(command: string): { status: number; text: string } {
  const line = `'${process.execPath}' '${BINARY}' ${command}`;
  const { NO_COLOR: _, ...env } = process.env;
  const result = spawnSync('script', ['-qec', line, '/dev/null'], {
    cwd: directory,
    env: { ...env, TERM: 'xterm' },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  return { status: result.status ?? -1, text: result.stdout };
}

beforeAll(async () => {
  await ok(['create', 'a.vsi', '1M', '-q']);
  await ok(['commit', 'a.vsi', '-m', 'first', '--tag', 'v1', '-q']);
});

describe('on a terminal', () => {
  it.each([
    ['log a.vsi', /first/],
    ['log a.vsi --oneline --graph', /first/],
    ['check a.vsi', /No errors were found/],
    ['check a.vsi --data', /No errors were found/],
    ['tag a.vsi', /v1/],
    ['branch a.vsi', /main/],
    ['info a.vsi', /a\.vsi/],
    ['diff a.vsi 1 1', /^$/],
    ['map a.vsi', /^1 .*·+.* \(v1\) first/],
    ['blame a.vsi', /^$/],
    ['gc a.vsi -p', /nothing to free/],
    ['export a.vsi out.raw -f -p', /exported/],
    ['--help', /Usage/],
    ['log --help', /Usage/],
  ])('%s works', (command, expected) => {
    const { status, text } = onTerminal(command);
    expect({ command, status, text }).toMatchObject({ status: 0 });
    expect(text.trim()).toMatch(expected);
  });

  it('colours what is read there', () => {
    expect(onTerminal('log a.vsi').text).toContain('\u001b[');
  });
});
