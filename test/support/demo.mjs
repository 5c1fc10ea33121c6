/**
 * The main job on a real disk: an ext4 image is imported, changed, imported again, compared, read back, checked and
 * cleaned up; every state that comes out is compared with the one that went in. Run it by `npm run demo`.
 *
 * Everything happens in a temporary directory, which is kept if VSIMG_DEMO_KEEP is set.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { env, execPath, getuid, stdout } from 'node:process';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

const root = dirname(dirname(import.meta.dirname));
const fixtures = join(root, 'fixtures/demo');
const directory = mkdtempSync(join(tmpdir(), 'vsimg-demo-'));
/** Debian keeps the tools of file systems out of the way of users. */
const searchPath = [env.PATH, '/usr/sbin', '/sbin'].join(delimiter);

function say(text) {
  stdout.write(`${text}\n`);
}

function step(title) {
  say(`\n# ${title}`);
}

/** Runs a program in the directory; what it prints is shown unless `quiet`. Ends the demo if it fails. */
function run(program, args, { quiet = false, input } = {}) {
  const result = spawnSync(program, args, {
    cwd: directory,
    env: { ...env, PATH: searchPath },
    encoding: 'utf8',
    input: input ?? '',
  });
  if (result.error !== undefined) throw result.error;
  if (!quiet) stdout.write(result.stdout);
  if (result.status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${result.status}:\n${result.stderr}`);
  return result.stdout;
}

function vsimg(...args) {
  say(`$ vsimg ${args.map((word) => (/[ *]/.test(word) ? `'${word}'` : word)).join(' ')}`);
  return run(execPath, [join(root, 'bin/vsimg.js'), ...args]);
}

function hasProgram(name) {
  return searchPath.split(delimiter).some((folder) => existsSync(join(folder, name)));
}

function hasTools() {
  return ['mke2fs', 'debugfs', 'e2fsck'].every(hasProgram);
}

function installTools() {
  if (hasTools() || getuid?.() !== 0 || !hasProgram('apt-get')) return;
  say('e2fsprogs is missing: apt-get installs it');
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', ...args], { env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } });
  if (apt('install', '-y', '--no-install-recommends', 'e2fsprogs').status === 0) return;
  apt('update');
  apt('install', '-y', '--no-install-recommends', 'e2fsprogs');
}

async function hashOf(name) {
  const hash = createHash('sha256');
  for await (const part of createReadStream(join(directory, name))) hash.update(part);
  return hash.digest('hex');
}

/** States 1 and 2 of one disk, made with the tools of ext4. */
function makeStates() {
  const tree = join(directory, 'tree');
  for (const name of ['src', 'man', 'LICENSE', 'package.json'])
    cpSync(join(root, name), join(tree, name), { recursive: true });
  writeFileSync(join(directory, 'state1.raw'), '');
  truncateSync(join(directory, 'state1.raw'), 64 * 2 ** 20);
  say('$ mke2fs -t ext4 -d tree state1.raw');
  run('mke2fs', ['-q', '-F', '-t', 'ext4', '-U', '01234567-89ab-cdef-0123-456789abcdef', '-d', 'tree', 'state1.raw']);
  say('$ cp state1.raw state2.raw; debugfs -w state2.raw    # a file goes, one is replaced, one comes');
  // Sparse, unlike a copy by Node.
  run('cp', ['--sparse=always', 'state1.raw', 'state2.raw']);
  writeFileSync(join(directory, 'note'), 'written into the second state\n');
  const commands = [
    'rm LICENSE',
    'rm package.json',
    `write ${join(root, 'package-lock.json')} package.json`,
    'write note note',
  ];
  run('debugfs', ['-w', '-f', '-', 'state2.raw'], { quiet: true, input: `${commands.join('\n')}\n` });
}

/** The same two states as they were shipped, for machines without these tools. */
async function unpackStates() {
  for (const name of ['state1.raw', 'state2.raw']) {
    await pipeline(
      createReadStream(join(fixtures, `${name}.gz`)),
      createGunzip(),
      createWriteStream(join(directory, name)),
    );
  }
  say('mke2fs, debugfs or e2fsck is missing: the two states come from fixtures/demo');
}

async function mustEqual(one, other) {
  const same = (await hashOf(one)) === (await hashOf(other));
  if (!same) throw new Error(`${one} and ${other} differ`);
  say(`${one} equals ${other}`);
}

async function main() {
  installTools();
  const real = hasTools();
  step('Two states of one ext4 disk');
  if (real) makeStates();
  else await unpackStates();

  step('Both become versions of one image');
  vsimg('import', 'state1.raw', 'disk.vsi', '-m', 'first state', '--tag', 'v1');
  vsimg('import', 'state2.raw', 'disk.vsi', '-m', 'second state');

  step('What is there');
  vsimg('log', 'disk.vsi', '--oneline', '--graph');
  vsimg('diff', 'disk.vsi', 'v1..HEAD', '--stat');
  vsimg('info', 'disk.vsi');

  step('The first state again');
  vsimg('export', 'disk.vsi@v1', 'old.raw');
  await mustEqual('old.raw', 'state1.raw');
  if (real) {
    say('$ e2fsck -fn old.raw');
    run('e2fsck', ['-fn', 'old.raw']);
    say("$ debugfs -R 'cat LICENSE' old.raw | head -n 3    # the second state has it no longer");
    const text = run('debugfs', ['-R', 'cat LICENSE', 'old.raw'], { quiet: true });
    if (text !== readFileSync(join(root, 'LICENSE'), 'utf8')) throw new Error('LICENSE is not what it was');
    say(text.split('\n').slice(0, 3).join('\n'));
  }

  step('Some bytes of the working state change, and change back');
  say("$ printf 'hello' | vsimg write disk.vsi --offset 1k");
  run(execPath, [join(root, 'bin/vsimg.js'), 'write', 'disk.vsi', '--offset', '1k'], { input: 'hello' });
  vsimg('diff', 'disk.vsi');
  vsimg('checkout', 'disk.vsi', '--force');

  step('Everything is verified');
  vsimg('check', 'disk.vsi', '--data');

  step('The first version goes, and its space comes back');
  vsimg('delete', 'disk.vsi', 'v1');
  vsimg('gc', 'disk.vsi');
  vsimg('export', 'disk.vsi@HEAD', 'new.raw');
  await mustEqual('new.raw', 'state2.raw');
  vsimg('check', 'disk.vsi', '--data');
}

try {
  await main();
  say('\nAll states came back as they went in.');
} finally {
  if (env.VSIMG_DEMO_KEEP === undefined) rmSync(directory, { recursive: true, force: true });
  else say(`kept in ${directory}`);
}
