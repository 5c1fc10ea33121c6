import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Example } from '../../src/cli/definition.ts';
import { COMMANDS } from '../../src/cli/registry.ts';
import { BINARY } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const { directory, path, ok } = workspace();

/** What an example needs besides the folder that all begin with: shell lines that run before it. */
const BEFORE: Readonly<Record<string, string>> = {
  'vsimg bench scratch.vsi -w -s 64k -c 1000': 'cp disk.vsi scratch.vsi',
  'vsimg batch disk.vsi changes.txt -q': "echo 'write --data x' >changes.txt",
  'vsimg resize disk.vsi -1G --shrink': 'vsimg resize disk.vsi 2G -q',
  'vsimg compare disk.raw disk.vsi@v1':
    'vsimg import disk.raw disk.vsi -q && vsimg tag disk.vsi -d v1 -q && vsimg tag disk.vsi v1 -q',
  'xzcat disk.raw.xz | vsimg compare - disk.vsi': 'vsimg import disk.raw disk.vsi -q',
  'vsimg completion bash > ~/.local/share/bash-completion/completions/vsimg':
    'mkdir -p ~/.local/share/bash-completion/completions',
  'vsimg completion zsh > ~/.zfunc/_vsimg': 'mkdir -p ~/.zfunc',
  'vsimg completion fish > ~/.config/fish/completions/vsimg.fish': 'mkdir -p ~/.config/fish/completions',
  'xzcat disk.raw.xz | vsimg import - disk.vsi --tag v2': 'vsimg tag disk.vsi -d v2 -q',
  "vsimg commit disk.vsi -m 'install packages'": 'printf x | vsimg write disk.vsi -q',
  'vsimg commit disk.vsi -m release --tag v1.0': 'printf x | vsimg write disk.vsi -q && vsimg tag disk.vsi -d v1.0 -q',
  'vsimg tag disk.vsi v1.0 3': 'vsimg tag disk.vsi -d v1.0 -q',
  'vsimg write disk.vsi --discard --offset 4G --length 2G': 'rm disk.vsi && vsimg create disk.vsi 8G -q',
  'vsimg branch disk.vsi -d fixes': 'vsimg branch disk.vsi fixes v1.0 -q',
  'vsimg create disk.vsi 10G': 'rm disk.vsi',
  'vsimg create disk.vsi 10G --block-size 512 --compression none': 'rm disk.vsi',
  'vsimg export --seed v1.0 disk.vsi@v1.1 old.raw': 'vsimg export disk.vsi@v1.0 old.raw -q',
};

/** Where the answer is not 0. */
const STATUS: Readonly<Record<string, number>> = { 'vsimg compare disk.vsi@1 disk.vsi@2 --all': 1 };

/** A folder with all that examples name: `disk.vsi` has twelve versions and a name for some. */
beforeAll(async () => {
  mkdirSync(path('bin'));
  writeFileSync(path('bin/vsimg'), `#!/bin/sh\nexec '${process.execPath}' '${BINARY}' "$@"\n`);
  chmodSync(path('bin/vsimg'), 0o755);
  mkdirSync(path('begin'));
  const image = path('begin/disk.vsi');
  await ok(['create', image, '64M', '-q']);
  for (let version = 1; version <= 12; version++) {
    await ok(['write', image, '--offset', `${version}M`, '-q'], { stdin: noise(64 * KIB, version) });
    await ok(['commit', image, '-m', `state ${version}`, '-q']);
  }
  for (const [name, version] of [
    ['v1', '1'],
    ['v2', '12'],
    ['v1.0', '2'],
    ['v1.1', '3'],
    ['nightly', '11'],
  ] as const)
    await ok(['tag', image, name, version, '-q']);
  const raw = noise(2 * MIB, 40);
  for (const name of ['disk.raw', 'boot.img', 'sdX', 'a.raw', 'b.raw']) writeFileSync(path(`begin/${name}`), raw);
  const shell = (line: string) => spawnSync('bash', ['-c', line], { cwd: path('begin'), encoding: 'utf8' });
  expect(shell('xz -k disk.raw && qemu-img convert -O qcow2 disk.raw old.qcow2')).toMatchObject({ status: 0 });
});

/** Runs a line in bash, in a folder of its own, as a user would who has the program on his path. */
function runLine(line: string): { readonly status: number | null; readonly stderr: string } {
  const cwd = mkdtempSync(join(directory, 'run-'));
  cpSync(path('begin'), cwd, { recursive: true });
  const env = { ...process.env, HOME: cwd, PATH: [path('bin'), process.env.PATH].join(delimiter) };
  // Examples name devices and files elsewhere, which must be left alone.
  const device = line.includes('vsimg export') ? './sdX --force' : './sdX';
  const here = line.replaceAll('/dev/sdX', device).replaceAll('/tmp/', './');
  // What serves until it is stopped is stopped.
  const isEndless = here.startsWith('vsimg serve') && !here.includes(' -- ');
  const whole = isEndless ? `timeout --preserve-status 2 ${here}` : here;
  const { status, stderr } = spawnSync('bash', ['-c', `set -o pipefail\n${whole}`], {
    cwd,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  rmSync(cwd, { recursive: true });
  return { status, stderr };
}

const modules = await Promise.all(COMMANDS.map(async ({ name, load }) => ({ name, ...(await load()) })));
const examples = modules.flatMap(({ name, definition }) =>
  definition.examples.map((example): Example & { readonly name: string } => ({ name, ...example })),
);

describe('examples of the manual', () => {
  it.each(examples)('$command', ({ command }) => {
    const before = BEFORE[command];
    const line = before === undefined ? command : `${before} && ${command}`;
    expect({ line, ...runLine(line) }).toEqual({ line, status: STATUS[command] ?? 0, stderr: '' });
  });
});
