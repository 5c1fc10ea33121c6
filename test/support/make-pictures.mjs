/**
 * The pictures of README.md: what commands print on a terminal, for a small disk with a history. Run it by
 * `npm run pictures`; it needs mke2fs and debugfs (e2fsprogs) and script (util-linux).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { env, execPath, stdout } from 'node:process';
import { drawTerminal } from './terminal-picture.mjs';

const COLUMNS = 80;
const root = dirname(dirname(import.meta.dirname));
const program = join(root, 'bin/vsimg.js');
const pictures = join(root, 'man/pictures');
const directory = mkdtempSync(join(tmpdir(), 'vsimg-pictures-'));
/** Dates of the history, so that the same build draws the same pictures; the dates are shown, ids follow from them. */
let seconds = 1_790_000_000;

function run(name, args, { input } = {}) {
  seconds += 3600;
  const result = spawnSync(name, args, {
    cwd: directory,
    env: { ...env, PATH: [env.PATH, '/usr/sbin', '/sbin'].join(delimiter), SOURCE_DATE_EPOCH: String(seconds) },
    encoding: 'utf8',
    input: input ?? '',
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) throw new Error(`${name} ${args.join(' ')} ended with ${result.status}:\n${result.stderr}`);
}

function vsimg(line, options) {
  run(execPath, [program, ...line.match(/'[^']*'|[^ ]+/g).map((word) => word.replaceAll("'", ''))], options);
}

/** What a command prints on a terminal, behind the line that was typed. */
function shot(line) {
  const { NO_COLOR: _, ...rest } = env;
  const typed = `stty cols ${COLUMNS} rows 50; '${execPath}' '${program}' ${line}`;
  const result = spawnSync('script', ['-qec', typed, '/dev/null'], {
    cwd: directory,
    env: { ...rest, TERM: 'xterm-256color', COLUMNS: String(COLUMNS) },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (result.status !== 0) throw new Error(`vsimg ${line} ended with ${result.status}:\n${result.stdout}`);
  return `\u001b[2m$\u001b[0m \u001b[1mvsimg ${line}\u001b[0m\n${result.stdout.replaceAll('\r', '')}`;
}

function makeHistory() {
  run('mke2fs', [
    '-q',
    '-t',
    'ext4',
    '-U',
    '00000000-0000-4000-8000-000000000002',
    '-E',
    'hash_seed=00000000-0000-4000-8000-000000000001',
    '-d',
    join(root, 'man'),
    'disk.raw',
    '256M',
  ]);
  vsimg("import disk.raw disk.vsi -m 'fresh install' --tag v1.0");
  run('debugfs', ['-w', '-R', 'rm vsi.5', 'disk.raw']);
  run('debugfs', ['-w', '-R', `write ${join(root, 'LICENSE')} copying`, 'disk.raw']);
  vsimg("import disk.raw disk.vsi -m 'updates of September'");
  run('debugfs', ['-w', '-R', `write ${join(root, 'package-lock.json')} lock`, 'disk.raw']);
  vsimg("import disk.raw disk.vsi -m 'new packages' --tag v1.1");
  vsimg('checkout disk.vsi v1.0 -b fixes');
  vsimg('write disk.vsi --offset 100M', { input: 'a fix'.repeat(9000) });
  vsimg("commit disk.vsi -m 'a fix for v1.0'");
  vsimg('checkout disk.vsi main');
  vsimg('write disk.vsi --offset 200M', { input: 'more'.repeat(40_000) });
}

const SHOTS = {
  info: ['info disk.vsi', 'status disk.vsi'],
  log: ['log disk.vsi --oneline --graph', 'diff disk.vsi v1.0 v1.1 --stat'],
  space: ['map disk.vsi', 'du disk.vsi'],
};

try {
  makeHistory();
  mkdirSync(pictures, { recursive: true });
  for (const [name, lines] of Object.entries(SHOTS)) {
    writeFileSync(
      join(pictures, `${name}.svg`),
      drawTerminal(lines.map(shot).join('\n'), {
        columns: COLUMNS,
        title: lines.map((line) => `vsimg ${line}`).join(', '),
      }),
    );
    stdout.write(`man/pictures/${name}.svg\n`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
