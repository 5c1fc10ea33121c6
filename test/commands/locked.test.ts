import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { openImageFile } from '../../src/image/file.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { BINARY, runInProcess } from '../support/cli.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

describe('two writers', () => {
  const { fails, run, ok, path, directory } = workspace();

  beforeAll(async () => {
    await ok(['create', 'a.vsi', '8M', '-q']);
  });

  /** A command that has the image locked, because it waits for more of its input. */
  async function writing(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [BINARY, 'write', 'a.vsi', '-', '--offset', '4096'], {
      cwd: directory,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    child.stdin?.write(noise(MIB, 1));
    for (;;) {
      try {
        (await openImageFile(path('a.vsi'), { mode: 'write' })).close();
      } catch {
        return child;
      }
      await setTimeout(20);
    }
  }

  it.runIf(process.platform === 'linux')('the second one is told who the first one is', async () => {
    const { pid } = await writing();
    const holder = `pid ${pid}, 'vsimg write a.vsi - --offset 4096'`;
    for (const argv of [
      ['commit', 'a.vsi', '-m', 'x'],
      ['gc', 'a.vsi', '--wait', '0.05'],
      ['create', 'a.vsi', '1M', '--force'],
    ])
      expect(await fails(75, argv)).toContain(`a.vsi: another process is writing it: ${holder}; try again later`);
    const { stderr } = await run(['tag', 'a.vsi', 'x', '--json']);
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'locked',
      'holder-pid': pid,
      'holder-command': 'vsimg write a.vsi - --offset 4096',
    });
  });

  it('says so where nobody can tell who the first one is', async () => {
    const writer = await openImageFile(path('a.vsi'), { mode: 'write' });
    const unknown = vi.spyOn(FileStorage.prototype, 'lockHolder').mockReturnValue(undefined);
    onTestFinished(() => {
      unknown.mockRestore();
      writer.close();
    });
    const { status, stderr } = await runInProcess(['gc', path('a.vsi')]);
    expect(status).toBe(75);
    expect(stderr).toMatch(/: another process is writing it; which one can not be seen from here \([^\n]*host\); /);
    const json = JSON.parse((await runInProcess(['gc', path('a.vsi'), '--json'])).stderr);
    expect(json).toMatchObject({ code: 'locked', 'holder-pid': null, 'holder-command': null });
  });

  it('an error that is no lock says nothing of a holder', async () => {
    const { stderr } = await run(['gc', 'none.vsi', '--json']);
    expect(JSON.parse(stderr)).not.toHaveProperty('holder-pid');
  });

  it('a lock that is given up while its holder is looked for is taken', async () => {
    const writer = await openImageFile(path('a.vsi'), { mode: 'write' });
    const gone = vi.spyOn(FileStorage.prototype, 'lockHolder').mockImplementation(() => {
      writer.close();
      return undefined;
    });
    onTestFinished(() => gone.mockRestore());
    expect(await runInProcess(['gc', path('a.vsi')])).toMatchObject({ status: 0, stderr: '' });
    expect(gone).toHaveBeenCalled();
  });

  it('the second one waits for the first one to be killed', async () => {
    const child = await writing();
    const waiting = run(['tag', 'a.vsi', '--wait', '60', '--delete', 'none']);
    await setTimeout(100);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect((await waiting).status).toBe(66);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });
});
