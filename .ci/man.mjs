/** Writes the manual pages that are made from the commands' definitions into man/, and removes those of commands that are gone. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(import.meta.dirname);
const man = join(root, 'man');
/** Within node_modules, so that the packages it imports are found. */
const bundle = join(root, 'node_modules/.cache/vsimg-man/man-pages.mjs');

await build({
  entryPoints: [join(root, '.ci/man-pages.ts')],
  outfile: bundle,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  logLevel: 'warning',
});
const { manPages } = await import(pathToFileURL(bundle).href);
const pages = await manPages();

mkdirSync(man, { recursive: true });
for (const name of readdirSync(man)) {
  if (name.endsWith('.1') && !pages.has(name)) rmSync(join(man, name));
}
for (const [name, text] of pages) writeFileSync(join(man, name), text);
