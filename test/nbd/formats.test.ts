import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { client } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SIZE_BYTES = 16 * MIB;

const { ok, path, directory } = workspace();
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
    const script = `qemu-img convert -n -W -m 8 -f ${format} -O raw in.${format} "$VSIMG_URI"`;
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
