// Bundles the benchmark, which is TypeScript and looks into the engine, and runs it. See main.ts.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import process, { argv, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { bundle } from '../support/bundle.mjs';

const out = await bundle(`vsimg-bench/${process.pid}`, [fileURLToPath(new URL('main.ts', import.meta.url))]);
const { status } = spawnSync(execPath, [`${out}/main.mjs`, ...argv.slice(2)], { stdio: 'inherit' });
rmSync(out, { recursive: true, force: true });
process.exitCode = status ?? 1;
