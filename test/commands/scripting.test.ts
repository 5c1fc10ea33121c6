import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY, runShell } from '../support/cli.ts';
import { misfits } from '../support/schema.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

function parsedLines(text: string): Record<string, unknown>[] {
  expect(text.endsWith('\n') || text === '').toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

describe('the script contract', () => {
  const { ok, json, run, fails, path, directory } = workspace();

  beforeAll(async () => {
    writeFileSync(path('one.raw'), noise(3 * MIB, 1));
    writeFileSync(path('two.raw'), noise(3 * MIB, 1).fill(9, MIB, MIB + 100_000));
    await ok(['import', 'one.raw', 'a.vsi', '--tag', 'v1', '-m', 'one\nof several lines', '-q']);
    await ok(['import', 'two.raw', 'a.vsi', '--tag', 'v2', '-m', 'two', '-q']);
    await ok(['branch', 'a.vsi', 'side', '1', '-q']);
  });

  describe('JSON in lines', () => {
    it.each([
      ['log a.vsi', 'versions'],
      ['log a.vsi -n 1', 'versions'],
      ['diff a.vsi 1 2', 'ranges'],
      ['diff a.vsi 1 1', 'ranges'],
      ['tag a.vsi', 'tags'],
      ['branch a.vsi', 'branches'],
    ])('%s: a line for each item', async (command, list) => {
      const argv = command.split(' ');
      const items = (await json(argv))[list];
      for (const form of ['--json=lines', '--output=json-lines', '--output=jsonl'])
        expect(parsedLines(await ok([...argv, form]))).toEqual(items);
    });

    it.each(['info a.vsi', 'check a.vsi', 'diff a.vsi 1 2 --stat', 'gc a.vsi -n', 'help sizes'])(
      '%s: the document on one line',
      async (command) => {
        const argv = command.split(' ');
        expect(parsedLines(await ok([...argv, '--json=lines']))).toEqual([await json(argv)]);
      },
    );

    it('what was removed, too', async () => {
      await ok(['tag', 'a.vsi', 'x', '-q']);
      await ok(['tag', 'a.vsi', 'y', '-q']);
      expect(parsedLines(await ok(['tag', 'a.vsi', '-d', 'x', 'y', '--json=lines']))).toEqual([
        { name: 'x', version: 2 },
        { name: 'y', version: 2 },
      ]);
    });

    it('takes its form only behind the equals sign', async () => {
      expect(JSON.parse((await run(['info', '--json', 'a.vsi'])).stdout)).toMatchObject({ filename: 'a.vsi' });
      const { status, stderr } = await run(['info', '--json', 'lines']);
      expect(status).toBe(66);
      expect(JSON.parse(stderr).message).toContain("no file 'lines'");
      for (const order of [
        ['info', '-qp', 'a.vsi', '--json=lines'],
        ['info', '--json=lines', '--', 'a.vsi'],
      ])
        expect(parsedLines(await ok(order))).toHaveLength(1);
      await ok(['commit', 'a.vsi', '-m', '--json=lines', '--allow-empty', '-q']);
      expect((await json(['log', 'a.vsi', '-n', '1'])).versions[0].message).toBe('--json=lines');
      await ok(['checkout', 'a.vsi', 'v2', '-q']);
    });

    it('and errors', async () => {
      for (const argv of [
        ['info', 'none.vsi', '--json=lines'],
        ['info', '--frob', '--json=lines'],
      ]) {
        const { status, stderr } = await run(argv);
        expect(parsedLines(stderr)).toEqual([expect.objectContaining({ 'exit-status': status })]);
      }
      for (const form of ['--json=yaml', '--json=', '--json=text'])
        expect((await run(['info', 'a.vsi', form])).stderr).toMatch(
          /"code":"usage","message":"--json '\w*' is not a form"/,
        );
    });
  });

  describe('items that end with NUL', () => {
    it.each([
      ['tag a.vsi -z', ['v1', 'v2']],
      ['branch a.vsi --null', ['main', 'side']],
      ['diff a.vsi 1 2 -z', ['1048576\t102400\tdata']],
      ['diff a.vsi 1 1 -z', []],
    ])('%s', async (command, items) => {
      expect(await ok(command.split(' '))).toBe(items.map((item) => `${item}\0`).join(''));
    });

    it('log', async () => {
      const oneline = (await ok(['log', 'a.vsi@v2', '--oneline', '-z'])).split('\0');
      expect(oneline).toEqual([...(await ok(['log', 'a.vsi@v2', '--oneline'])).trimEnd().split('\n'), '']);
      const whole = (await ok(['log', 'a.vsi@v2', '-z'])).split('\0');
      expect(whole).toHaveLength(3);
      expect(whole[1]).toMatch(/^version 1 .*\n {4}one\n {4}of several lines$/s);
    });

    it('excludes JSON that is asked for and pictures', async () => {
      expect(await fails(64, ['log', 'a.vsi', '-z', '--graph'])).toContain('exclude each other');
      const { status, stderr } = await run(['tag', 'a.vsi', '-z', '--json']);
      expect({ status, code: JSON.parse(stderr).code }).toEqual({ status: 64, code: 'usage' });
      expect(await ok(['tag', 'a.vsi', '-z'], { env: { VSIMG_OUTPUT: 'json' } })).toBe('v1\0v2\0');
    });
  });

  describe('variables', () => {
    it('stand for options, which win', async () => {
      const document = await json(['info', 'a.vsi']);
      expect(JSON.parse(await ok(['info', 'a.vsi'], { env: { VSIMG_OUTPUT: 'json' } }))).toEqual(document);
      const text = await ok(['info', 'a.vsi']);
      expect(await ok(['info', 'a.vsi', '--output=text'], { env: { VSIMG_OUTPUT: 'json' } })).toBe(text);
      expect(await ok(['info', 'a.vsi'], { env: { VSIMG_OUTPUT: '' } })).toBe(text);
      expect(await ok(['tag', 'a.vsi', 'v3', '1'], { env: { VSIMG_QUIET: '1' } })).toBe('');
      expect(await ok(['tag', 'a.vsi', '-d', 'v3'], { env: { VSIMG_QUIET: '0', VSIMG_SYNC: 'off' } })).not.toBe('');
      expect(await ok(['gc', 'a.vsi', '-q', '--wait', '1'], { env: { VSIMG_WAIT: 'soon' } })).toBe('');
    });

    it('leave data alone, and make errors JSON', async () => {
      const env = { VSIMG_OUTPUT: 'json' };
      expect((await run(['read', 'a.vsi', '--length', '9'], { env })).stdoutBytes).toEqual(noise(9, 1));
      expect(JSON.parse((await run(['read', 'a.vsi@none'], { env })).stderr)).toMatchObject({ code: 'not-found' });
      expect(JSON.parse((await run(['info', '--frob'], { env })).stderr)).toMatchObject({ code: 'usage' });
    });

    it.each([
      ['VSIMG_OUTPUT', 'yaml', 'info a.vsi'],
      ['VSIMG_OUTPUT', 'constructor', 'info a.vsi'],
      ['VSIMG_PROGRESS', 'loud', 'info a.vsi'],
      ['VSIMG_PROGRESS_FD', 'x', 'info a.vsi'],
      ['VSIMG_PROGRESS_FD', '77', 'info a.vsi'],
      ['VSIMG_QUIET', 'yes', 'info a.vsi'],
      ['VSIMG_WAIT', 'soon', 'gc a.vsi'],
      ['VSIMG_SYNC', 'never', 'gc a.vsi'],
      ['VSIMG_LOCKING', 'maybe', 'gc a.vsi'],
    ])('%s=%s is an error that names it', async (name, value, command) => {
      const line = await fails(64, command.split(' '), { env: { [name]: value } });
      expect(line).toContain(name);
      expect(line).toContain(`'${value}'`);
    });
  });

  describe('progress', () => {
    it('is lines of JSON on stderr, of each phase the first and the last', async () => {
      const { status, stderr } = await run(['import', 'one.raw', 'p.vsi', '--progress=json', '-m', 'x']);
      const lines = parsedLines(stderr);
      expect(status).toBe(0);
      for (const line of lines) expect(misfits('progress', line)).toEqual([]);
      expect(lines.at(-1)).toMatchObject({ phase: 'import', done: 3 * MIB, total: 3 * MIB, eta: 0 });
      const checked = await run(['check', 'p.vsi', '--repair'], { env: { VSIMG_PROGRESS: 'json' } });
      expect(parsedLines(checked.stderr).at(-1)).toMatchObject({ phase: 'check' });
    });

    it('goes to a descriptor, of which the length of a stream is not known', async () => {
      const script = 'vsimg import - s.vsi -m x --progress-fd 3 <one.raw 3>progress >/dev/null';
      expect(await runShell(script, { cwd: directory })).toMatchObject({ status: 0, stdout: '', stderr: '' });
      const lines = parsedLines(readFileSync(path('progress'), 'utf8'));
      expect(lines.at(-1)).toMatchObject({ phase: 'import', done: 3 * MIB, total: null, eta: null });
    });

    it('counts bytes, with gc those that come back', async () => {
      await ok(['import', 'one.raw', 'g.vsi', '-q', '-m', 'one']);
      writeFileSync(path('other.raw'), noise(3 * MIB, 8));
      await ok(['import', 'other.raw', 'g.vsi', '-q', '-m', 'two']);
      await ok(['delete', 'g.vsi', '1', '-q']);
      const last = parsedLines((await run(['gc', 'g.vsi', '--progress=json'])).stderr).at(-1);
      expect(last).toMatchObject({ phase: 'gc', done: last?.['total'] });
      expect(last?.['total']).toBeGreaterThanOrEqual(3 * MIB);
    });

    it('that nobody reads stops nothing', async () => {
      const script =
        'vsimg export a.vsi out.raw -f -q --progress-fd 3 3> >(true); vsimg export a.vsi out.raw -f --progress-fd 3 3> >(true)';
      expect(await runShell(script, { cwd: directory })).toMatchObject({ status: 0, stderr: '' });
    });

    it('is silent with -q and none, and refuses other forms and descriptors', async () => {
      expect(await ok(['export', 'a.vsi', 'out.raw', '-f', '-q', '--progress=json'])).toBe('');
      await ok(['export', 'a.vsi', 'out.raw', '-f', '--progress=none'], { env: { VSIMG_PROGRESS: 'json' } });
      expect(await fails(64, ['info', 'a.vsi', '--progress=loud'])).toContain("--progress 'loud'");
      expect(await fails(64, ['info', 'a.vsi', '--progress-fd', '77'])).toContain(
        "--progress-fd '77' can not be written",
      );
    });

    it.each([
      ['-q', /^import {2}\d[^\n]*\n$/],
      ['--progress=json', /^(\{"phase":"import"[^\n]*\}\n)+$/],
    ])('is told once when SIGUSR1 asks, with %s', async (option, expected) => {
      const child = spawn(process.execPath, [BINARY, 'import', '-', `asked${option}.vsi`, option], {
        cwd: directory,
        stdio: ['pipe', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      const closed = once(child, 'close');
      child.stdin.write(noise(2 * MIB, 3));
      await setTimeout(1500);
      const before = stderr.length;
      child.kill('SIGUSR1');
      for (let tries = 0; stderr.length === before && tries < 100; tries++) await setTimeout(50);
      expect(stderr.slice(before)).toMatch(expected);
      child.stdin.end();
      expect(await closed).toEqual([0, null]);
      expect(stderr).not.toContain('ebugger');
    });
  });

  it('SIGUSR1 does nothing to a command that has no progress', async () => {
    await ok(['create', 'locked.vsi', '8M', '-q']);
    const start = (argv: readonly string[]) => {
      const child = spawn(process.execPath, [BINARY, ...argv], { cwd: directory, stdio: ['pipe', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += String(chunk);
      });
      return { child, ended: once(child, 'close').then(([status, signal]) => ({ status, signal, stderr })) };
    };
    const writer = start(['write', 'locked.vsi', '-q']);
    writer.child.stdin.write(noise(MIB, 3));
    await setTimeout(1000);
    const waiting = start(['commit', 'locked.vsi', '-m', 'x', '--wait', '60', '-q']);
    await setTimeout(1000);
    waiting.child.kill('SIGUSR1');
    await setTimeout(200);
    writer.child.stdin.end();
    for (const { ended } of [writer, waiting]) expect(await ended).toEqual({ status: 0, signal: null, stderr: '' });
  });

  describe('the examples of vsimg-scripting(7)', () => {
    /** The lines of shell in the YAML that follows the comment `script: NAME`. */
    function script(name: string): string {
      const page = readFileSync(new URL('../../man/vsimg-scripting.7', import.meta.url), 'utf8');
      const [, display = ''] =
        new RegExp(`^\\.\\\\" script: ${name}\\n\\.Bd [^\\n]*\\n(.*?)^\\.Ed`, 'ms').exec(page) ?? [];
      const lines = display.replaceAll('\\-', '-').replaceAll('\\e', '\\').split('\n');
      const body = lines.slice(lines.findIndex((line) => line.endsWith(' |')) + 1);
      expect(body.length).toBeGreaterThan(5);
      return `set -euo pipefail\n${body.join('\n')}`;
    }

    it('are those of the README', () => {
      const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
      for (const name of ['github', 'gitlab']) {
        const [first, ...body] = script(name).split('\n');
        expect(first).toBe('set -euo pipefail');
        expect(readme).toContain(body.join('\n').trimEnd());
      }
    });

    it('GitHub Actions', async () => {
      const place = workspace();
      writeFileSync(place.path('disk.raw'), noise(MIB, 1));
      await place.ok(['import', 'disk.raw', 'disk.vsi', '--tag', 'golden', '-q']);
      const step = async (run: string) => {
        writeFileSync(place.path('output'), '');
        const env = { GITHUB_SHA: 'abc', GITHUB_RUN_NUMBER: run, GITHUB_OUTPUT: place.path('output') };
        const { status, stderr } = await runShell(script('github'), { cwd: place.directory, env });
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
        return readFileSync(place.path('output'), 'utf8');
      };
      expect(await step('1')).toBe('changed=no\n');
      writeFileSync(place.path('disk.raw'), noise(MIB, 2));
      expect(await step('2')).toBe('changed=yes\n');
      const { tags } = await place.json(['tag', 'disk.vsi']);
      expect(tags).toEqual([
        { name: 'golden', version: 1, locked: false },
        { name: 'run-1', version: 1, locked: false },
        { name: 'run-2', version: 2, locked: false },
      ]);
    });

    it('GitLab', async () => {
      const containers: Buffer[] = [];
      for (let time = 0; time < 2; time++) {
        const place = workspace();
        writeFileSync(place.path('disk.raw'), noise(MIB, 1));
        await runShell('gzip disk.raw', { cwd: place.directory });
        const env = { CI_COMMIT_TIMESTAMP: '2026-11-22T19:09:20+01:00', CI_COMMIT_SHA: 'abc' };
        const first = await runShell(script('gitlab'), { cwd: place.directory, env });
        expect(first).toMatchObject({ status: 0, stdout: '', stderr: '' });
        await place.ok(['tag', 'disk.vsi', 'v1', '-q']);
        expect(await runShell(script('gitlab'), { cwd: place.directory, env })).toMatchObject({
          status: 0,
          stderr: '',
        });
        expect(parsedLines(readFileSync(place.path('versions.jsonl'), 'utf8')).map(({ version }) => version)).toEqual([
          2, 1,
        ]);
        expect(readFileSync(place.path('v1.sha256'), 'utf8')).toMatch(/^[0-9a-f]{64} /);
        containers.push(readFileSync(place.path('disk.vsi')));
      }
      expect(containers[0]?.equals(containers[1] as Buffer)).toBe(true);
    });
  });
});
