import { spawn } from 'node:child_process';
import { sha256, someContent } from './killed-image.ts';
import { SeededRandom } from './random.ts';
import {
  isSealed,
  requireOneState,
  SOAK_BYTES,
  type SoakOptions,
  type SoakReport,
  seal,
  WAIT_SECONDS,
} from './soak.ts';

export interface CommandOptions extends SoakOptions {
  /** The program to run. */
  readonly binary: string;
}

interface Ended {
  readonly status: number | null;
  readonly stdout: Buffer;
}

type Run = (argv: readonly string[], allowed: readonly number[], stdin?: Buffer) => Promise<Ended>;

/** As `log --json` lists it. */
interface Listed {
  readonly version: number;
  readonly message: string;
  readonly next: number | null;
  readonly parent: number | null;
}

const NOT_FOUND = 66;
const LOCKED = 75;
const REFUSED = 78;

/** Someone who runs one command after the other; statuses other than 0 and `allowed` are wrong. */
async function loop(
  { path, seed, milliseconds, binary }: CommandOptions,
  action: (run: Run, random: SeededRandom) => Promise<void>,
): Promise<SoakReport> {
  const random = new SeededRandom(seed);
  const wrong: string[] = [];
  const end = Date.now() + milliseconds;
  let operations = 0;
  const run: Run = ([name, ...argv], allowed, stdin) =>
    new Promise((resolve, reject) => {
      const all = [name as string, ...argv].map((word) => word.replace('IMAGE', path));
      const child = spawn(process.execPath, [binary, ...all]);
      const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
      child.stdout.on('data', (part: Buffer) => stdout.push(part));
      child.stderr.on('data', (part: Buffer) => stderr.push(part));
      child.stdin.on('error', () => undefined);
      child.stdin.end(stdin ?? '');
      child.on('error', reject);
      child.on('close', (status) => {
        if (status === 0 || allowed.includes(status ?? -1)) resolve({ status, stdout: Buffer.concat(stdout) });
        else reject(new Error(`${all.join(' ')} ended with ${status}: ${Buffer.concat([...stdout, ...stderr])}`));
      });
    });
  while (Date.now() < end) {
    try {
      await action(run, random);
      operations++;
    } catch (error) {
      wrong.push(`seed ${seed}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { operations, wrong };
}

/** Runs the commands that read and compares what they say with what the messages say. */
export function commandReader(options: CommandOptions): Promise<SoakReport> {
  return loop(options, async (run, random) => {
    const json = async (argv: readonly string[]) => JSON.parse(String((await run([...argv, '--json'], [])).stdout));
    const listed: readonly Listed[] = (await json(['log', 'IMAGE', '-n', '20'])).versions;
    const { version, message } = listed[random.below(listed.length)] as Listed;
    switch (random.below(6)) {
      case 0: {
        const { snapshots, ...info } = await json(['info', 'IMAGE']);
        const { 'version-count': versionCount, head } = info['format-specific'].data;
        const versions = [...snapshots].reverse().map((entry) => ({ ...entry, number: entry.version }));
        requireOneState({ versionCount, head: head.version }, versions);
        return;
      }
      case 1: {
        const { versions, head } = await json(['log', 'IMAGE']);
        const numbered = versions.map((entry: Listed) => ({ ...entry, number: entry.version }));
        requireOneState({ versionCount: versions.length, head: head.version }, numbered);
        return;
      }
      case 2: {
        const other = listed[random.below(listed.length)] as Listed;
        await run(['diff', 'IMAGE', String(version), String(other.version), '--json'], [NOT_FOUND]);
        return;
      }
      case 3:
        await run(['check', 'IMAGE', '--data'], []);
        return;
      case 4: {
        const { stdout } = await run(['read', 'IMAGE', '--length', '1M'], []);
        if (!isSealed(stdout)) throw new Error('the working state is torn');
        return;
      }
      default: {
        const argv =
          random.below(2) === 0 ? ['export', `IMAGE@${version}`, '-'] : ['read', `IMAGE@${version}`, '--length', '1M'];
        const { status, stdout } = await run(argv, [NOT_FOUND]);
        if (status === 0 && sha256(stdout) !== message)
          throw new Error(`${argv.join(' ')} gives ${sha256(stdout)} for ${message}`);
      }
    }
  });
}

/** Runs the commands that write, some of which wait for others and some do not. */
export function commandWriter(options: CommandOptions): Promise<SoakReport> {
  const wait = ['--wait', String(WAIT_SECONDS)];
  return loop(options, async (run, random) => {
    switch (random.below(4)) {
      case 0: {
        const bytes = seal(someContent(random, SOAK_BYTES));
        await run(['import', '-', 'IMAGE', '-m', sha256(bytes), ...wait], [REFUSED], bytes);
        return;
      }
      case 1:
        await run(['tag', 'IMAGE', 'moving', 'HEAD', '--force', ...wait], []);
        return;
      case 2:
        await run(['gc', 'IMAGE', ...(random.below(2) === 0 ? ['--compact'] : [])], [LOCKED]);
        return;
      default:
        await run(['checkout', 'IMAGE', 'main', '--force', ...wait], []);
    }
  });
}
