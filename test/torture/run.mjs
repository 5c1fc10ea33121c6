// The full run of everything that tries to lose data, with a table at the end. Exits with 1 if anything was lost.
//
//   npm run torture [-- [--scale=SHARE] [--seed=N] [PART...]]
//
// SHARE: 1 is the full run (about half an hour on two cores, and an hour for 'soak', which must be named), 0.01 a hundredth.
// Each part runs in a process of its own.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process, { argv, execPath, exit } from 'node:process';
import { fileURLToPath } from 'node:url';
import { bundle } from '../support/bundle.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const helpers = new Set(['part.ts']);
const known = readdirSync(here)
  .filter((name) => name.endsWith('.ts') && !helpers.has(name))
  .map((name) => name.slice(0, -3));

const options = { scale: '1', seed: '1' };
const names = [];
for (const word of argv.slice(2)) {
  const [, name, value] = /^--(scale|seed)=(.+)$/.exec(word) ?? [];
  if (name !== undefined) options[name] = value;
  else if (known.includes(word)) names.push(word);
  else {
    console.error(`no part '${word}': there are ${known.join(', ')}`);
    exit(64);
  }
}

// The soak takes an hour of its own, and is run when it is asked for.
const parts = names.length === 0 ? known.filter((name) => name !== 'soak') : names;
const out = await bundle(
  'vsimg-torture',
  parts.map((name) => join(here, `${name}.ts`)),
);

function runPart(name) {
  const result = join(out, `${name}-${process.pid}.json`);
  return new Promise((resolve) => {
    const child = spawn(
      execPath,
      [join(here, 'start.mjs'), join(out, `${name}.mjs`), options.scale, options.seed, result],
      {
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    );
    child.on('close', (status) => {
      try {
        resolve(JSON.parse(readFileSync(result, 'utf8')));
        rmSync(result);
      } catch {
        resolve([{ what: `${name} ended with ${status}`, count: 0, losses: 1 }]);
      }
    });
  });
}

// Parts that use one core run two at a time; the others have the machine for themselves.
const usesOneCore = new Set(['cuts', 'damage', 'faults']);
const results = new Map();
const queue = parts.filter((name) => usesOneCore.has(name));
const lane = async () => {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) results.set(name, await runPart(name));
};
await Promise.all([lane(), lane()]);
for (const name of parts) if (!usesOneCore.has(name)) results.set(name, await runPart(name));
const rows = parts.flatMap((name) => results.get(name));
console.log('| what | tried | losses |\n|---|---|---|');
for (const { what, count, losses } of rows) console.log(`| ${what} | ${count.toLocaleString('en')} | ${losses} |`);
exit(rows.some(({ losses }) => losses > 0) ? 1 : 0);
