import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSlots } from '../../src/format/slot.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;
const { run, ok, json, fails, path } = workspace();

/** Turns bits of the byte at `offset`. */
function damage(name: string, offset: number): void {
  const byte = readFileSync(path(name)).subarray(offset, offset + 1);
  const fd = openSync(path(name), 'r+');
  writeSync(fd, Uint8Array.of((byte[0] as number) ^ 0x55), 0, 1, offset);
  closeSync(fd);
}

function placeOf(name: string, bytes: Uint8Array): number {
  const place = readFileSync(path(name)).indexOf(bytes);
  expect(place).toBeGreaterThan(0);
  return place;
}

const first = noise(MIB, 1);
const second = Buffer.concat([first.subarray(0, MIB / 2), noise(MIB / 2, 2)]);

/** bad.vsi: versions 1 and 2, the block at 40960, which both have, is damaged. */
beforeAll(async () => {
  writeFileSync(path('1.raw'), first);
  writeFileSync(path('2.raw'), second);
  await ok(['import', '1.raw', 'a.vsi', '--compression', 'none', '-q']);
  await ok(['import', '2.raw', 'a.vsi', '-q']);
  copyFileSync(path('a.vsi'), path('bad.vsi'));
  damage('bad.vsi', placeOf('bad.vsi', first.subarray(10 * BLOCK, 11 * BLOCK)) + 99);
});

const LOST = { 'guest-offset': 10 * BLOCK, length: BLOCK, versions: [{ first: 1, last: 2 }], working: true };

function rescued(whole: Buffer): Buffer {
  const copy = Buffer.from(whole);
  copy.fill(0, 10 * BLOCK, 11 * BLOCK);
  return copy;
}

describe('check of a damaged image', () => {
  it('says what is lost in which versions, to the block', async () => {
    const { status, stdout } = await run(['check', 'bad.vsi', '--data']);
    expect(status).toBe(2);
    expect(stdout).toContain('lost: bytes 40960 to 45056 of the disk in versions 1 to 2 and the working state\n');
    const document = JSON.parse((await run(['check', 'bad.vsi', '--data', '--json'])).stdout);
    expect(document).toMatchObject({ corruptions: 2, lost: [LOST], 'lost-complete': true });
  });
});

describe('--ignore-errors', () => {
  it('exports what can be read, and tells the rest', async () => {
    await fails(65, ['export', 'bad.vsi@2', 'out.raw', '-q']);
    const { status, stderr } = await run(['export', '--ignore-errors', 'bad.vsi@2', 'out.raw']);
    expect(status).toBe(65);
    expect(stderr).toMatch(
      /^vsimg: bytes 40960 to 45056 of the disk: .*checksum\nvsimg: bad\.vsi: 4096 bytes in 1 range can not be read/,
    );
    expect(readFileSync(path('out.raw')).equals(rescued(second))).toBe(true);
    const result = await run(['export', '--ignore-errors', '--force', 'bad.vsi@2', 'out.raw', '--json']);
    expect(result.status).toBe(65);
    expect(JSON.parse(result.stdout).unreadable).toEqual([
      { 'guest-offset': 10 * BLOCK, length: BLOCK, message: expect.stringContaining('checksum') },
    ]);
    expect(JSON.parse(result.stderr)).toMatchObject({ code: 'corrupt', 'exit-status': 65 });
  });

  it('reads to stdout, also a small range, and ends with 0 where nothing is damaged', async () => {
    const whole = await run(['read', '--ignore-errors', 'bad.vsi@1']);
    expect([whole.status, whole.stdoutBytes.equals(rescued(first))]).toEqual([65, true]);
    const part = await run(['read', '--ignore-errors', 'bad.vsi@1', '--offset', '40000', '--length', '2000']);
    expect([part.status, part.stdoutBytes.equals(rescued(first).subarray(40_000, 42_000))]).toEqual([65, true]);
    const good = await run(['read', '--ignore-errors', 'bad.vsi@1', '--offset', '1k', '--length', '2k']);
    expect([good.status, good.stderr, good.stdoutBytes.equals(first.subarray(1024, 3072))]).toEqual([0, '', true]);
  });

  it('reads what is left of a file that was cut', async () => {
    copyFileSync(path('a.vsi'), path('cut.vsi'));
    truncateSync(path('cut.vsi'), placeOf('cut.vsi', second.subarray(700 * 1024, 701 * 1024)));
    const { status, stdoutBytes } = await run(['read', '--ignore-errors', 'cut.vsi@2', '-q']);
    expect(status).toBe(65);
    // Only what lay behind the cut is gone: the table of a segment lies before its data.
    expect(stdoutBytes.subarray(0, 700 * 1024).equals(second.subarray(0, 700 * 1024))).toBe(true);
    expect(stdoutBytes.subarray(700 * 1024).every((byte) => byte === 0)).toBe(true);
  });
});

describe('check --repair', () => {
  it('leaves a whole image alone', async () => {
    const before = readFileSync(path('a.vsi'));
    expect(await ok(['check', 'a.vsi', '--repair'])).toContain('No errors were found on the image.');
    expect(readFileSync(path('a.vsi')).equals(before)).toBe(true);
  });

  it('marks what is damaged as lost, until it is written again', async () => {
    copyFileSync(path('bad.vsi'), path('mended.vsi'));
    const { status, stdout } = await run(['check', 'mended.vsi', '--repair']);
    expect(status).toBe(2);
    expect(stdout).toContain('repaired: 4096 bytes of stored data can not be read: marked as lost\n');
    expect(stdout).toContain('lost: bytes 40960 to 45056 of the disk in versions 1 to 2 and the working state\n');
    expect(stdout).not.toContain('error');
    expect(await fails(65, ['read', 'mended.vsi@1', '--offset', '40960', '--length', '1'])).toContain(
      'found damaged, and given up by a repair',
    );
    const rest = await run(['read', 'mended.vsi@1', '--offset', '45056']);
    expect(rest.stdoutBytes.equals(first.subarray(11 * BLOCK))).toBe(true);
    await ok(['write', 'mended.vsi', '--offset', '40960', '-q'], { stdin: first.subarray(10 * BLOCK, 11 * BLOCK) });
    await ok(['commit', 'mended.vsi', '-m', 'whole again', '-q']);
    expect((await run(['read', 'mended.vsi@3'])).stdoutBytes.equals(second)).toBe(true);
    await ok(['delete', 'mended.vsi', '1', '2', '-q']);
    await ok(['gc', 'mended.vsi', '-q']);
    await ok(['check', 'mended.vsi', '--data', '-q']);
  });

  it('mends a header from the other one', async () => {
    copyFileSync(path('a.vsi'), path('header.vsi'));
    damage('header.vsi', 100);
    expect(await ok(['check', 'header.vsi'])).toContain('the first header is damaged or out of date');
    const { repaired } = await json(['check', 'header.vsi', '--repair']);
    expect(repaired).toEqual(['the first header was damaged or out of date: written again from the other one']);
    expect((await json(['check', 'header.vsi']))['damaged-header']).toBe(null);
    damage('header.vsi', BLOCK + 100);
    expect((await run(['read', 'header.vsi@1'])).stdoutBytes.equals(first)).toBe(true);
  });

  it('of a file that was cut keeps what is there', async () => {
    copyFileSync(path('a.vsi'), path('cut.vsi'));
    truncateSync(path('cut.vsi'), placeOf('cut.vsi', second.subarray(700 * 1024, 701 * 1024)));
    const before = await run(['read', '--ignore-errors', 'cut.vsi@1', '-q']);
    expect(await ok(['info', 'cut.vsi'])).toMatch(/^damage: +the file was cut: .* are missing at its end$/m);
    expect((await json(['info', 'cut.vsi']))['format-specific'].data.corrupt).toBe(true);
    expect(await fails(65, ['write', 'cut.vsi', '-q'], { stdin: 'x' })).toContain('the file was cut');
    expect((await run(['check', 'cut.vsi', '--repair', '-q'])).status).toBe(2);
    expect((await json(['info', 'cut.vsi']))['format-specific'].data.corrupt).toBe(false);
    const after = await run(['read', '--ignore-errors', 'cut.vsi@1', '-q']);
    expect(after.stdoutBytes.equals(before.stdoutBytes)).toBe(true);
    expect(JSON.parse((await run(['check', 'cut.vsi', '--data', '--json'])).stdout).errors).toEqual([]);
    await ok(['import', '2.raw', 'cut.vsi', '-q']);
    expect((await run(['read', 'cut.vsi'])).stdoutBytes.equals(second)).toBe(true);
    expect(statSync(path('cut.vsi')).size).toBeLessThan(2 * MIB);
  });

  it('with both headers gone says that nothing can be done, and changes nothing', async () => {
    copyFileSync(path('a.vsi'), path('headless.vsi'));
    damage('headless.vsi', 100);
    damage('headless.vsi', BLOCK + 100);
    const before = readFileSync(path('headless.vsi'));
    expect(await fails(1, ['check', 'headless.vsi', '--repair'])).toContain('both headers are damaged');
    expect(readFileSync(path('headless.vsi')).equals(before)).toBe(true);
  });
});

describe('a damaged image that is worked with', () => {
  it.each(['none', 'zstd'])('takes good data as new where the old can not be read (%s)', async (compression) => {
    // Half of it compresses.
    const disk = Buffer.concat([noise(MIB, 5), Buffer.alloc(MIB, 'some text that compresses well. ')]);
    writeFileSync(path('good.raw'), disk);
    const image = `healed-${compression}.vsi`;
    await ok(['import', 'good.raw', image, '--compression', compression, '-q']);
    damage(image, placeOf(image, disk.subarray(20 * BLOCK, 21 * BLOCK)) + 7);
    for (let place = statSync(path(image)).size - 2000; place > statSync(path(image)).size - 2100; place -= 10)
      damage(image, place);
    expect((await run(['export', `${image}@1`, 'broken.raw', '-q'])).status).toBe(65);
    await ok(['import', 'good.raw', image, '-q']);
    const read = await run(['read', image]);
    expect([read.status, read.stdoutBytes.equals(disk)]).toEqual([0, true]);
  });

  it('lists its versions, whatever became of the working state, and drops that when told to', async () => {
    await ok(['import', '1.raw', 'listed.vsi', '--block-size', '512', '--tag', 'one', '-q']);
    // A map of more than the header holds.
    for (let block = 0; block < 200; block += 2)
      await ok(['write', 'listed.vsi', '--offset', String(block * 4096), '-q', '--no-sync'], {
        stdin: noise(512, block + 10),
      });
    const bytes = readFileSync(path('listed.vsi'));
    const { map } = readSlots(bytes.subarray(0, BLOCK), bytes.subarray(BLOCK, 2 * BLOCK), 'x').header.working;
    if (map === null || !('place' in map)) throw new Error('the map has no page');
    damage('listed.vsi', map.place + 5);
    const { head } = (await json(['info', 'listed.vsi']))['format-specific'].data;
    expect(head.dirty).toBe(null);
    expect(await ok(['info', 'listed.vsi'])).toContain('the working state is damaged');
    expect(await ok(['log', 'listed.vsi', '--oneline'])).toContain('(HEAD -> main, tag: one)');
    expect(await ok(['tag', 'listed.vsi'])).toContain('one');
    const { status, stdout } = await run(['check', 'listed.vsi', '--json']);
    expect([status, JSON.parse(stdout).lost[0].working]).toEqual([2, true]);
    await ok(['checkout', 'listed.vsi', 'main', '--force', '-q']);
    expect((await run(['read', 'listed.vsi'])).stdoutBytes.equals(first)).toBe(true);
    await ok(['check', 'listed.vsi', '--data', '-q']);
  }, 120_000);

  it('takes an import from a pipe whose last block is lost', async () => {
    const odd = noise(100_000, 8);
    await ok(['import', '-', 'odd.vsi', '--compression', 'none', '-q'], { stdin: odd });
    damage('odd.vsi', placeOf('odd.vsi', odd.subarray(99_000)));
    expect((await run(['check', 'odd.vsi', '--repair', '-q'])).status).toBe(2);
    await ok(['import', '-', 'odd.vsi', '-q'], { stdin: odd });
    expect((await run(['read', 'odd.vsi'])).stdoutBytes.equals(odd)).toBe(true);
    await ok(['import', '-', 'odd.vsi', '-q'], { stdin: odd.subarray(0, 50_001) });
    expect((await run(['read', 'odd.vsi'])).stdoutBytes.equals(odd.subarray(0, 50_001))).toBe(true);
    await ok(['delete', 'odd.vsi', '1', '-q']);
    await ok(['gc', 'odd.vsi', '-q']);
    await ok(['check', 'odd.vsi', '--data', '-q']);
  });

  it('names exactly what can not be read', async () => {
    expect(await fails(65, ['export', 'bad.vsi@2', 'never.raw', '-q'])).toContain(
      'bytes 40960 to 45056 of the disk are unreadable',
    );
    const { stderr } = await run(['read', 'bad.vsi@1', '--json', '-o', 'never.raw']);
    expect(JSON.parse(stderr)['guest-offset']).toBe(40_960);
  });
});
