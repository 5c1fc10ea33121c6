import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openScratchFile } from '../../src/storage/scratch-file.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { codeOf } from './contract.ts';

it('a scratch file holds what is written to it and has no name', () => {
  const directory = scratchDirectory();
  const storage = openScratchFile(join(directory, 'a.vsi'));
  expect(readdirSync(directory)).toEqual([]);
  storage.write(new Uint8Array([1, 2, 3]), 5_000_000_000);
  const back = new Uint8Array(4);
  expect([storage.size(), storage.read(back, 4_999_999_999), ...back]).toEqual([5_000_000_003, 4, 0, 1, 2, 3]);
  storage.close();
  expect(codeOf(() => storage.size())).toBe('internal');
  expect(readdirSync(directory)).toEqual([]);
});

it('a scratch file is made elsewhere where nothing can be written beside the file', () => {
  // Not even root makes files there.
  const storage = openScratchFile('/proc/self/a.vsi');
  storage.write(new Uint8Array([7]), 0);
  expect(storage.size()).toBe(1);
  storage.close();
});
