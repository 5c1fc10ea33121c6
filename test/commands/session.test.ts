import { mkdirSync, writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cleanup } from '../../src/cli/cleanup.ts';
import type { Io } from '../../src/cli/io.ts';
import { KeptOutput } from '../../src/cli/output.ts';
import { Progress } from '../../src/cli/progress.ts';
import { COMMANDS } from '../../src/cli/registry.ts';
import { Session, type SessionSettings } from '../../src/commands/session.ts';
import { openImageFile } from '../../src/image/file.ts';
import { noise, workspace } from '../support/workspace.ts';

describe('a session', () => {
  const { ok, path } = workspace();

  beforeAll(async () => {
    mkdirSync(path('there'));
    writeFileSync(path('there/one.raw'), noise(50_000, 1));
    await ok(['import', 'there/one.raw', 'disk.vsi', '-m', 'one', '-q']);
    await ok(['import', 'there/one.raw', 'there/other.vsi', '-q']);
  });

  /** Nothing of this process is used: all that a line may touch comes from the test. */
  const io = {
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: { SOURCE_DATE_EPOCH: '1700000000' },
    stdoutIsTerminal: false,
    stderrIsTerminal: false,
    columns: 80,
    now: () => 0,
    writeAtOnce: (bytes) => bytes,
    writeTo: () => undefined,
    onProgressRequest: () => undefined,
    onStop: () => () => undefined,
    exit: () => undefined,
  } satisfies Io;

  async function perform(words: readonly string[], settings: Partial<SessionSettings> = {}) {
    const image = await openImageFile(path('disk.vsi'), { mode: 'write' });
    try {
      const session = new Session({ image, commands: COMMANDS, stdin: 'free', sync: 'on', ...settings });
      const command = await session.command(words);
      const output = new KeptOutput(io);
      const progress = new Progress(io, { show: 'never' });
      const cleanup = new Cleanup();
      const status = await command.run({
        io,
        output,
        progress,
        cleanup,
        waitSeconds: 0,
        commands: COMMANDS,
        runCommandLine: async () => 0,
      });
      return { status, document: output.take() };
    } finally {
      image.close();
    }
  }

  it('has the stdin that it is given, or that of its script', async () => {
    for (const words of [['write'], ['import', '-'], ['compare', '-']])
      await expect(perform(words, { stdin: 'script' })).rejects.toMatchObject({
        code: 'usage',
        message: 'stdin is the script, and can not have the data too',
        hint: expect.stringMatching(/^name a file/),
      });
  });

  it('does not give what a session refuses the status of an answer', async () => {
    const image = await openImageFile(path('disk.vsi'), { mode: 'write' });
    const session = new Session({ image, commands: COMMANDS, stdin: 'script', sync: 'off' });
    const context = { io, output: new KeptOutput(io), progress: new Progress(io, { show: 'never' }) };
    const rest = { cleanup: new Cleanup(), waitSeconds: 0, commands: COMMANDS, runCommandLine: async () => 0 };
    const check = await session.command(['check']);
    const failing = image.transaction(async () => {
      await image.write(0, noise(10, 3));
      await check.run({ ...context, ...rest });
    });
    await expect(failing).rejects.toMatchObject({ code: 'refused', exitStatus: 78 });
    image.close();
  });

  it.each([
    [['create', '1M'], "'create' does not work on an image that is there"],
    [['help'], "'help' does not work on an image that is there"],
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['import'], "missing required argument 'SRC'"],
    [['compare'], "missing required argument 'B'"],
    [['resize', '--help'], 'there is no help here'],
  ])('refuses %j', async (words, message) => {
    await expect(perform(words)).rejects.toMatchObject({ code: 'usage', message });
  });
});
