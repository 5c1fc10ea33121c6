import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const { ok, path } = workspace();
const env = { SOURCE_DATE_EPOCH: '1700000000' };

const HOWS = ['holes', 'full', 'pipe'];

/** Data and zeros in runs of many lengths, some of them inside blocks' worth of other data. */
function disk(seed: number): Buffer {
  const bytes = Buffer.alloc(23 * MIB + 5000);
  noise(3 * MIB + 70_000, seed).copy(bytes, 5000);
  noise(5 * MIB, seed + 1).copy(bytes, 6 * MIB);
  bytes.fill(0, 7 * MIB, 7 * MIB + 300_000);
  for (let at = 12 * MIB; at < 20 * MIB; at += 333_333) bytes.write('text that compresses '.repeat(3000), at);
  noise(5000, seed + 2).copy(bytes, 23 * MIB);
  return bytes;
}

function sparse(name: string, bytes: Buffer): void {
  writeFileSync(path(`${name}.full`), bytes);
  execFileSync('cp', ['--sparse=always', path(`${name}.full`), path(name)]);
}

describe.each(['none', 'zstd'])('an import with compression %s', (compression) => {
  const image = (how: string) => `${compression}-${how}.vsi`;

  it('stores the same disk in the same way from a file with holes, one without, and a pipe', async () => {
    const [first, second] = [disk(1), disk(1)];
    // Changed, cleared, filled, and left alone.
    noise(200_000, 9).copy(second, 2 * MIB);
    second.fill(0, 6 * MIB, 11 * MIB + 4096);
    noise(6 * MIB, 10).copy(second, 16 * MIB);
    const states = { first, second };
    // The id of an image that an import makes is also that of its size, which a pipe does not tell.
    for (const how of HOWS) await ok(['create', image(how), '0', '--compression', compression, '-q'], { env });
    for (const [name, bytes] of Object.entries(states)) {
      sparse(name, bytes);
      await ok(['import', name, image('holes'), '-m', name, '-q'], { env });
      await ok(['import', `${name}.full`, image('full'), '-m', name, '-q'], { env });
      await ok(['import', '-', image('pipe'), '-m', name, '-q'], { env, stdin: bytes });
    }
    const ids = async (how: string) => (await ok(['log', image(how), '--json'])).replaceAll(image(how), 'IMAGE');
    expect(await ids('full')).toBe(await ids('holes'));
    expect(await ids('pipe')).toBe(await ids('holes'));
    // Uncompressed data goes to space that was set aside for all that may come.
    if (compression !== 'none')
      expect(readFileSync(path(image('full'))).equals(readFileSync(path(image('holes'))))).toBe(true);
    for (const how of HOWS) {
      await ok(['check', image(how), '--data', '-q']);
      for (const [index, bytes] of Object.values(states).entries()) {
        await ok(['export', `${image(how)}@${index + 1}`, 'out.raw', '-f', '-q']);
        expect(readFileSync(path('out.raw')).equals(bytes)).toBe(true);
      }
    }
  });
});
