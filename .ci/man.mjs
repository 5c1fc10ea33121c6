/** Writes the manual pages that are made from the commands' definitions into man/, and removes those of commands that are gone. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundle } from '../test/support/bundle.mjs';

const root = dirname(import.meta.dirname);
const man = join(root, 'man');
const bundles = await bundle('vsimg-man', [join(root, '.ci/man-pages.ts')]);
const { manPages } = await import(pathToFileURL(join(bundles, 'man-pages.mjs')).href);
const pages = await manPages();

mkdirSync(man, { recursive: true });
for (const name of readdirSync(man)) {
  if (name.endsWith('.1') && !pages.has(name)) rmSync(join(man, name));
}
for (const [name, text] of pages) writeFileSync(join(man, name), text);
