// Runs one bundled part: start.mjs BUNDLE SCALE SEED RESULT writes its rows as JSON to the file RESULT.
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';

const [, , bundle, scale, seed, result] = argv;
const { run } = await import(pathToFileURL(bundle).href);
const log = (line) => console.error(`${basename(bundle, '.mjs')}: ${line}`);
writeFileSync(result, JSON.stringify(await run({ scale: Number(scale), seed: Number(seed), log })));
