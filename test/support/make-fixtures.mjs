/**
 * Writes containers into the folder of the newest format in fixtures/, with what they must read as beside them. Those that
 * are there stay as they are: a released fixture never changes.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle } from './bundle.mjs';

const root = join(import.meta.dirname, '../..');
const bundles = await bundle('vsimg-fixtures', [join(root, 'test/support/fixtures.ts')]);
const { goldenFixtures, damagedFixtures } = await import(pathToFileURL(join(bundles, 'fixtures.mjs')).href);

for (const [folder, fixtures] of [
  ['golden', await goldenFixtures()],
  ['damaged', await damagedFixtures()],
]) {
  const directory = join(root, 'fixtures/v1', folder);
  mkdirSync(directory, { recursive: true });
  for (const { name, bytes, description } of fixtures) {
    if (existsSync(join(directory, `${name}.vsi`))) continue;
    writeFileSync(join(directory, `${name}.vsi`), bytes);
    writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(description, undefined, 2)}\n`);
  }
}
