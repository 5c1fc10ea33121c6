import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** A new directory that goes when the running test ends. */
export function scratchDirectory(): string {
  const path = fs.mkdtempSync(join(tmpdir(), 'vsimg-test-'));
  onTestFinished(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}
