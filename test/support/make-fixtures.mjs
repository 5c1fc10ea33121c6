/** Writes the containers in fixtures/v0/ anew, with what they must read as beside them. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
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
  const directory = join(root, 'fixtures/v0', folder);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const { name, bytes, description } of fixtures) {
    writeFileSync(join(directory, `${name}.vsi`), bytes);
    writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(description, undefined, 2)}\n`);
  }
}
