import fs from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { deviceSizeBytes } from '../../src/storage/device-size.ts';
import { scratchDirectory } from '../support/scratch.ts';

/** No device has this number, so the length is found by reading, as where there is no /sys. */
const UNKNOWN_DEVICE = 0xffffffff;

it.each([0, 1, 2, 511, 512, 4096, 3 * 1_048_576 + 512, 2 ** 42 + 1])('finds a length of %i by reading', (sizeBytes) => {
  const path = join(scratchDirectory(), 'device');
  fs.writeFileSync(path, '');
  fs.truncateSync(path, sizeBytes);
  const fd = fs.openSync(path, 'r');
  onTestFinished(() => fs.closeSync(fd));
  expect(deviceSizeBytes({ fd, name: path }, UNKNOWN_DEVICE)).toBe(sizeBytes);
});
