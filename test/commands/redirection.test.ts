import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { withLoopDevice } from '../storage/loop-device.ts';
import { BINARY, runShell } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const ONE_LINE = /^vsimg: [^\n]+; [^\n]+\n$/;

/** Input and output that end early, are full, closed, slow, or not what one expects. */
describe('vsimg and what the shell connects it to', () => {
  const { ok, run, path, directory } = workspace();
  let before: Buffer;

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(2 * MIB, 1));
    writeFileSync(path('short.raw'), noise(100, 2));
    await ok(['import', 'one.raw', 'a.vsi', '--tag', 'v1', '-q']);
    await ok(['write', 'a.vsi', '-q'], { stdin: 'changed' });
    await ok(['commit', 'a.vsi', '-m', 'two', '-q']);
    await ok(['write', 'a.vsi', '-q'], { stdin: 'again' });
    before = readFileSync(path('a.vsi'));
  });
  beforeEach(() => {
    writeFileSync(path('a.vsi'), before);
  });

  const shell = (script: string) => runShell(script, { cwd: directory });

  /** The status of the last command of `script`, which must say why in one line and leave the image and the directory alone. */
  async function failing(script: string): Promise<{ readonly status: number | null; readonly stderr: string }> {
    const names = readdirSync(directory);
    const { status, stderr } = await shell(script);
    expect({ script, stderr }).toEqual({ script, stderr: expect.stringMatching(ONE_LINE) });
    expect(readdirSync(directory), script).toEqual(names);
    expect(readFileSync(path('a.vsi')).equals(before), script).toBe(true);
    return { status, stderr };
  }

  it.each([
    'info a.vsi',
    'log a.vsi',
    'diff a.vsi 1 2',
    'read a.vsi',
    'read a.vsi --length 10',
    'export a.vsi -',
    'check a.vsi --data',
    'tag a.vsi',
    'branch a.vsi',
    'gc a.vsi -n',
    'help revisions',
    'log --help',
    '--help',
    '--version',
  ])('%s > /dev/full', async (command) => {
    const { status, stderr } = await failing(`vsimg ${command} >/dev/full`);
    expect({ command, status }).toEqual({ command, status: command.startsWith('check') ? 1 : 79 });
    expect(stderr).toMatch(/no space left/);
  });

  it.each([
    'write a.vsi one.raw',
    'commit a.vsi -m three',
    'checkout a.vsi v1 -f',
    'tag a.vsi new',
    'branch a.vsi new',
    'tag a.vsi -d v1',
    'gc a.vsi',
    'create new.vsi 1M',
    'import one.raw new.vsi',
    'export a.vsi new.raw',
    'read a.vsi -o new.raw',
  ])('%s > /dev/full says so when the work is done', async (command) => {
    const { status, stderr } = await shell(`vsimg ${command} >/dev/full`);
    expect({ status, stderr }).toEqual({
      status: 79,
      stderr: expect.stringMatching(/^vsimg: cannot write to stdout: no space left[^\n]*\n$/),
    });
    for (const name of ['new.vsi', 'new.raw', 'a.vsi'].filter((candidate) => existsSync(path(candidate)))) {
      if (name.endsWith('.vsi')) await ok(['check', name, '--data', '-q']);
      if (name !== 'a.vsi') rmSync(path(name));
    }
    expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it.each([
    ['write a.vsi --length 5 </dev/null', 74, /stdin ended after 0 of 5 bytes/],
    ['printf abc | vsimg write a.vsi --length 5', 74, /stdin ended after 3 of 5 bytes/],
    ['write a.vsi --length 5 <&-', 74, /stdin ended after 0 of 5 bytes/],
    ['write a.vsi < /', 74, /standard input at byte 0: it is a directory/],
    ['import - new.vsi < /', 74, /standard input at byte 0: it is a directory/],
    ['write a.vsi 0>>one.raw', 74, /standard input at byte 0: it is not open for this/],
    ['write a.vsi short.raw --length 1M', 74, /'short.raw' ended after 100 of 1048576 bytes/],
    ['write a.vsi none.raw', 66, /no such file/],
    ['read a.vsi 1</dev/null', 74, /standard output at byte 0: it is not open for this/],
    ['info a.vsi 1</dev/null', 74, /stdout: it is not open for this/],
  ])('%s', async (command, status, message) => {
    const result = await failing(command.includes('| vsimg') ? command : `vsimg ${command}`);
    expect(result).toEqual({ status, stderr: expect.stringMatching(message) });
  });

  it('stdin that is closed or has ended is no data', async () => {
    for (const script of ['vsimg write a.vsi -q <&-', 'true | vsimg write a.vsi -q', 'vsimg write a.vsi -q </dev/null'])
      expect(await shell(script)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(path('a.vsi')).equals(before)).toBe(true);
  });

  it.each(['2>&-', '2>/dev/full', '2</dev/null'])('the status is right with stderr %s', async (redirection) => {
    for (const [command, status] of [
      ['info none.vsi', 66],
      ['info --none', 64],
      ['', 64],
      ['write a.vsi --length 5 </dev/null', 74],
      ['check a.vsi -q', 0],
    ])
      expect({ command, ...(await shell(`vsimg ${command} ${redirection}`)) }).toMatchObject({ command, status });
  });

  it.each(['2>/dev/full', '2> >(exec true)'])('progress on stderr %s does not stop the work', async (redirection) => {
    const slow = '(for part in 1 2 3 4 5 6 7 8; do head -c 300000 one.raw; sleep 0.3; done)';
    const result = await shell(`${slow} | vsimg import -p - slow.vsi ${redirection}; echo "$?" >&2`);
    expect(result.stderr).toBe('0\n');
    expect(readdirSync(directory).filter((name) => name.includes('slow'))).toEqual(['slow.vsi']);
    await ok(['check', 'slow.vsi', '--data', '-q']);
    rmSync(path('slow.vsi'));
  });

  it.each([
    ['read a.vsi', 141],
    ['read a.vsi@1 --length 100k', 141],
    ['export a.vsi -', 141],
    ['diff a.vsi 1 2', 0],
    ['info a.vsi --json', 0],
  ])('%s | head -c 1 ends quietly with %d', async (command, status) => {
    const result = await shell(`vsimg ${command} | head -c 1 >/dev/null; echo "\${PIPESTATUS[0]}"`);
    expect(result).toMatchObject({ stdout: `${status}\n`, stderr: '' });
  });

  it('a slow reader of a full pipe gets everything, in text too', async () => {
    await ok(['create', 'many.vsi', '100M', '--block-size', '512', '-q']);
    await ok(['commit', 'many.vsi', '-m', 'x', '-q', '--allow-empty']);
    const every = Buffer.alloc(6 * MIB);
    for (let at = 0; at < every.length; at += 1024) every.writeUInt32LE(at + 1, at);
    await ok(['write', 'many.vsi', '-q'], { stdin: every });
    for (const options of ['', '--json']) {
      const direct = await shell(`vsimg diff many.vsi ${options} >direct; wc -c <direct`);
      expect(Number(direct.stdout)).toBeGreaterThan(100_000);
      const slow = await shell(
        `vsimg diff many.vsi ${options} | (sleep 0.5; while head -c 9999 >part && [ -s part ]; do cat part; sleep 0.01; done) | cmp - direct`,
      );
      expect(slow).toMatchObject({ status: 0, stdout: '', stderr: '' });
    }
  });

  it('an image that is cut while it is read, and a source that is cut while it is imported', async () => {
    await ok(['import', 'one.raw', 'cut.vsi', '-q', '--compression', 'none']);
    const child = spawn(process.execPath, [BINARY, 'export', 'cut.vsi', '-'], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    await once(child.stdout, 'readable');
    truncateSync(path('cut.vsi'), 200_000);
    child.stdout.resume();
    expect(await once(child, 'close')).toEqual([65, null]);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toMatch(/beyond the end of the file|at byte \d+ of the file/);

    for (let attempt = 1; ; attempt++) {
      writeFileSync(path('long.raw'), noise(48 * MIB, 3));
      const names = readdirSync(directory);
      const importing = run(['import', 'long.raw', 'long.vsi', '-q', '--compression', 'none']);
      const begun = () => readdirSync(directory).find((name) => name.startsWith('.long.vsi.tmp-'));
      for (let name = begun(); name === undefined || statSync(join(directory, name)).size < MIB; name = begun())
        await setTimeout(1);
      truncateSync(path('long.raw'), 100_000);
      const { status, stderr: message } = await importing;
      // It may have been read to its end already.
      if (status === 0 && attempt < 10) {
        rmSync(path('long.vsi'));
        continue;
      }
      expect({ status, message }).toEqual({
        status: 74,
        message: expect.stringMatching(/^vsimg: 'long.raw' became shorter while it was read: 100000 of [^\n]*\n$/),
      });
      expect(readdirSync(directory)).toEqual(names);
      break;
    }
  });

  it.each([
    ['create new.vsi 1M --force', 4],
    ['import one.raw new.vsi', 200],
    ['export a.vsi new.raw', 200],
    ['export a.vsi - >new.raw', 200],
    ['read a.vsi -o new.raw', 200],
    ['read a.vsi >new.raw', 200],
  ])('%s under a limit on file sizes', async (command, kilobytes) => {
    const { status, stderr } = await shell(`ulimit -f ${kilobytes}; vsimg ${command} -q`);
    expect({ status, stderr }).toEqual({
      status: 79,
      stderr: expect.stringMatching(/^vsimg: [^\n]*would exceed the largest size[^\n]*ulimit -f[^\n]*\n$/),
    });
    if (command.includes('>')) rmSync(path('new.raw'));
    expect(readdirSync(directory).filter((name) => name.includes('new'))).toEqual([]);
  });

  it.each(['import two.raw a.vsi', 'write a.vsi two.raw'])('%s under a limit on file sizes', async (command) => {
    writeFileSync(path('two.raw'), noise(2 * MIB, 2));
    await ok(['checkout', 'a.vsi', '-f', '-q']);
    const state = () => shell('vsimg log a.vsi --json; vsimg read a.vsi | cksum; vsimg read a.vsi@1 | cksum');
    const old = await state();
    const kilobytes = Math.ceil(statSync(path('a.vsi')).size / 1024) + 300;
    const { status, stderr } = await shell(`ulimit -f ${kilobytes}; vsimg ${command}`);
    expect({ status, stderr }).toEqual({ status: 79, stderr: expect.stringMatching(ONE_LINE) });
    expect(await state()).toEqual(old);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  withLoopDevice('block devices as stdin and stdout', async (device, backing) => {
    writeFileSync(backing, readFileSync(path('one.raw')));
    const blockDevice = device.attach();
    await ok(['read', 'a.vsi@v1', '-o', 'first.raw', '-q']);
    expect(await shell(`vsimg import - b.vsi -q <${blockDevice} && vsimg read b.vsi | cmp - one.raw`)).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
    expect(
      await shell(`vsimg read a.vsi >${blockDevice} && sync ${blockDevice} && vsimg read a.vsi | cmp - ${blockDevice}`),
    ).toMatchObject({ status: 0, stdout: '', stderr: '' });
    await ok(['create', 'large.vsi', '9M', '-q']);
    expect((await failing(`vsimg export large.vsi - >${blockDevice}`)).status).toBe(79);
  });
});
