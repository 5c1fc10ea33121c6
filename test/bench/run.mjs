// Bundles the benchmark, which is TypeScript and looks into the engine, and runs it. See main.ts.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import process, { argv, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { bundle } from '../support/bundle.mjs';

const out = await bundle(`vsimg-bench/${process.pid}`, [fileURLToPath(new URL('main.ts', import.meta.url))]);
const child = spawn(execPath, [`${out}/main.mjs`, ...argv.slice(2)], { stdio: 'inherit' });
// It has something to put away when it is stopped.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('close', (status) => {
  rmSync(out, { recursive: true, force: true });
  process.exitCode = status ?? 1;
});
