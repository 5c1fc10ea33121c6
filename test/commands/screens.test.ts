import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { displayWidth } from '../../src/cli/table.ts';
import { BINARY } from '../support/cli.ts';
import { EPOCH, noise, workspace } from '../support/workspace.ts';

/** What a terminal of 80 columns shows. VSIMG_UPDATE_SCREENS=1 writes the files anew. */
const screens = fileURLToPath(new URL('screens/', import.meta.url));
const update = process.env['VSIMG_UPDATE_SCREENS'] === '1';
const hasTmux = spawnSync('tmux', ['-V']).error === undefined;
const { ok, path, directory } = workspace();
const server = `vsimg-${process.pid}`;

function tmux(...argv: readonly string[]): string {
  const { NO_COLOR: _plain, COLUMNS: _width, TMUX: _outer, ...env } = process.env;
  const options = { cwd: directory, env: { ...env, LC_ALL: 'C.UTF-8' }, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync('tmux', ['-u', '-L', server, '-f', '/dev/null', ...argv], options);
  if (status !== 0) throw new Error(`tmux ${argv.join(' ')}: ${stderr}`);
  return stdout;
}

/** The lines that `command` leaves on a terminal; with `escapes` also how they are coloured. */
async function screenOf(command: string, escapes: 'escapes' | 'plain' = 'plain'): Promise<string> {
  tmux('new-session', '-d', '-s', 'screen', '-x', '80', '-y', '60', `${command}; printf '<end>'; exec sleep 100`);
  try {
    for (;;) {
      const text = tmux('capture-pane', '-p', '-t', 'screen', ...(escapes === 'escapes' ? ['-e'] : []));
      const [shown = '', end] = text.split('<end>');
      if (end !== undefined) return shown;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } finally {
    tmux('kill-session', '-t', 'screen');
  }
}

const vsimg = (line: string): string => `'${process.execPath}' '${BINARY}' ${line}`;

beforeAll(async () => {
  mkdirSync(screens, { recursive: true });
  const states: Buffer[] = [noise(1024 * 1024, 1)];
  for (const seed of [2, 3, 4]) {
    const next = Buffer.from(states.at(-1) as Buffer);
    noise(20_000 * seed, seed).copy(next, 100_000 * seed);
    states.push(next);
  }
  const commit = async (state: number, message: string, tag: string): Promise<void> => {
    writeFileSync(path('d.raw'), states[state] as Buffer);
    await ok(['import', 'd.raw', 'disk.vsi', '-q', '-m', message, '--tag', tag], {
      env: { SOURCE_DATE_EPOCH: String(EPOCH + state * 86_400) },
    });
  };
  await commit(0, 'fresh install', 'v1.0');
  await commit(1, '日本語の更新 and then a message that is longer than a line of the terminal is wide', '版-2');
  await ok(['checkout', 'disk.vsi', 'v1.0', '-b', 'ветка', '-q']);
  await commit(2, 'caf\u0065\u0301 \u{1f680} launched', 'x\u{1f600}');
  await ok(['checkout', 'disk.vsi', 'main', '-q']);
  await commit(3, '한국어', 'v2.0');
});

afterAll(() => {
  if (hasTmux) spawnSync('tmux', ['-L', server, 'kill-server']);
});

describe.skipIf(!hasTmux)('a terminal of 80 columns shows', () => {
  it.each([
    ['info', 'info disk.vsi'],
    ['log', 'log disk.vsi -n 3'],
    ['log-oneline', 'log disk.vsi --oneline'],
    ['log-graph', 'log disk.vsi --graph'],
    ['log-oneline-graph', 'log disk.vsi --oneline --graph'],
    ['diff-stat', 'diff disk.vsi 1 4 --stat'],
    ['diff', 'diff disk.vsi 1 4'],
    ['tag', 'tag disk.vsi'],
    ['branch', 'branch disk.vsi'],
    ['help', '--help'],
    ['topics', 'help -a'],
    ['exit-statuses', 'help exit-statuses'],
  ])('%s', async (name, line) => {
    // How much of a file is allocated is for the file system to say.
    const shown = (await screenOf(vsimg(line))).replace(/^(disk size: +).*$/m, '$1(allocated)');
    const file = `${screens}${name}.txt`;
    if (update || !existsSync(file)) writeFileSync(file, shown);
    expect(shown).toBe(readFileSync(file, 'utf8'));
    const wide = /^(info|diff|help|topics|exit-statuses)/.test(name) ? 80 : Number.POSITIVE_INFINITY;
    const { stdout } = spawnSync(process.execPath, [BINARY, ...line.split(' ')], { cwd: directory, encoding: 'utf8' });
    expect(stdout.split('\n').filter((text) => displayWidth(text) > wide)).toEqual([]);
  });

  it.each([
    ['colours', 'TERM=screen', true],
    ['none with NO_COLOR', 'NO_COLOR=1', false],
    ['none on a dumb terminal', 'TERM=dumb', false],
  ])('%s', async (_name, setting, coloured) => {
    const shown = await screenOf(`${setting} ${vsimg('log disk.vsi --oneline')}`, 'escapes');
    expect(shown.includes('\u001b[')).toBe(coloured);
  });

  it.each(['日本', 'e\u0301', '\u{1f600}', '\u{1fa90}', '⌛', '✔', 'ﾊﾝｶｸ', 'ｆｕｌｌ', '한', 'ไทย้'])(
    '%s as wide as tables take it for',
    async (text) => {
      const shown = await screenOf(`printf '%s|' '${text}'; tmux -L ${server} display -p '#{cursor_x}'`);
      expect(Number(/\|(\d+)/.exec(shown)?.[1])).toBe(displayWidth(text) + 1);
    },
  );
});
