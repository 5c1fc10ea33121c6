import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { openImageFile } from '../../src/image/file.ts';
import { contentOf, findings } from './killed-image.ts';
import { CMD, FLAG, NbdClient } from './nbd-client.ts';
import type { SeededRandom } from './random.ts';

export interface ServerKillOptions {
  /** Made by the run, and left to the caller. */
  readonly directory: string;
  readonly binary: string;
  readonly kills: number;
  readonly random: SeededRandom;
}

export interface ServerKillReport {
  /** Flushes that were answered. */
  readonly flushes: number;
  readonly losses: readonly string[];
}

const SECTOR = 512;
const DISK_BYTES = 8 * 1024 * 1024;
/** A server gets this long, from its first byte on, before it is killed. */
const MAX_LIFE_MS = 250;

/** What each sector may hold after a cut: what was flushed, or anything that was written to it since. */
class Expected {
  readonly #now: Buffer;
  readonly #since = new Map<number, Buffer[]>();
  #flushed: Buffer;

  constructor(content: Buffer) {
    this.#now = Buffer.from(content);
    this.#flushed = Buffer.from(content);
  }

  write(offset: number, data: Uint8Array): void {
    for (let at = 0; at < data.length; at += SECTOR) {
      const sector = (offset + at) / SECTOR;
      const known = this.#since.get(sector) ?? [];
      known.push(Buffer.from(data.subarray(at, at + SECTOR)));
      this.#since.set(sector, known);
    }
    this.#now.set(data, offset);
  }

  /** All that was written, or all of a range, is lasting. */
  flush({ start, end }: { readonly start: number; readonly end: number } = { start: 0, end: this.#now.length }): void {
    for (const sector of [...this.#since.keys()]) {
      if (sector * SECTOR < start || sector * SECTOR >= end) continue;
      this.#now.copy(this.#flushed, sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR);
      this.#since.delete(sector);
    }
  }

  /** Sectors that hold something else. */
  wrong(actual: Buffer): number[] {
    const found: number[] = [];
    for (let sector = 0; sector * SECTOR < actual.length; sector++) {
      const bytes = actual.subarray(sector * SECTOR, (sector + 1) * SECTOR);
      const isFlushed = bytes.equals(this.#flushed.subarray(sector * SECTOR, (sector + 1) * SECTOR));
      if (!isFlushed && !(this.#since.get(sector) ?? []).some((each) => each.equals(bytes))) found.push(sector);
    }
    return found;
  }
}

/** Kills a server that is written to, over and over on one image, and looks each time at what is left. */
export async function killServers({ directory, binary, kills, random }: ServerKillOptions): Promise<ServerKillReport> {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, 'disk.vsi');
  const vsimg = (argv: readonly string[], input?: Buffer): void => {
    execFileSync(process.execPath, [binary, ...argv], { input, stdio: ['pipe', 'ignore', 'inherit'] });
  };
  vsimg(['create', path, String(DISK_BYTES)]);
  vsimg(['write', path], Buffer.from(random.bytes(64 * 1024)));
  vsimg(['commit', path, '-m', 'one']);
  const losses: string[] = [];
  let version = '';
  let flushes = 0;
  let content: Buffer = Buffer.alloc(0);
  const look = async (what: string): Promise<void> => {
    const image = await openImageFile(path, { mode: 'write' });
    for (const finding of findings(await image.check({ data: true }))) losses.push(`${what}: ${finding}`);
    const hash = createHash('sha256')
      .update(await contentOf(image, '1'))
      .digest('hex');
    if (version !== '' && version !== hash) losses.push(`${what}: version 1 has changed`);
    version = hash;
    content = await contentOf(image, null);
    image.close();
  };
  await look('before');
  for (let kill = 1; kill <= kills; kill++) {
    const expected = new Expected(content);
    const socket = join(directory, 'nbd.sock');
    rmSync(socket, { force: true });
    const child = spawn(process.execPath, [binary, 'serve', path, '--socket', socket], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const gone = new Promise<void>((resolve) => child.on('close', () => resolve()));
    flushes += await writeUntilKilled(child, socket, expected, random).catch((error: unknown) => {
      losses.push(`kill ${kill}: ${String(error)}`);
      child.kill('SIGKILL');
      return 0;
    });
    await gone;
    await look(`kill ${kill}`);
    const wrong = expected.wrong(content);
    if (wrong.length > 0) losses.push(`kill ${kill}: ${wrong.length} sectors are wrong, the first is ${wrong[0]}`);
  }
  return { flushes, losses };
}

/** Resolves to the flushes that were answered, when the server has closed the connection. */
async function writeUntilKilled(
  child: ChildProcessByStdio<null, Readable, null>,
  socket: string,
  expected: Expected,
  random: SeededRandom,
): Promise<number> {
  // Its first line says that it listens.
  await new Promise((resolve) => child.stdout.once('data', resolve).once('end', resolve));
  const client = new NbdClient(connect({ path: socket }));
  await client.open('');
  setTimeout(() => child.kill('SIGKILL'), random.next() * MAX_LIFE_MS);
  let flushes = 0;
  try {
    for (;;) {
      const kind = random.below(12);
      const length = SECTOR * (1 + random.below(kind === 0 ? 2000 : 40));
      const offset = SECTOR * random.below((DISK_BYTES - length) / SECTOR);
      const data = Buffer.alloc(length);
      if (kind > 2) data.fill(Buffer.from(random.bytes(16)));
      if (kind === 1) {
        await client.flush();
        expected.flush();
        flushes++;
        continue;
      }
      expected.write(offset, data);
      if (kind === 2) await client.ok({ command: CMD.zeroes, offset, length });
      else await client.write(offset, data, kind === 3 ? FLAG.fua : 0);
      if (kind === 3) expected.flush({ start: offset, end: offset + length });
    }
  } catch (error) {
    if (!client.isOver) throw error;
  }
  client.socket.destroy();
  return flushes;
}
