import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY, runInProcess, runShell } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

/** The program as the shell and other programs meet it: pipes, signals, two at a time. */
describe('vsimg as a process', () => {
  const { ok, fails, run, path, directory } = workspace();

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(8 * MIB, 1));
    await ok(['import', 'one.raw', 'a.vsi', '-q']);
  });

  function start(argv: readonly string[]): { readonly child: ChildProcess; readonly stderr: () => string } {
    const child = spawn(process.execPath, [BINARY, ...argv], { cwd: directory, stdio: ['pipe', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr?.on('data', (chunk) => {
      stderr += String(chunk);
    });
    child.stdin?.on('error', () => undefined);
    return { child, stderr: () => stderr };
  }

  /** Feeds a command that waits for more of its input, until it has begun to work. */
  async function startWaiting(argv: readonly string[]): Promise<ReturnType<typeof start>> {
    const running = start(argv);
    running.child.stdin?.write(noise(3 * MIB, 5));
    await setTimeout(1000);
    expect(running.child.exitCode).toBe(null);
    return running;
  }

  const shell = (script: string) => runShell(script, { cwd: directory });

  it.each([
    ['read a.vsi', 141],
    ['export a.vsi -', 141],
    ['help exit-statuses', 0],
    ['log a.vsi', 0],
    ['--help', 0],
  ])('%s | head ends quietly with %d', async (command, status) => {
    const { stdout, stderr } = await shell(
      `"$NODE" "$VSIMG" ${command} | head -c 10 >/dev/null; echo "\${PIPESTATUS[0]}"`,
    );
    expect({ stdout, stderr }).toEqual({ stdout: `${status}\n`, stderr: '' });
  });

  it('data goes through pipes whole', async () => {
    const { stdout, stderr } = await shell('"$NODE" "$VSIMG" read a.vsi | (sleep 0.2; cmp - one.raw && echo same)');
    expect({ stdout, stderr }).toEqual({ stdout: 'same\n', stderr: '' });
  });

  it('says so when stdout is full', async () => {
    for (const command of ['info a.vsi', 'read a.vsi', 'export a.vsi -', 'log a.vsi', '--help']) {
      const { status, stderr } = await shell(`"$NODE" "$VSIMG" ${command} >/dev/full`);
      expect({ command, status }).toEqual({ command, status: 79 });
      expect(stderr).toMatch(/^vsimg: [^\n]*no space left[^\n]*\n$/);
    }
  });

  it.each([
    ['HUP', 129],
    ['INT', 130],
    ['TERM', 143],
  ] as const)('a shell has a status for SIG%s: %d', async (name, status) => {
    const { stdout, stderr } = await shell(
      `(sleep 3; echo) | "$NODE" "$VSIMG" write a.vsi & sleep 1.5; kill -${name} $!; wait $!; echo $?`,
    );
    expect(stdout).toBe(`${status}\n`);
    // The shell may add a line of its own.
    expect(stderr).toContain(`vsimg: stopped by SIG${name}\n`);
  });

  it.each(['SIGHUP', 'SIGINT', 'SIGTERM'] as const)(
    '%s in the middle of a write leaves the image as it was',
    async (signal) => {
      const before = await run(['read', 'a.vsi']);
      const { child, stderr } = await startWaiting(['write', 'a.vsi']);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([null, signal]);
      expect(stderr()).toBe(`vsimg: stopped by ${signal}\n`);
      expect((await run(['read', 'a.vsi'])).stdoutBytes.equals(before.stdoutBytes)).toBe(true);
      await ok(['check', 'a.vsi', '--data', '-q']);
    },
  );

  it.each(['SIGHUP', 'SIGINT', 'SIGTERM'] as const)(
    '%s in the middle of a first import leaves no file',
    async (signal) => {
      const before = readdirSync(directory);
      const { child } = await startWaiting(['import', '-', 'new.vsi']);
      child.kill(signal);
      expect(await once(child, 'exit')).toEqual([null, signal]);
      expect(readdirSync(directory)).toEqual(before);
    },
  );

  it('one writer at a time: others are told, or wait', async () => {
    const { child } = await startWaiting(['write', 'a.vsi', '-q']);
    expect(await fails(75, ['commit', 'a.vsi', '-m', 'x'])).toMatch(/--wait/);
    await fails(75, ['gc', 'a.vsi', '--wait', '0.2']);
    await ok(['info', 'a.vsi']);
    await ok(['check', 'a.vsi', '-q']);
    const waiting = run(['tag', 'a.vsi', 'waited', '--wait', '20', '-q']);
    await setTimeout(300);
    child.stdin?.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(await waiting).toMatchObject({ status: 0, stderr: '' });
  });

  it('a killed writer leaves no lock', async () => {
    const { child } = await startWaiting(['write', 'a.vsi']);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await ok(['tag', 'a.vsi', 'free', '-q']);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('what a killed first import leaves goes with the next one; what another still fills stays', async () => {
    const before = readdirSync(directory);
    const temporary = () => readdirSync(directory).filter((name) => name.startsWith('.b.vsi.tmp-'));
    const killed = await startWaiting(['import', '-', 'b.vsi', '-q']);
    const abandoned = temporary();
    killed.child.kill('SIGKILL');
    await once(killed.child, 'exit');
    expect(abandoned.length).toBe(1);
    expect(temporary()).toEqual(abandoned);
    const living = await startWaiting(['import', '-', 'b.vsi', '-q']);
    const inUse = temporary();
    expect(inUse.length).toBe(1);
    expect(inUse).not.toEqual(abandoned);
    await ok(['import', 'one.raw', 'b.vsi', '-q']);
    expect(temporary()).toEqual(inUse);
    living.child.stdin?.end();
    expect(await once(living.child, 'exit')).toEqual([73, null]);
    expect(readdirSync(directory).sort()).toEqual([...before, 'b.vsi'].sort());
    await ok(['check', 'b.vsi', '--data', '-q']);
  });

  it.each([
    [['-p'], /import {2}[\d.]+ MiB {2}/],
    [[], /^$/],
    [['-p', '-q'], /^$/],
  ])('shows progress of long work in a pipe only when asked: %j', async (options, expected) => {
    const { child, stderr } = start(['import', '-', `p${options.length}.vsi`, ...options]);
    for (let count = 0; count < 16; count++) {
      child.stdin?.write(noise(MIB, count));
      await setTimeout(100);
    }
    child.stdin?.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(stderr()).toMatch(expected);
  });

  it('prints colour on a terminal that can show it, unless that was declined', async () => {
    const log = async (env: Readonly<Record<string, string>>) =>
      (await runInProcess(['log', path('a.vsi')], { terminals: 'both', env })).stdout;
    expect(await log({ TERM: 'xterm' })).toContain('\x1b[33mversion 1\x1b[39m');
    expect(await log({ TERM: 'xterm', NO_COLOR: '1' })).not.toContain('\x1b');
    expect(await log({ TERM: 'dumb' })).not.toContain('\x1b');
    const json = await runInProcess(['log', path('a.vsi'), '--json'], { terminals: 'both' });
    expect(json.stdout).not.toContain('\x1b');
  });

  it('prints no colour into a pipe', async () => {
    for (const argv of [
      ['log', 'a.vsi'],
      ['branch', 'a.vsi'],
      ['check', 'a.vsi'],
    ])
      expect(await ok(argv)).not.toContain('\x1b');
  });
});
