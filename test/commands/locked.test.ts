import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { openImageFile } from '../../src/image/file.ts';
import { Image } from '../../src/image/image.ts';
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
    const closed = once(child, 'close');
    onTestFinished(async () => {
      // The lock goes with the process, not with the signal.
      child.kill('SIGKILL');
      await closed;
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

describe('readers beside a writer', () => {
  const { ok, path, directory } = workspace();

  it('a reader that is killed gives back the space it kept', async () => {
    writeFileSync(path('one.raw'), noise(8 * MIB, 1));
    await ok(['import', 'one.raw', 'a.vsi', '-q']);
    writeFileSync(path('two.raw'), noise(8 * MIB, 2));
    // Nobody takes what it writes, so that it stands in the middle of the version.
    const reader = spawn(process.execPath, [BINARY, 'export', 'a.vsi@1', '-'], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => {
      reader.kill('SIGKILL');
    });
    await once(reader.stdout, 'readable');
    await ok(['import', 'two.raw', 'a.vsi', '-q']);
    await ok(['delete', 'a.vsi', '1', '-q']);
    await ok(['gc', 'a.vsi', '-q']);
    const held = readFileSync(path('a.vsi')).length;
    expect(held).toBeGreaterThan(16 * MIB);
    for (let round = 0; round < 3; round++) {
      await ok(['write', 'a.vsi', '--offset', '1M', '-q'], { stdin: noise(MIB, 10 + round) });
      await ok(['commit', 'a.vsi', '-m', 'x', '-q']);
      await ok(['gc', 'a.vsi', '-q']);
    }
    const parts: Buffer[] = [];
    for await (const part of reader.stdout) {
      parts.push(part as Buffer);
      if (parts.length === 8) break;
    }
    const bytes = Buffer.concat(parts);
    expect(Buffer.compare(bytes, noise(8 * MIB, 1).subarray(0, bytes.length))).toBe(0);
    reader.kill('SIGKILL');
    await once(reader, 'close');
    await ok(['delete', 'a.vsi', '2', '3', '4', '-q']);
    await ok(['gc', 'a.vsi', '-q']);
    expect(readFileSync(path('a.vsi')).length).toBeLessThan(8.5 * MIB);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('a read tells the version whose bytes it gives, also if the name it was asked for moves', async () => {
    writeFileSync(path('one.raw'), Buffer.alloc(4096, 1));
    writeFileSync(path('two.raw'), Buffer.alloc(4096, 2));
    await ok(['import', 'one.raw', 'c.vsi', '-q']);
    await ok(['import', 'two.raw', 'c.vsi', '-q']);
    await ok(['tag', 'c.vsi', 'moving', '1', '-q']);
    const pieces = Image.prototype.pieces;
    const spy = vi.spyOn(Image.prototype, 'pieces').mockImplementation(async function* (this: Image, ...range) {
      await ok(['tag', 'c.vsi', 'moving', '2', '--force', '-q']);
      yield* pieces.apply(new Image(Container.open(FileStorage.open(path('c.vsi'), { mode: 'read' }))), range);
    });
    onTestFinished(() => spy.mockRestore());
    const argv = ['read', `${path('c.vsi')}@moving`, '--length', '4k', '-o', path('out'), '--json'];
    const { version } = JSON.parse((await runInProcess(argv)).stdout);
    expect(readFileSync(path('out'))[0]).toBe(version);
  });

  it('a reader goes on to the end of its version whatever is done to the image', async () => {
    writeFileSync(path('b.raw'), noise(8 * MIB, 1));
    await ok(['import', 'b.raw', 'b.vsi', '-q']);
    const reader = await openImageFile(path('b.vsi'), { mode: 'read-long' });
    const found = Buffer.alloc(8 * MIB);
    let round = 0;
    for await (const piece of reader.pieces('1', 0, 8 * MIB)) {
      if (piece.kind === 'data') found.set(piece.bytes, piece.start);
      const writer = await openImageFile(path('b.vsi'), { mode: 'write' });
      await writer.write(0, noise(4 * MIB, 100 + round));
      await writer.commit({ message: 'more', timeSeconds: 1_700_000_000 });
      if (round === 0) await writer.deleteVersions(['1']);
      else await writer.deleteVersions([String(round + 1)]);
      await writer.gc();
      writer.close();
      round++;
    }
    expect(round).toBeGreaterThan(4);
    expect(Buffer.compare(found, noise(8 * MIB, 1))).toBe(0);
    const held = readFileSync(path('b.vsi')).length;
    reader.close();
    await ok(['gc', 'b.vsi', '-q']);
    // It kept the half that was rewritten as it was, and not what came and went meanwhile.
    const kept = held - readFileSync(path('b.vsi')).length;
    expect([kept > 3.5 * MIB, kept < 6 * MIB]).toEqual([true, true]);
    await ok(['check', 'b.vsi', '--data', '-q']);
  });
});
