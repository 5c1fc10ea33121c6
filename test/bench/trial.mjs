// Small reads and small commits with one build of the library, in a process of its own. Prints JSON.
//
//   trial.mjs reads DIST IMAGE OFFSETS      OFFSETS: a file with a JSON list of guest offsets
//   trial.mjs commits DIST IMAGE OFFSETS    one changed block for each of them, then gc
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { performance } from 'node:perf_hooks';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';

const BLOCK = 4096;
const [, , work, dist, path, offsetsPath] = argv;
const offsets = JSON.parse(fs.readFileSync(offsetsPath, 'utf8'));
const { openImageFile } = await import(pathToFileURL(dist).href);

async function reads() {
  let readBytes = 0;
  const { readSync } = fs;
  fs.readSync = (...args) => {
    const count = readSync(...args);
    readBytes += count;
    return count;
  };
  const image = await openImageFile(path, { mode: 'read-long' });
  readBytes = 0;
  const decodedBefore = globalThis.decodedBytes ?? 0;
  const started = performance.now();
  for (const offset of offsets) for await (const _ of image.pieces('HEAD', offset, offset + BLOCK));
  const seconds = (performance.now() - started) / 1000;
  const decodedBytes = (globalThis.decodedBytes ?? 0) - decodedBefore;
  image.close();
  return { seconds, readBytes: readBytes / offsets.length, decodedBytes: decodedBytes / offsets.length };
}

async function commits() {
  const image = await openImageFile(path, { mode: 'write', sync: 'off' });
  await image.gc({});
  const before = image.info().space.metadataBytes;
  for (const [index, offset] of offsets.entries()) {
    await image.write(offset, randomBytes(BLOCK));
    await image.commit({ message: 'one block', timeSeconds: index });
  }
  await image.gc({});
  const after = image.info().space.metadataBytes;
  image.close();
  return { metadataBytes: (after - before) / offsets.length };
}

console.log(JSON.stringify(await (work === 'reads' ? reads() : commits())));
