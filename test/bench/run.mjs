// Bundles the measurements, which are TypeScript and look into the engine, and runs them one after the other.
//
//   npm run bench [-- NAME...]      NAME: flat, space, transfer (default: all)
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = fileURLToPath(new URL('../../node_modules/.cache/vsimg-bench/', import.meta.url));
const names = argv.length > 2 ? argv.slice(2) : ['flat', 'space', 'transfer'];

mkdirSync(out, { recursive: true });
await build({
  entryPoints: names.map((name) => `${here}${name}.ts`),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  logLevel: 'error',
});
for (const name of names) {
  const { status } = spawnSync(execPath, ['--expose-gc', `${out}${name}.mjs`], { stdio: 'inherit' });
  if (status !== 0) exit(1);
}
