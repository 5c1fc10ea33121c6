// Bundles the measurements, which are TypeScript and look into the engine, and runs them one after the other.
//
//   npm run bench [-- NAME...]      NAME: flat, space, transfer (default: all)
import { spawnSync } from 'node:child_process';
import { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { bundle } from '../support/bundle.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const names = argv.length > 2 ? argv.slice(2) : ['flat', 'space', 'transfer'];

const out = await bundle(
  'vsimg-bench',
  names.map((name) => `${here}${name}.ts`),
);
for (const name of names) {
  const { status } = spawnSync(execPath, ['--expose-gc', `${out}/${name}.mjs`], { stdio: 'inherit' });
  if (status !== 0) exit(1);
}
