import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { text } from '../support/content.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const KIB = 1024;

/** A program is data such as disks hold. */
const PROGRAM = readFileSync(process.execPath).subarray(0, 60 * MIB);

/** Noise with zeros in between, which are stored in the file all the same. */
function mixed(blockCount: number): Buffer {
  const bytes = noise(blockCount * 4 * KIB, 3);
  for (let block = 0; block < blockCount; block++)
    if ((block * 7919) % 10 < 4) bytes.fill(0, block * 4096, (block + 1) * 4096);
  return bytes;
}

describe('vsimg measure', () => {
  const { ok, json, fails, run, path } = workspace();
  let imports = 0;

  /** What `measure` says of a raw disk, and what an import of it gives. */
  async function trial(name: string, ...options: string[]) {
    const image = `${imports++}.vsi`;
    const measured = await json(['measure', name, ...options]);
    await ok(['import', name, image, '-q', '--no-sync', ...options.filter((option) => option !== '--exact')]);
    const info = await json(['info', image]);
    return { measured, actual: statSync(path(image)).size, space: info['format-specific'].data.space };
  }

  beforeAll(() => {
    writeFileSync(path('program.raw'), PROGRAM.subarray(0, 24 * MIB));
    writeFileSync(path('mixed.raw'), mixed(3000));
    writeFileSync(path('odd.raw'), noise(5 * MIB + 77, 1));
    writeFileSync(path('sparse.raw'), noise(MIB, 1));
    truncateSync(path('sparse.raw'), 300 * MIB);
    writeFileSync(path('big.raw'), Buffer.concat([PROGRAM, mixed(10_000), text(20 * MIB, 1), noise(30 * MIB, 2)]));
    truncateSync(path('big.raw'), 1024 * MIB);
  });

  it.each(['program.raw', 'mixed.raw', 'odd.raw', 'sparse.raw'])(
    'says of %s what an import takes, to within metadata',
    async (name) => {
      for (const options of [
        ['--compression', 'none'],
        ['--compression', 'none', '--block-size', '512'],
        [],
        ['--compression', 'zstd:6', '--block-size', '64k'],
      ]) {
        const { measured, actual, space } = await trial(name, ...options);
        expect(measured).toMatchObject({ 'sample-count': 0, required: measured.estimated + measured.error });
        expect(measured.required).toBeGreaterThanOrEqual(actual);
        expect(Math.abs(measured.estimated - actual)).toBeLessThanOrEqual(space['metadata-bytes']);
        // Only of what an import leaves over without compression not everything is known.
        if (measured.compression !== 'none') expect(measured.error).toBe(0);
        expect(measured['fully-allocated']).toBeGreaterThanOrEqual(measured.required);
        expect(measured.uncompressed).toBeGreaterThanOrEqual(measured.required);
      }
    },
  );

  it('says what a full disk takes at most', async () => {
    const { measured, actual } = await trial('odd.raw');
    expect(measured['fully-allocated']).toBeGreaterThanOrEqual(actual);
    expect(measured['fully-allocated']).toBeLessThan(actual * 1.01);
  });

  it('never says that a disk takes more without compression than a full one', async () => {
    writeFileSync(path('sparse.raw'), PROGRAM.subarray(0, 64 * KIB));
    truncateSync(path('sparse.raw'), MIB);
    const measured = await json(['measure', 'sparse.raw']);
    expect(measured.uncompressed).toBeLessThanOrEqual(measured['fully-allocated']);
    await ok(['import', 'sparse.raw', 'sparse.vsi', '--compression', 'none', '-q']);
    expect(statSync(path('sparse.vsi')).size).toBeLessThanOrEqual(measured.uncompressed);
  });

  it('takes samples of much data, and keeps within the error that it states', async () => {
    const { measured, actual } = await trial('big.raw');
    expect(measured).toMatchObject({ 'sample-count': 512, 'sampled-bytes': 128 * MIB, 'virtual-size': 1024 * MIB });
    expect(measured['mapped-bytes']).toBeGreaterThan(128 * MIB);
    expect(Math.abs(measured.estimated - actual)).toBeLessThanOrEqual(measured.error);
    expect(measured.error).toBeGreaterThan(0);
    expect(measured.error).toBeLessThan(actual / 10);
    expect(measured.required).toBe(measured.estimated + measured.error);
    expect(await json(['measure', 'big.raw'])).toEqual(measured);

    const none = await trial('big.raw', '--compression', 'none');
    expect(Math.abs(none.measured.estimated - none.actual)).toBeLessThanOrEqual(none.measured.error);
    expect(none.measured.uncompressed).toBe(none.measured.required);
    expect(measured.uncompressed).toBe(none.measured.required);
    expect(none.measured.error).toBeLessThan(none.actual / 10);

    const exact = await json(['measure', 'big.raw', '--exact']);
    expect(exact).toMatchObject({ error: 0, 'sample-count': 0, 'sampled-bytes': exact['mapped-bytes'] });
    expect(exact.required).toBeGreaterThanOrEqual(actual);
    expect(exact.required - actual).toBeLessThan(64 * KIB);
  });

  it('measures a state of an image as the raw disk that it is', async () => {
    await ok(['import', 'mixed.raw', 'states.vsi', '-q', '--tag', 'v1']);
    await ok(['import', 'program.raw', 'states.vsi', '-q']);
    await ok(['write', 'states.vsi', '-q', '--discard', '--length', '8M']);
    for (const [state, raw] of [
      [['states.vsi@v1'], 'mixed.raw'],
      [['states.vsi', '-l', 'HEAD'], 'program.raw'],
    ] as const) {
      const measured = await json(['measure', ...state]);
      const { required, 'data-bytes': data, 'virtual-size': size } = await json(['measure', raw]);
      expect(measured).toMatchObject({ 'data-bytes': data, 'virtual-size': size, format: 'vsi' });
      expect(Math.abs(measured.required - required)).toBeLessThan(16 * KIB);
    }
    const working = await json(['measure', 'states.vsi', '--block-size', '64k']);
    expect(working).toMatchObject({ version: null, 'mapped-bytes': 16 * MIB, 'block-size': 65536 });
  });

  it('is for people too', async () => {
    const lines = (await ok(['measure', 'big.raw'])).split('\n');
    expect(lines[0]).toMatch(/^required size: {8}[\d.]+ MiB \(\d+ bytes\)$/);
    expect(lines[2]).toMatch(/^fully allocated size: 1 GiB \(\d+ bytes\)$/);
    expect(lines[3]).toMatch(/^estimate: {13}[\d.]+ MiB \+- [\d.]+ [KM]iB$/);
    expect(lines[4]).toMatch(/^samples: {14}512, with 128 MiB of [\d.]+ MiB of data$/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(await ok(['measure', 'odd.raw'])).toContain('samples:              none: all 5 MiB of data were read\n');
  });

  it('refuses what it cannot measure', async () => {
    await fails(64, ['measure']);
    await fails(64, ['measure', '-']);
    await fails(64, ['measure', 'odd.raw@1']);
    await fails(64, ['measure', 'odd.raw', '--compression', 'lz4']);
    await fails(64, ['measure', 'odd.raw', '--block-size', '3k']);
    await fails(66, ['measure', 'none.raw']);
    expect((await run(['measure', 'odd.raw', '-f', 'vsi'])).status).toBe(65);
  });
});
