import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { client } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SIZE_BYTES = 16 * MIB;

const { ok, run, fails, path, directory } = workspace();
const inPlace = { cwd: directory };
const content = Buffer.alloc(SIZE_BYTES);
content.set(noise(3 * MIB, 1), MIB);
content.set(noise(4096, 2), SIZE_BYTES - 4096);

beforeAll(async () => {
  writeFileSync(path('disk.raw'), content);
  await ok(['import', 'disk.raw', 'full.vsi', '-q']);
});

describe.each(['qcow2', 'vmdk', 'vhdx'])('serve with qemu-img, for %s', (format) => {
  it('takes it in', async () => {
    await client('qemu-img', ['convert', '-f', 'raw', '-O', format, 'disk.raw', `in.${format}`], inPlace);
    await ok(['create', `in-${format}.vsi`, String(SIZE_BYTES), '-q']);
    const script = `qemu-img convert -n -f ${format} -O raw in.${format} "$VSIMG_URI"`;
    await ok(['serve', `in-${format}.vsi`, '--', script]);
    await ok(['commit', `in-${format}.vsi`, '-q', '-m', 'from qemu']);
    await ok(['export', `in-${format}.vsi@1`, `back-${format}.raw`, '-q']);
    expect(readFileSync(path(`back-${format}.raw`)).equals(content)).toBe(true);
    // Zeros are not stored.
    expect(statSync(path(`in-${format}.vsi`)).size).toBeLessThan(5 * MIB);
    await ok(['check', `in-${format}.vsi`, '--data', '-q']);
  });

  it('gives it out', async () => {
    const script = `qemu-img convert -f raw -O ${format} "$VSIMG_URI" out.${format}`;
    await ok(['serve', 'full.vsi', '--export', '1', '--', script]);
    expect(await client('qemu-img', ['compare', 'disk.raw', `out.${format}`], inPlace)).toContain('identical');
  });
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
});
