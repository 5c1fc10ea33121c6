import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openImageFile } from '../../src/image/file.ts';
import { describeImage } from '../support/killed-image.ts';
import {
  LIBRARY_ACTORS,
  type LibraryActor,
  makeSoakImage,
  type SoakOptions,
  type SoakReport,
} from '../support/soak.ts';
import { commandReader, commandWriter } from '../support/soak-commands.ts';
import type { RunPart } from './part.ts';

const MILLISECONDS = 4 * 60 * 1000;
/** All versions that are kept, each stored without compression, and as much again for what is not collected yet. */
const MAX_FILE_BYTES = 2 * 30 * 1024 * 1024;
const BINARY = fileURLToPath(new URL('../../../bin/vsimg.js', import.meta.url));
const WRITERS: readonly string[] = ['writer', 'collector', 'command writer'];

/** One actor in this process: what a process that `run` starts does. */
export async function work(actor: LibraryActor, options: SoakOptions): Promise<void> {
  process.stdout.write(JSON.stringify(await LIBRARY_ACTORS[actor](options)));
}

/** Starts this very bundle again for one actor. */
function inProcess(actor: LibraryActor, options: SoakOptions): Promise<SoakReport> {
  const code = `import(${JSON.stringify(import.meta.url)}).then(({ work }) => work(${JSON.stringify(actor)}, ${JSON.stringify(options)}))`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.on('close', (status) => {
      try {
        resolve(JSON.parse(String(Buffer.concat(parts))));
      } catch {
        resolve({ operations: 0, wrong: [`${actor} ended with ${status}`] });
      }
    });
  });
}

/** Writers, a collector and readers at once, each comparing what it reads with what the messages say. */
export const run: RunPart = async ({ scale, seed, log }) => {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-readers-'));
  const path = join(directory, 'disk.vsi');
  try {
    await makeSoakImage(path);
    const options = { path, milliseconds: MILLISECONDS * scale, binary: BINARY };
    const actors: readonly (readonly [string, Promise<SoakReport>])[] = [
      ...(['writer', 'collector', 'reader', 'reader', 'longReader', 'longReader'] as const).map(
        (actor, index) => [actor, inProcess(actor, { ...options, seed: seed * 100 + index })] as const,
      ),
      ['command writer', commandWriter({ ...options, seed: seed * 100 + 50 })],
      ['command reader', commandReader({ ...options, seed: seed * 100 + 51 })],
      ['command reader', commandReader({ ...options, seed: seed * 100 + 52 })],
    ];
    const counts = { readers: { count: 0, losses: 0 }, writers: { count: 0, losses: 0 } };
    for (const [name, report] of actors) {
      const { operations, wrong } = await report;
      log(`${name}: ${operations} operations, ${wrong.length} wrong`);
      for (const what of wrong.slice(0, 20)) log(`LOSS: ${what}`);
      const sum = WRITERS.includes(name) ? counts.writers : counts.readers;
      sum.count += operations + wrong.length;
      sum.losses += wrong.length;
    }
    const image = await openImageFile(path, { mode: 'write' });
    const wrong: string[] = [];
    await describeImage(image, (what) => wrong.push(what));
    await image.gc();
    image.close();
    const { size } = statSync(path);
    log(`${size} bytes in the end`);
    if (size > MAX_FILE_BYTES) wrong.push(`the file has grown to ${size} bytes`);
    for (const what of wrong) log(`LOSS: ${what}`);
    return [
      { what: 'operations of readers beside writers', ...counts.readers },
      { what: 'operations of writers beside readers', ...counts.writers },
      { what: 'images after that', count: 1, losses: wrong.length === 0 ? 0 : 1 },
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};
