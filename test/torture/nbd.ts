import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { churn } from '../support/nbd-churn.ts';
import { type FuzzReport, fuzzServer } from '../support/nbd-fuzz.ts';
import { killServers } from '../support/nbd-kills.ts';
import { SeededRandom } from '../support/random.ts';
import type { PartOptions, Row, RunPart } from './part.ts';

const SESSIONS = 300_000;
const CONNECTS = 10_000;
const KILLS = 300;
const DISK_BYTES = 256 * 1024 - 100;
const MAX_MEMORY_BYTES = 250 * 1024 * 1024;
// The bundle of this part lies two folders below node_modules.
const BINARY = fileURLToPath(new URL('../../../bin/vsimg.js', import.meta.url));

/** Sessions of enemies of the server of `vsimg serve`, connections in great number, and servers that are killed. */
export const run: RunPart = async (options) => {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-nbd-'));
  try {
    return [await fuzzed(options), await connected(directory, options), await killed(directory, options)];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

async function fuzzed({ scale, seed, log }: PartOptions): Promise<Row> {
  const random = new SeededRandom(seed);
  const sessions = Math.ceil(SESSIONS * scale);
  const storage = new MemoryStorage(new MemoryDisk(), { name: 'fuzz.vsi' });
  const image = new Image(
    Container.create(storage, {
      sizeBytes: DISK_BYTES,
      compression: { codec: 'none' },
      imageId: new Uint8Array(16).fill(1),
    }),
  );
  const content = Buffer.alloc(DISK_BYTES);
  content.set(random.bytes(100_000), 5000);
  await image.write(0, content);
  await image.commit({ message: 'one', timeSeconds: 1, tag: 'v1' });
  await image.write(0, random.bytes(9000));
  await image.commit({ message: 'two', timeSeconds: 2 });
  const report: FuzzReport = await fuzzServer({ image, content }, { sessions, random });
  const wrong = [...report.wrong];
  const { errors, leakedBytes } = await image.check({ data: true });
  for (const { message } of errors) wrong.push(message);
  if (leakedBytes > 0) wrong.push(`${leakedBytes} bytes are leaked`);
  const { rss } = process.memoryUsage();
  log(`${sessions} sessions, ${Math.round(rss / 1024 / 1024)} MiB of memory`);
  for (const what of wrong) log(`LOSS: ${what}`);
  return { what: 'sessions of enemies of a server', count: sessions, losses: wrong.length };
}

async function connected(directory: string, { scale, seed, log }: PartOptions): Promise<Row> {
  const path = join(directory, 'connects.vsi');
  const socket = join(directory, 'nbd.sock');
  const connects = Math.ceil(CONNECTS * scale);
  const start = (argv: readonly string[]) =>
    spawn(process.execPath, [BINARY, ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  for (const argv of [
    ['create', path, '16M'],
    ['commit', path, '--allow-empty', '-m', 'one'],
  ])
    await new Promise((resolve) => start(argv).on('close', resolve).stdout.resume());
  const server = start(['serve', path, '--socket', socket]);
  await new Promise((resolve) => server.stdout.once('data', resolve));
  await churn(socket, { connects, seed });
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  const memoryBytes = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
  const ended = new Promise<number | null>((resolve) => server.on('close', resolve));
  server.kill('SIGTERM');
  const exit = await ended;
  log(`${connects} connects, ${Math.round(memoryBytes / 1024 / 1024)} MiB of memory, ended with ${exit}`);
  const losses = exit === 0 && memoryBytes < MAX_MEMORY_BYTES ? 0 : 1;
  return { what: 'connects to a server', count: connects, losses };
}

async function killed(directory: string, { scale, seed, log }: PartOptions): Promise<Row> {
  const kills = Math.max(4, Math.ceil(KILLS * scale));
  const { flushes, losses } = await killServers({
    directory: join(directory, 'kills'),
    binary: BINARY,
    kills,
    random: new SeededRandom(seed),
  });
  log(`${flushes} flushes before ${kills} kills`);
  for (const what of losses) log(`LOSS: ${what}`);
  return { what: 'kills of a server', count: kills, losses: losses.length };
}
