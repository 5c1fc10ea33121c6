import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const hasQemu = spawnSync('qemu-img', ['--version']).error === undefined;

describe('import --if-changed', () => {
  const { ok, json, fails, path } = workspace();

  beforeEach(async () => {
    writeFileSync(path('one.raw'), noise(3 * MIB, 1));
    await ok(['create', 'a.vsi', '0', '--force', '-q']);
    await ok(['import', 'one.raw', 'a.vsi', '--tag', 'v1', '-q']);
  });

  it('makes no version and leaves the file as it is when nothing changed', async () => {
    const before = readFileSync(path('a.vsi'));
    expect(await ok(['import', 'one.raw', 'a.vsi', '--if-changed'])).toMatch(
      /^nothing changed: still 1 [0-9a-f]{8} \(HEAD -> main, tag: v1\) import one\.raw\n/,
    );
    expect(readFileSync(path('a.vsi')).equals(before)).toBe(true);
    const [described] = (await json(['log', 'a.vsi'])).versions;
    for (const options of [{}, { stdin: readFileSync(path('one.raw')) }]) {
      const source = 'stdin' in options ? '-' : 'one.raw';
      const document = await json(['import', source, 'a.vsi', '--if-changed'], options);
      expect(document).toMatchObject({ ...described, changed: false, 'stored-bytes': 0, 'unchanged-bytes': 3 * MIB });
    }
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it.each([
    ['another byte', () => writeFileSync(path('one.raw'), noise(3 * MIB, 1).fill(7, MIB, MIB + 1))],
    ['zeros behind the end', () => truncateSync(path('one.raw'), 4 * MIB)],
    ['a smaller size', () => truncateSync(path('one.raw'), 2 * MIB)],
  ])('makes one of %s', async (_what, change) => {
    change();
    expect(await json(['import', 'one.raw', 'a.vsi', '--if-changed'])).toMatchObject({ version: 2, changed: true });
    expect(await json(['import', 'one.raw', 'a.vsi', '--if-changed'])).toMatchObject({ version: 2, changed: false });
    expect(await json(['import', 'one.raw', 'a.vsi'])).toMatchObject({ version: 3, changed: true });
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('makes the first version of an image, be it empty', async () => {
    expect(await json(['import', 'one.raw', 'new.vsi', '--if-changed'])).toMatchObject({ version: 1, changed: true });
    await ok(['create', 'none.vsi', '1M', '-q']);
    truncateSync(path('one.raw'), 0);
    truncateSync(path('one.raw'), MIB);
    expect(await json(['import', 'one.raw', 'none.vsi', '--if-changed'])).toMatchObject({ version: 1, changed: true });
  });

  it('names the version that is there with --tag, and refuses a name that is taken', async () => {
    const document = await json(['import', 'one.raw', 'a.vsi', '--if-changed', '--tag', 'v2']);
    expect(document).toMatchObject({ version: 1, changed: false, tags: ['v1', 'v2'] });
    expect((await json(['tag', 'a.vsi'])).tags).toEqual([
      { name: 'v1', version: 1, locked: false },
      { name: 'v2', version: 1, locked: false },
    ]);
    expect(await fails(73, ['import', 'one.raw', 'a.vsi', '--if-changed', '--tag', 'v2'])).toContain("tag 'v2'");
    await ok(['check', 'a.vsi', '--data', '-q']);
  });
});

describe('import of what is not raw', () => {
  const { ok, fails, run, path } = workspace();

  const refusal = (name: string, what: string, how: string) =>
    `vsimg: ${name} is ${what}, not a raw one; make it raw with '${how}', or give --force-raw to import the bytes as they are\n`;

  it.skipIf(!hasQemu).each([
    ['qcow2', 'a qcow2 image'],
    ['qed', 'a qed image'],
    ['vmdk', 'a vmdk image'],
    ['vdi', 'a vdi image'],
    ['vpc', 'a vhd image'],
    ['vhdx', 'a vhdx image'],
  ])('%s of qemu-img', async (format, what) => {
    const { status, stderr } = spawnSync('qemu-img', ['create', '-q', '-f', format, path(`disk.${format}`), '2M'], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const name = `disk.${format}`;
    const expected = (shown: string) => refusal(shown, what, 'qemu-img convert -O raw');
    expect(await fails(78, ['import', name, `${format}.vsi`])).toBe(expected(`'${name}'`));
    expect(await fails(78, ['import', '-', `${format}.vsi`], { stdin: readFileSync(path(name)) })).toBe(
      expected('stdin'),
    );
    expect(existsSync(path(`${format}.vsi`))).toBe(false);
    await ok(['import', name, `${format}.vsi`, '--force-raw', '-q']);
    await ok(['export', `${format}.vsi`, 'back', '-f', '-q']);
    expect(readFileSync(path('back')).equals(readFileSync(path(name)))).toBe(true);
  });

  it('an image of vsimg', async () => {
    writeFileSync(path('one.raw'), noise(MIB, 1));
    await ok(['import', 'one.raw', 'a.vsi', '-q']);
    const before = readFileSync(path('a.vsi'));
    await ok(['import', 'one.raw', 'b.vsi', '-q']);
    expect(await fails(78, ['import', 'b.vsi', 'a.vsi'])).toBe(refusal("'b.vsi'", 'an image of vsimg', 'vsimg export'));
    expect(readFileSync(path('a.vsi')).equals(before)).toBe(true);
    await ok(['import', 'b.vsi', 'a.vsi', '--force-raw', '-q']);
    await ok(['check', 'a.vsi', '--data', '-q']);
  });

  it('short and empty files are raw', async () => {
    for (const [name, bytes] of [
      ['empty', ''],
      ['short', 'QFI'],
      ['text', 'QFI\xfb is how a qcow2 image begins'],
    ] as const) {
      writeFileSync(path(name), bytes, 'latin1');
      expect((await run(['import', name, `${name}.vsi`])).status).toBe(0);
    }
  });
});
