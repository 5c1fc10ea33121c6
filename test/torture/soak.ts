import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NbdClient } from '../support/nbd-client.ts';
import { SeededRandom } from '../support/random.ts';
import type { PartOptions, Row, RunPart } from './part.ts';

const MIB = 1024 * 1024;
const SECONDS = 3600;
const ROUNDS = 60;
/** Of a disk of 1 GiB; a shorter run has a smaller one, so that as large a share of it is written. */
const DISK_BYTES = 1024 * MIB;
const MIN_DISK_BYTES = 32 * MIB;
const BLOCK = 4096;
const BATCH = 256;
/** Between batches, so that the machine has something left for others. */
const PAUSE_MS = 100;
const KEPT = 5;
const MAX_MEMORY_BYTES = 250 * MIB;
// The bundle of this part lies two folders below node_modules.
const BINARY = fileURLToPath(new URL('../../../bin/vsimg.js', import.meta.url));

/** A disk that is written to at random for an hour, committed every minute, and kept from growing by `forget --gc` while it is served. */
export const run: RunPart = async (options) => {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-soak-'));
  try {
    return [await new Soak(directory, options).run()];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

class Soak {
  readonly #path: string;
  readonly #options: PartOptions;
  readonly #random: SeededRandom;
  readonly #model: Buffer;
  #losses = 0;
  #writes = 0;
  /** The longest file since the last look, in bytes. */
  #longest = 0;
  #worst = 0;

  constructor(directory: string, options: PartOptions) {
    this.#path = join(directory, 'soak.vsi');
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    const share = Math.max(MIN_DISK_BYTES, DISK_BYTES * options.scale);
    this.#model = Buffer.alloc(Math.ceil(share / MIB) * MIB);
  }

  async run(): Promise<Row> {
    const { scale, log } = this.#options;
    await this.#vsimg('create', this.#path, String(this.#model.length));
    const socket = `${this.#path}.sock`;
    const server = spawn(process.execPath, [BINARY, 'serve', this.#path, '--socket', socket], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => server.on('close', resolve));
    await new Promise((resolve) => server.stdout.once('data', resolve));
    const client = NbdClient.unix(socket);
    await client.open('');
    for (let round = 1; round <= ROUNDS; round++) {
      await this.#write(client, (SECONDS * scale * 1000) / ROUNDS);
      await client.flush();
      await this.#look(`round ${round}, before the commit`);
      await this.#vsimg('commit', this.#path, '-m', `round ${round}`);
      await this.#vsimg('forget', this.#path, '--keep-last', String(KEPT), '--gc');
      await this.#look(`round ${round}, collected`);
    }
    await this.#compare(client);
    await client.leave();
    const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) * 1024;
    server.kill('SIGTERM');
    if ((await ended) !== 0) this.#loss('the server did not end well');
    if (peak > MAX_MEMORY_BYTES) this.#loss(`the server took ${mib(peak)} of memory`);
    await this.#vsimg('check', this.#path, '--data');
    log(
      `${this.#writes} writes, ${ROUNDS} commits, the file at most ${this.#worst.toFixed(3)} of what is allowed, ${mib(peak)} of memory`,
    );
    return { what: 'writes to a disk that is served', count: this.#writes, losses: this.#losses };
  }

  async #write(client: NbdClient, milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    do {
      const writes = Array.from({ length: BATCH }, () => {
        const at = this.#random.below(this.#model.length / BLOCK) * BLOCK;
        const block = this.#model.subarray(at, at + BLOCK);
        // Half of it can be compressed.
        for (let word = 0; word < BLOCK / 2; word += 4) block.writeUInt32LE(this.#random.below(2 ** 32), word);
        return client.write(at, Buffer.from(block));
      });
      await Promise.all(writes);
      this.#writes += BATCH;
      this.#longest = Math.max(this.#longest, statSync(this.#path).size);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    } while (performance.now() < end);
  }

  /** How long the file was since the last time, beside what is needed now. */
  async #look(when: string): Promise<void> {
    const { space, 'unneeded-data-bytes': unneeded } = JSON.parse(await this.#vsimg('du', this.#path, '--json'));
    const live = space['data-bytes'] + space['metadata-bytes'] - unneeded;
    const longest = Math.max(this.#longest, space['file-bytes']);
    this.#longest = 0;
    const allowed = 1.3 * live + 64 * MIB;
    this.#worst = Math.max(this.#worst, longest / allowed);
    this.#options.log(`${when}: ${mib(longest)}, ${mib(live)} of it live`);
    if (longest > allowed) this.#loss(`${when}: the file has ${mib(longest)}, which is more than ${mib(allowed)}`);
  }

  async #compare(client: NbdClient): Promise<void> {
    for (let at = 0; at < this.#model.length; at += MIB)
      if (!(await client.read(at, MIB)).equals(this.#model.subarray(at, at + MIB))) this.#loss(`wrong bytes at ${at}`);
  }

  #loss(what: string): void {
    this.#losses++;
    this.#options.log(`LOSS: ${what}`);
  }

  async #vsimg(...argv: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [BINARY, ...argv], { maxBuffer: 64 * MIB });
    return stdout;
  }
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
