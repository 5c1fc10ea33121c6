import { readFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { asVsimgError, describeFailure, formatFailure } from '../../src/cli/failure.ts';
import { main } from '../../src/cli/main.ts';
import { COMMANDS } from '../../src/cli/registry.ts';
import { PROGRAM_VERSION } from '../../src/cli/version.ts';
import { EXIT_STATUS, VsimgError } from '../../src/errors.ts';
import { fakeIo, runInProcess } from '../support/cli.ts';

describe('main', () => {
  it('knows its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(PROGRAM_VERSION).toBe(version);
    for (const option of ['--version', '-V']) {
      expect(await runInProcess([option])).toMatchObject({ status: 0, stdout: `vsimg ${version}\n`, stderr: '' });
    }
  });

  it.each([['--help'], ['-h'], ['help']])('lists all commands with %s', async (word) => {
    const { status, stdout, stderr } = await runInProcess([word]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { name, summary } of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'));
  });

  it('prints help and an error without a command', async () => {
    const { status, stdout, stderr } = await runInProcess([]);
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toMatch(/^Usage: vsimg/);
    expect(stderr).toMatch(/\nvsimg: no command given; .*\n$/);
  });

  it.each([
    { argv: ['imprt'], line: "vsimg: unknown command 'imprt'; did you mean import? see 'vsimg --help'" },
    { argv: ['xyzzy'], line: "vsimg: unknown command 'xyzzy'; see 'vsimg --help'" },
    { argv: ['--'], line: "vsimg: no command given; see 'vsimg --help'" },
    { argv: ['--frob'], line: "vsimg: unknown option '--frob'; see 'vsimg --help'" },
    { argv: ['-q', 'info', 'x'], line: "vsimg: '-q' stands before the command; put options behind it" },
    {
      argv: ['info'],
      line: "vsimg: missing required argument 'IMAGE'; write 'vsimg info IMAGE'; see 'vsimg info --help'",
    },
    { argv: ['info', 'a', 'b'], line: 'vsimg: too many arguments: 2 instead of 1; name one image at a time' },
    {
      argv: ['info', 'a', '--alll'],
      line: "vsimg: unknown option '--alll'; did you mean --all? see 'vsimg info --help'",
    },
    { argv: ['read', 'a', '--offset'], line: "vsimg: option '--offset <N>' needs a value; see 'vsimg read --help'" },
    {
      argv: ['info', 'a', '--output', 'yaml'],
      line: "vsimg: --output 'yaml' is not a format; it is 'text', 'json' or 'json-lines'",
    },
    { argv: ['gc', 'a', '--wait', 'x'], line: /--wait 'x' is not a number of seconds/ },
    { argv: ['create', 'a', '10GB'], line: /SIZE '10GB'/ },
    { argv: ['create', 'a', '1G', '--compression', 'lz4'], line: /--compression 'lz4'/ },
    { argv: ['commit', 'a'], line: /a version needs a message/ },
    { argv: ['help', 'nothing'], line: /no command or topic 'nothing'/ },
  ])('a wrong command line is one line on stderr and status 64: $argv', async ({ argv, line }) => {
    const { status, stdout, stderr } = await runInProcess(argv);
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toMatch(/^vsimg: [^\n]+\n$/);
    if (typeof line === 'string') expect(stderr).toBe(`${line}\n`);
    else expect(stderr).toMatch(line);
  });

  it.each([['--json'], ['--output=json'], ['--output', 'json']])('errors are JSON with %s', async (...words) => {
    const { status, stdout, stderr } = await runInProcess([
      'info',
      '/nonexistent/x.vsi',
      ...words.filter((word) => typeof word === 'string'),
    ]);
    expect({ status, stdout }).toEqual({ status: 66, stdout: '' });
    expect(stderr.trimEnd()).not.toContain('\n');
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'not-found',
      'exit-status': 66,
      message: expect.any(String),
      hint: expect.any(String),
    });
  });

  it('an image that is not there has status 66, except that check could not be carried out', async () => {
    expect(await runInProcess(['info', '/nonexistent/x.vsi'])).toMatchObject({ status: 66 });
    expect(await runInProcess(['check', '/nonexistent/x.vsi'])).toMatchObject({ status: 1 });
    expect(await runInProcess(['check', '/nonexistent/x.vsi', '--frob'])).toMatchObject({ status: 64 });
  });

  it('ends quietly when nobody reads', async () => {
    const gone = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' }));
      },
    });
    const io = fakeIo({ stdout: gone });
    expect(await main(['help', 'sizes'], io)).toBe(0);
    expect(io.written.stderr.toString()).toBe('');
  });

  it('says so when stdout cannot be written', async () => {
    const full = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC', syscall: 'write' }));
      },
    });
    const io = fakeIo({ stdout: full });
    expect(await main(['help', 'sizes'], io)).toBe(79);
    expect(io.written.stderr.toString()).toMatch(/^vsimg: cannot write to stdout: no space left[^\n]*\n$/);
  });

  it('gives --version and --help the same care about stdout', async () => {
    const full = () =>
      new Writable({
        write(_chunk, _encoding, done) {
          done(Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC', syscall: 'write' }));
        },
      });
    expect(await main(['--version'], fakeIo({ stdout: full() }))).toBe(79);
    expect(await main(['info', '--help'], fakeIo({ stdout: full() }))).toBe(79);
  });
});

describe('failures', () => {
  it('are one line: what, where, what to do', () => {
    const error = new VsimgError('corrupt', 'page checksum differs', {
      path: 'd.vsi',
      hostOffset: 4096,
      guestOffset: 0,
      hint: 'run check.',
    });
    expect(formatFailure(error)).toBe(
      "vsimg: page checksum differs, in 'd.vsi', at byte 0 of the disk, at byte 4096 of the file; run check",
    );
    expect(formatFailure(new VsimgError('io', "cannot read 'd.vsi'", { path: 'd.vsi' }))).toBe(
      "vsimg: cannot read 'd.vsi'",
    );
    expect(formatFailure(new VsimgError('io', "cannot read 'a\nb\x1b'"))).toBe("vsimg: cannot read 'a b\\x1b'");
  });

  it('are objects with --json', () => {
    const error = new VsimgError('corrupt', 'bad', { path: 'd.vsi', hostOffset: 4096 });
    expect(describeFailure(error, 1)).toEqual({
      code: 'corrupt',
      message: 'bad',
      hint: null,
      'exit-status': 1,
      filename: 'd.vsi',
      'host-offset': 4096,
    });
  });

  it.each([
    ['ENOENT', 'not-found'],
    ['EACCES', 'permission'],
    ['EROFS', 'permission'],
    ['ENOSPC', 'no-space'],
    ['EIO', 'io'],
  ])('of the system get a code: %s is %s', (system, code) => {
    const error = Object.assign(new Error(`${system}: something`), { code: system, syscall: 'open', path: 'f' });
    expect(asVsimgError(error)).toMatchObject({ code, message: expect.stringContaining("'f'") });
  });

  it('of the program itself are internal', () => {
    expect(asVsimgError(new TypeError('x is not a function'))).toMatchObject({
      code: 'internal',
      exitStatus: EXIT_STATUS.internal,
    });
    expect(asVsimgError('text')).toMatchObject({ code: 'internal' });
  });
});
