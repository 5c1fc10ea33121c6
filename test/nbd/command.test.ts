import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { execPath } from 'node:process';
import { beforeAll, describe, expect, it } from 'vitest';
import { BINARY } from '../support/cli.ts';
import { workspace } from '../support/workspace.ts';

const SIZE_BYTES = 4 * 1024 * 1024;

const { ok, run, fails, directory } = workspace();

beforeAll(async () => {
  await ok(['create', 'full.vsi', String(SIZE_BYTES), '-q']);
  await ok(['write', 'full.vsi', '--data', 'something', '-q']);
  await ok(['commit', 'full.vsi', '-m', 'first', '-q']);
});

describe('serve with a command', () => {
  it('tells it where the disk is, and how it ended', async () => {
    const seen = await ok(['serve', 'full.vsi', '--', 'sh', '-c', 'echo "$VSIMG_URI"; test -S "$VSIMG_SOCKET"']);
    expect(seen).toMatch(/^nbd\+unix:\/\/\/\?socket=\/.*nbd\.sock\n$/);
    expect(await ok(['serve', 'full.vsi', '--export', '1', '--', 'echo "$VSIMG_URI"'])).toContain('nbd+unix:///1?');
    expect(await run(['serve', 'full.vsi', '--', 'exit 7'])).toMatchObject({ status: 7, stdout: '', stderr: '' });
    expect((await run(['serve', 'full.vsi', '--', 'kill -TERM $$'])).status).toBe(143);
    expect(await fails(66, ['serve', 'full.vsi', '--', 'no-such-program', 'x'])).toContain(
      "cannot run 'no-such-program'",
    );
  });

  it('serves it by TCP too', async () => {
    expect(await ok(['serve', 'full.vsi', '--port', '0', '--', 'nbdinfo --size "$VSIMG_URI"'])).toBe(`${SIZE_BYTES}\n`);
  });

  it('leaves no socket behind', async () => {
    const socket = (await ok(['serve', 'full.vsi', '--', 'echo "$VSIMG_SOCKET"'])).trim();
    expect(
      (await run(['serve', 'full.vsi', '--', `test ! -e ${socket} && test ! -e $(dirname ${socket})`])).status,
    ).toBe(0);
  });

  it.each(['feature/x', '\u00fcn\u00ef', 'h#x', 'p%41', 'pl+us', 'x+scratch', 'sc&ript', "qu'ote"])(
    'gives it an address that clients understand, for an export %s',
    async (name) => {
      await ok(['tag', 'full.vsi', name, '1', '-q']);
      const serve = ['serve', 'full.vsi', '--export', name, '--'];
      const { exports } = JSON.parse(await ok([...serve, 'nbdinfo --json "$VSIMG_URI"']));
      expect(exports).toMatchObject([{ 'export-name': name, is_read_only: true }]);
      const info = JSON.parse(await ok([...serve, 'qemu-img info --output=json "$VSIMG_URI"']));
      expect(info).toMatchObject({ 'virtual-size': SIZE_BYTES });
    },
  );

  it.each([
    ['ends with it', 'echo ready; exec sleep 60', 143],
    ['leaves it time to end in its own way', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.01; done', 9],
  ])('when it is told to stop, %s', async (_how, script, status) => {
    const child = spawn(execPath, [BINARY, 'serve', 'full.vsi', '--', script], { cwd: directory });
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([status, null]);
  });
});
