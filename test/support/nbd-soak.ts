import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { NbdClient } from './nbd-client.ts';
import type { SeededRandom } from './random.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;
const BATCH = 256;
/** Between batches, so that the machine has something left for others. */
const PAUSE_MS = 100;
/** Also while something is collected, the file is looked at so often. */
const WATCH_MS = 50;
const KEPT = 5;
const MAX_MEMORY_BYTES = 250 * MIB;

export interface SoakOptions {
  readonly directory: string;
  /** The command-line tool. */
  readonly binary: string;
  /** Each ends with a commit, and all but the newest few versions go. */
  readonly rounds: number;
  /** For the writes of a round. */
  readonly roundMs: number;
  readonly diskBytes: number;
  readonly random: SeededRandom;
  readonly log?: (line: string) => void;
}

export interface SoakReport {
  readonly writes: number;
  /** The longest file, as a share of what is allowed: 1.3 x live data + 64 MiB. */
  readonly worstShare: number;
  /** Of memory of the server. */
  readonly peakBytes: number;
  readonly losses: readonly string[];
}

/** Writes at random to a disk that is served, commits, and keeps the file from growing by `forget --gc` meanwhile. */
export async function soakServer(options: SoakOptions): Promise<SoakReport> {
  return new Soak(options).run();
}

class Soak {
  readonly #path: string;
  readonly #options: SoakOptions;
  readonly #model: Buffer;
  readonly #losses: string[] = [];
  #writes = 0;
  /** The longest file since the last look, in bytes. */
  #longest = 0;
  #worst = 0;

  constructor(options: SoakOptions) {
    this.#path = join(options.directory, 'soak.vsi');
    this.#options = options;
    this.#model = Buffer.alloc(options.diskBytes);
  }

  async run(): Promise<SoakReport> {
    const { rounds, binary } = this.#options;
    await this.#vsimg('create', this.#path, String(this.#model.length));
    const socket = `${this.#path}.sock`;
    const server = spawn(process.execPath, [binary, 'serve', this.#path, '--socket', socket], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => server.on('close', resolve));
    const watch = setInterval(() => this.#measure(), WATCH_MS);
    try {
      await new Promise((resolve) => server.stdout.once('data', resolve));
      const client = NbdClient.unix(socket);
      await client.open('');
      for (let round = 1; round <= rounds; round++) {
        await this.#write(client);
        await client.flush();
        await this.#look(`round ${round}, before the commit`);
        await this.#vsimg('commit', this.#path, '-m', `round ${round}`);
        await this.#vsimg('forget', this.#path, '--keep-last', String(KEPT), '--gc');
        await this.#look(`round ${round}, collected`);
        this.#options.log?.(`the server took up to ${mib(peakOf(server))} so far`);
      }
      await this.#compare(client);
      await client.leave();
      const peakBytes = peakOf(server);
      server.kill('SIGTERM');
      if ((await ended) !== 0) this.#loss('the server did not end well');
      if (peakBytes > MAX_MEMORY_BYTES) this.#loss(`the server took ${mib(peakBytes)} of memory`);
      await this.#vsimg('check', this.#path, '--data');
      return { writes: this.#writes, worstShare: this.#worst, peakBytes, losses: this.#losses };
    } finally {
      clearInterval(watch);
      server.kill('SIGKILL');
      await ended;
    }
  }

  async #write(client: NbdClient): Promise<void> {
    const { random, roundMs } = this.#options;
    const end = performance.now() + roundMs;
    do {
      const writes = Array.from({ length: BATCH }, () => {
        const at = random.below(this.#model.length / BLOCK) * BLOCK;
        const block = this.#model.subarray(at, at + BLOCK);
        // Half of it can be compressed.
        for (let word = 0; word < BLOCK / 2; word += 4) block.writeUInt32LE(random.below(2 ** 32), word);
        return client.write(at, Buffer.from(block));
      });
      await Promise.all(writes);
      this.#writes += BATCH;
      this.#measure();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    } while (performance.now() < end);
  }

  #measure(): void {
    this.#longest = Math.max(this.#longest, statSync(this.#path).size);
  }

  /** How long the file was since the last time, beside what is needed now. */
  async #look(when: string): Promise<void> {
    const { space, 'unneeded-data-bytes': unneeded } = JSON.parse(await this.#vsimg('du', this.#path, '--json'));
    const live = space['data-bytes'] + space['metadata-bytes'] - unneeded;
    const longest = Math.max(this.#longest, space['file-bytes']);
    this.#longest = 0;
    const allowed = 1.3 * live + 64 * MIB;
    this.#worst = Math.max(this.#worst, longest / allowed);
    this.#options.log?.(`${when}: ${mib(longest)}, ${mib(live)} of it live`);
    if (longest > allowed) this.#loss(`${when}: the file has ${mib(longest)}, which is more than ${mib(allowed)}`);
  }

  async #compare(client: NbdClient): Promise<void> {
    for (let at = 0; at < this.#model.length; at += MIB)
      if (!(await client.read(at, MIB)).equals(this.#model.subarray(at, at + MIB))) this.#loss(`wrong bytes at ${at}`);
  }

  #loss(what: string): void {
    this.#losses.push(what);
    this.#options.log?.(`LOSS: ${what}`);
  }

  async #vsimg(...argv: readonly string[]): Promise<string> {
    const { binary } = this.#options;
    const { stdout } = await promisify(execFile)(process.execPath, [binary, ...argv], { maxBuffer: 64 * MIB });
    return stdout;
  }
}

/** The most memory that a process had so far, in bytes. */
function peakOf({ pid }: ChildProcess): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

export function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
