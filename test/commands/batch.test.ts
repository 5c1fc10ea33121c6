import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

describe('vsimg batch', () => {
  const { ok, json, fails, run, path, directory } = workspace();
  const data = noise(MIB, 1);

  beforeEach(async () => {
    rmSync(path('disk.vsi'), { force: true });
    writeFileSync(path('one.raw'), data);
    writeFileSync(path('boot.img'), noise(5000, 2));
    await ok(['import', 'one.raw', 'disk.vsi', '-m', 'one', '-q']);
  });

  const bytesOf = async (...words: string[]): Promise<Buffer> =>
    (await run(['read', 'disk.vsi', ...words])).stdoutBytes;
  const clean = () => ok(['check', 'disk.vsi', '--data', '-q']);

  it('takes a script from stdin, with comments and quotes, or from a file', async () => {
    const script = `# what is to be done
write boot.img --offset 100   # a file
  write --data 'it'"'"'s "here"' --offset 9000

commit -m "two words" --tag v2
`;
    const { status, stdout, stderr } = await run(['batch', 'disk.vsi'], { stdin: script });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(stderr).toMatch(
      /^wrote 4.88 KiB at 100: .*\nwrote 11 B at 9000: .*\n\[main 2 \w+\] two words\n(?: .*\n)*3 commands, published at once\n$/,
    );
    expect((await bytesOf('--offset', '100', '--length', '5000')).equals(noise(5000, 2))).toBe(true);
    expect((await bytesOf('--offset', '9000', '--length', '11')).toString()).toBe('it\'s "here"');
    expect((await bytesOf('-l', '1')).equals(data)).toBe(true);
    writeFileSync(path('script'), 'tag from-file\nwrite - --offset 7');
    await ok(['batch', 'disk.vsi', 'script', '-q'], { stdin: 'a pipe' });
    expect((await bytesOf('--offset', '7', '--length', '6')).toString()).toBe('a pipe');
    expect((await json(['tag', 'disk.vsi'])).tags.map(({ name }: { name: string }) => name)).toEqual([
      'from-file',
      'v2',
    ]);
    await clean();
  });

  it('gives a document with what each command would print', async () => {
    const commands = [
      'write --pattern 0xab --length 4k --offset 4k',
      'diff',
      "commit -m 'a b'",
      'log',
      'branch side',
      'checkout side',
      'resize +1M',
      'commit -m larger',
      'diff 1 HEAD',
      'checkout main',
      'branch -d side',
      'delete 3',
      'tag',
    ];
    const document = await json(['batch', 'disk.vsi', ...commands.flatMap((command) => ['-c', command])]);
    expect(document).toMatchObject({ filename: 'disk.vsi', 'operation-count': commands.length, published: true });
    const results = document.operations.map(({ result }: { result: unknown }) => result);
    expect(document.operations.map(({ line, command }: Record<string, unknown>) => [line, command])).toEqual(
      commands.map((command, index) => [index + 1, command.split(' ')[0]]),
    );
    expect(results[0]).toEqual({
      filename: 'disk.vsi',
      offset: 4096,
      length: 4096,
      'stored-bytes': 4096,
      'unchanged-bytes': 0,
      'zero-bytes': 0,
    });
    expect(results[1].ranges).toEqual([{ start: 4096, length: 4096, kind: 'data' }]);
    expect(results[2]).toMatchObject({ version: 2, message: 'a b' });
    expect(results[3].versions.map(({ version }: { version: number }) => version)).toEqual([2, 1]);
    expect(results[8].ranges).toEqual([
      { start: 4096, length: 4096, kind: 'data' },
      { start: MIB, length: MIB, kind: 'hole' },
    ]);
    expect(results[11].deleted).toMatchObject([{ version: 3 }]);
    const log = await json(['log', 'disk.vsi']);
    expect(log).toMatchObject({ head: { branch: 'main', version: 2, dirty: false } });
    await clean();
    await ok(['gc', 'disk.vsi', '-q']);
    await clean();
  });

  it.each([
    ['write --offset 2M --data x', 78, 'line 3: data from 2097152 on reaches beyond the end'],
    ['write --offset 0 nothing.img', 66, "line 3: cannot open 'nothing.img'"],
    ['write', 64, 'line 3: stdin is the script'],
    ['frobnicate', 64, "line 3: unknown command 'frobnicate'; 'vsimg --help' lists"],
    ['gc', 64, "line 3: 'gc' can not be part of a batch"],
    ['batch -c x', 64, "line 3: 'batch' can not be part of a batch"],
    ['write --ofset 3', 64, "line 3: unknown option '--ofset'"],
    ['write disk.vsi boot.img', 64, 'line 3: too many arguments'],
    ['commit -m "x', 64, 'line 3: a double quote is not closed'],
    ['commit --help', 64, 'line 3: there is no help here'],
    ['tag v --json', 64, "line 3: --json is for a whole batch; give it to 'vsimg batch' itself"],
    ['checkout 1', 78, 'line 3: checking out version 1 would drop uncommitted changes'],
    ['resize 4k', 78, 'line 3: 4096 bytes are fewer'],
    ['diff 9', 66, 'line 3: there is no'],
    ['diff --exit-code -l 1', 1, 'line 3: there are differences'],
  ])('%s ends it with status %d, and nothing has happened', async (bad, status, message) => {
    const before = readFileSync(path('disk.vsi'));
    const script = `\nwrite boot.img\n${bad}\nwrite boot.img --offset 9000\ncommit -m never\n`;
    const failed = await run(['batch', 'disk.vsi', '-q'], { stdin: script });
    expect(failed).toMatchObject({
      status,
      stderr: expect.stringMatching(/^vsimg: [^\n]+; the image is unchanged\n$/),
    });
    expect(failed.stderr).toContain(message);
    expect(readFileSync(path('disk.vsi')).equals(before)).toBe(true);
    const { status: again, stdout, stderr } = await run(['batch', 'disk.vsi', '--json'], { stdin: script });
    expect({ again, code: JSON.parse(stderr)['exit-status'] }).toEqual({ again: status, code: status });
    expect(JSON.parse(stdout)).toMatchObject({
      operations: [{ line: 2, command: 'write' }],
      'operation-count': 1,
      published: false,
    });
    expect(readFileSync(path('disk.vsi')).equals(before)).toBe(true);
  });

  it('refuses what is no script', async () => {
    for (const [stdin, message] of [
      [Buffer.from([0x74, 0xff]), 'is not valid UTF-8'],
      [Buffer.alloc(10_000), 'it has bytes of zero'],
      [Buffer.from('tag a\0'), 'it has bytes of zero'],
    ] as const)
      expect(await fails(64, ['batch', 'disk.vsi'], { stdin })).toContain(message);
    expect(await fails(64, ['batch', 'disk.vsi', 'script', '-c', 'tag x'])).toContain('a script and -c');
    expect(await fails(66, ['batch', 'disk.vsi', 'nowhere'])).toContain("'nowhere'");
    expect(await fails(64, ['batch', 'disk.vsi@1', '-c', 'tag x'])).toContain("'@1' names one of its versions");
  });

  it('takes an image whose name begins with a dash', async () => {
    await ok(['create', './-d.vsi', '1M']);
    await ok(['batch', '-c', 'write --data x', '-c', 'commit -m x', '-q', '--', '-d.vsi']);
    expect((await json(['log', './-d.vsi'])).versions).toHaveLength(1);
  });

  it('does nothing for an empty script', async () => {
    const before = readFileSync(path('disk.vsi'));
    expect(await run(['batch', 'disk.vsi'], { stdin: '# nothing\n\n' })).toMatchObject({
      status: 0,
      stdout: '',
      stderr: 'no commands\n',
    });
    expect(readFileSync(path('disk.vsi')).equals(before)).toBe(true);
  });

  it('publishes once for ten thousand commands of a script that comes in parts', async () => {
    const generation = async (): Promise<number> =>
      (await json(['info', 'disk.vsi']))['format-specific'].data.generation;
    const before = await generation();
    const expected = Buffer.from(data);
    const lines: string[] = [];
    for (let index = 0; index < 10_000; index++) {
      const offset = (index * 7919) % (MIB - 16);
      lines.push(`write --hex ${index.toString(16).padStart(8, '0')} --offset ${offset} # line ${index}, and so on`);
      expected.writeUInt32BE(index, offset);
    }
    const stdout = await ok(['batch', 'disk.vsi', '-q'], { stdin: lines.join('\n') });
    expect(stdout).toBe('');
    expect((await bytesOf()).equals(expected)).toBe(true);
    expect(await generation()).toBe(before + 1);
    await clean();
  }, 60_000);

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'changes nothing when %s stops it in the middle',
    async (signal) => {
      const state = async () => [await json(['log', 'disk.vsi']), (await bytesOf()).toString('base64')];
      const before = await state();
      rmSync(path('reached'), { force: true });
      const child = spawn(process.execPath, [BINARY, 'batch', 'disk.vsi', '-q'], {
        cwd: directory,
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      // What stops early leaves its input unread.
      child.stdin.on('error', () => undefined);
      const ended = new Promise((resolve) => child.on('close', (status, by) => resolve(by ?? status)));
      for (let index = 0; index < 3000; index++) child.stdin.write(`write boot.img --offset ${index * 300}\n`);
      child.stdin.write("commit -m 'in the middle' --tag never\nread --length 10 -o reached\n");
      // Lines are read as they come, in pieces of 64 KiB.
      child.stdin.write(`#${'x'.repeat(200_000)}\n`);
      while (!existsSync(path('reached'))) await new Promise((resolve) => setTimeout(resolve, 5));
      child.kill(signal);
      expect(await ended).toBe(signal);
      child.stdin.destroy();
      expect(await state()).toEqual(before);
      expect((await run(['check', 'disk.vsi', '--data', '-q'])).status).toBe(0);
      await ok(['batch', 'disk.vsi', '-c', 'write boot.img', '-c', 'commit -m after --tag never', '-q']);
      await clean();
    },
    60_000,
  );
});

describe('data on the command line of write', () => {
  const { ok, fails, run } = workspace();

  beforeEach(async () => {
    await ok(['create', 'disk.vsi', '64k', '--force', '-q']);
  });

  it.each([
    [['--data', 'grüß'], Buffer.from('grüß')],
    [['--data', ''], Buffer.alloc(0)],
    [['--data', 'hello', '--length', '2'], Buffer.from('he')],
    [['--hex', '00fFa5'], Buffer.from([0, 255, 165])],
    [['--pattern', '0x5a', '--length', '9000'], Buffer.alloc(9000, 0x5a)],
    [['-P', '7', '--length', '3'], Buffer.alloc(3, 7)],
  ])('%j', async (words, bytes) => {
    await ok(['write', 'disk.vsi', '--offset', '4090', ...words]);
    const { stdoutBytes } = await run(['read', 'disk.vsi']);
    const expected = Buffer.alloc(65_536);
    bytes.copy(expected, 4090);
    expect(stdoutBytes.equals(expected)).toBe(true);
  });

  it.each([
    [['--hex', '0'], 64, 'pairs of hexadecimal digits'],
    [['--pattern', '256', '--length', '1'], 64, '256 is no byte'],
    [['--pattern', '1'], 64, '--pattern needs --length'],
    [['--data', 'x', '--hex', '00'], 64, '--data and --hex are given together'],
    [['--data', 'x', '--zero', '--length', '1'], 64, '--zero and --data are given together'],
    [['--data', 'x', 'file'], 64, '--data takes no FILE'],
    [['--data', 'x', '--length', '2'], 74, "'--data' ended after 1 of 2 bytes"],
    [['--data', 'xx', '--offset', '65535'], 78, 'reaches beyond the end'],
  ])('%j is refused', async (words, status, message) => {
    expect(await fails(status, ['write', 'disk.vsi', ...words])).toContain(message);
  });
});
