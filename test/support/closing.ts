import fs from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

const VICTIMS = 16;

/** Files opened now, which take the numbers of descriptors that were closed; returns a check that nobody has touched them. */
export function victims(directory: string): () => void {
  const paths = Array.from({ length: VICTIMS }, (_, index) => join(directory, `victim-${index}`));
  for (const path of paths) fs.writeFileSync(path, 'untouched');
  const fds = paths.map((path) => fs.openSync(path, 'r+'));
  return () => {
    for (const fd of fds) fs.closeSync(fd);
    for (const path of paths) expect(fs.readFileSync(path, 'latin1').slice(0, 20), path).toBe('untouched');
  };
}
