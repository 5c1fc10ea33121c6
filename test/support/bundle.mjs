import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '../..');

/**
 * Bundles programs for development, which are TypeScript and look into the engine, to `node_modules/.cache/FOLDER/NAME.mjs`:
 * within node_modules, so that the packages they import are found. Returns that folder.
 */
export async function bundle(folder, entryPoints) {
  const outdir = join(root, 'node_modules/.cache', folder);
  await build({
    entryPoints,
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    // The plain JavaScript build, the one that is shipped.
    alias: { msgpackr: join(root, 'node_modules/msgpackr/index.js') },
    logLevel: 'error',
  });
  return outdir;
}
