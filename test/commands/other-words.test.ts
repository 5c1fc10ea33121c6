import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const { ok, json, run, fails, path } = workspace();

beforeAll(async () => {
  for (const [name, seed] of [
    ['one.raw', 1],
    ['two.raw', 2],
  ] as const) {
    writeFileSync(path(name), noise(20_000, seed));
    await ok(['import', name, 'a.vsi', '-q', '--tag', name.slice(0, 3)]);
  }
});

describe('words in another order or form', () => {
  it('@REV in front of a line of a batch is that version of the image', async () => {
    const lines = ['export @one first.raw', 'read @one -o read.raw --length 10', 'log @1'];
    await run(['batch', 'a.vsi', ...lines.flatMap((line) => ['-c', line]), '-q']);
    expect(readFileSync(path('first.raw')).equals(noise(20_000, 1))).toBe(true);
    expect(readFileSync(path('read.raw')).equals(noise(20_000, 1).subarray(0, 10))).toBe(true);
    expect(await fails(64, ['batch', 'a.vsi', '-c', 'export @one'])).toContain('-c 1: ');
  });

  it('diff takes two versions as IMAGE@REV too, if they are of one image', async () => {
    expect(await json(['diff', 'a.vsi@one', 'a.vsi@two'])).toEqual(await json(['diff', 'a.vsi', 'one', 'two']));
    await ok(['create', 'b.vsi', '1M', '-q']);
    expect(await fails(64, ['diff', 'a.vsi@one', 'b.vsi@two'])).toContain("'b.vsi@two' names an image");
  });

  it('import says where a source is looked for, and what to do with one on the network', async () => {
    expect(await fails(66, ['import', 'new.vsi', 'one.raw'])).toContain(
      "SRC comes first: 'vsimg import one.raw new.vsi'",
    );
    expect(await fails(66, ['import', 'nbd://host/x', 'a.vsi'])).toContain(
      "nbdcopy 'nbd://host/x' - | vsimg import - a.vsi",
    );
  });

  it('export warns of a name that promises another format, and writes raw data all the same', async () => {
    const loud = await run(['export', 'a.vsi@one', 'x.qcow2']);
    expect(loud).toMatchObject({ status: 0 });
    expect(loud.stderr).toMatch(
      /^vsimg: 'x\.qcow2' will hold raw data, and no qcow2; [^\n]*qemu-img convert -O qcow2 [^\n]*\n$/,
    );
    expect(readFileSync(path('x.qcow2')).equals(noise(20_000, 1))).toBe(true);
    expect(await run(['export', 'a.vsi@one', 'y.vmdk', '-q'])).toMatchObject({ status: 0, stderr: '' });
  });

  it('forget tells in a dry run which tags would go', async () => {
    const { 'deleted-tags': tags } = await json(['forget', 'a.vsi', '--keep-last', '1', '-n']);
    expect(tags).toEqual(['one']);
    expect((await json(['log', 'a.vsi'])).versions).toHaveLength(2);
  });
});
