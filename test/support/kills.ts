import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createImageFile, openImageFile } from '../../src/image/file.ts';
import {
  committed,
  describeImage,
  describeState,
  emptyState,
  type KnownState,
  sha256,
  someContent,
} from './killed-image.ts';
import { SeededRandom } from './random.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const MAX_VERSIONS = 8;
/** An image takes what its versions take one by one in a new image, and this much for what can not be told apart. */
const GROWTH = { share: 1.3, bytes: MIB };

export interface KillOptions {
  /** Empty; everything happens in it. */
  readonly directory: string;
  /** The program to run. */
  readonly binary: string;
  readonly kills: number;
  readonly seed: number;
  /** Bytes of the disks. */
  readonly diskBytes: number;
  /** Which commands, if not all. */
  readonly only?: readonly string[];
  log(line: string): void;
}

export interface KillReport {
  /** Processes that ended by SIGKILL, by command. */
  readonly kills: ReadonlyMap<string, number>;
  /** How often the state was the one after the command though it was killed. */
  readonly done: number;
  readonly temporaryFiles: number;
  readonly losses: readonly string[];
}

interface Step {
  readonly name: string;
  readonly argv: readonly string[];
  readonly stdin?: Buffer;
  /** What it makes of the state; for a new file the state of that. */
  readonly after: KnownState;
  readonly newFile?: string;
}

interface Ended {
  readonly killed: boolean;
  readonly status: number | null;
  readonly said: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** Kills commands on one image at random moments and looks at what they leave behind. */
export async function killCommands(options: KillOptions): Promise<KillReport> {
  return new Killer(options).run();
}

class Killer {
  readonly #options: KillOptions;
  readonly #random: SeededRandom;
  readonly #image: string;
  readonly #kills = new Map<string, number>();
  readonly #losses: string[] = [];
  /** How long a command takes by itself, in milliseconds. */
  readonly #durations = new Map<string, number>();
  #state: KnownState;
  #done = 0;
  #temporaryFiles = 0;
  #steps = 0;
  #startMilliseconds = 0;

  constructor(options: KillOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#image = join(options.directory, 'disk.vsi');
    this.#state = emptyState(options.diskBytes);
  }

  async run(): Promise<KillReport> {
    const { directory, diskBytes, kills } = this.#options;
    mkdirSync(directory, { recursive: true });
    await createImageFile(this.#image, { sizeBytes: diskBytes });
    this.#startMilliseconds = (
      await this.#start({ name: 'help', argv: ['--version'], after: this.#state })
    ).milliseconds;
    let count = 0;
    while (count < kills) {
      const step = this.#choose();
      if (step === undefined) continue;
      const ended = await this.#start(step, this.#killAfter(step));
      if (ended.killed) {
        count++;
        this.#kills.set(step.name, (this.#kills.get(step.name) ?? 0) + 1);
        if (count % 100 === 0) this.#options.log(`${count} kills, ${this.#losses.length} losses`);
      } else {
        this.#durations.set(step.name, ended.milliseconds);
        if (ended.status !== 0) this.#lose(step, `ended with ${ended.status}: ${ended.stderr}`);
      }
      await this.#judge(step, ended);
    }
    await this.#judgeSize();
    return { kills: this.#kills, done: this.#done, temporaryFiles: this.#temporaryFiles, losses: this.#losses };
  }

  #lose(step: Pick<Step, 'name' | 'argv'>, what: string): void {
    const line = `seed ${this.#options.seed}, step ${this.#steps}, ${step.name} (${step.argv.join(' ')}): ${what}`;
    this.#losses.push(line);
    this.#options.log(`LOSS: ${line}`);
  }

  /** When to kill it; undefined to let it end, which tells how long it takes, or 'answer' for as soon as it says something. */
  #killAfter({ name }: Step): number | 'answer' | undefined {
    const duration = this.#durations.get(name);
    if (duration === undefined || this.#random.below(25) === 0) return undefined;
    if (this.#random.below(8) === 0) return 'answer';
    // Starting the program does nothing to the image: few kills go there.
    const from = this.#random.below(10) === 0 ? 0 : Math.min(this.#startMilliseconds * 0.9, duration * 0.8);
    return from + this.#random.next() * (duration * 1.15 - from);
  }

  #start(step: Step, killAfter?: number | 'answer'): Promise<Ended> {
    const started = performance.now();
    this.#steps++;
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [this.#options.binary, ...step.argv], { cwd: this.#options.directory });
      let [said, stderr] = ['', ''];
      const timer = typeof killAfter === 'number' ? setTimeout(() => child.kill('SIGKILL'), killAfter) : undefined;
      child.stdout.on('data', (part: Buffer) => {
        said += String(part);
        if (killAfter === 'answer') child.kill('SIGKILL');
      });
      child.stderr.on('data', (part: Buffer) => {
        stderr += String(part);
      });
      child.stdin.on('error', () => undefined);
      child.stdin.end(step.stdin ?? '');
      child.on('error', reject);
      child.on('close', (status, signal) => {
        clearTimeout(timer);
        resolve({ killed: signal === 'SIGKILL', status, said, stderr, milliseconds: performance.now() - started });
      });
    });
  }

  #choose(): Step | undefined {
    const all = [
      'import',
      'import-stdin',
      'import-new',
      'create',
      'write',
      'write',
      'commit',
      'commit',
      'checkout',
      'delete',
      'gc',
      'tag',
    ];
    const names = all.filter((name) => this.#options.only?.includes(name) ?? true);
    return this.#plan(names[this.#random.below(names.length)] as string);
  }

  #plan(name: string): Step | undefined {
    const state = this.#state;
    const numbers = [...state.versions.keys()];
    const some = numbers[this.#random.below(numbers.length)];
    switch (name) {
      case 'import':
      case 'import-stdin':
      case 'import-new':
        return this.#planImport(name);
      case 'create':
        return {
          name,
          argv: ['create', 'new.vsi', String(this.#options.diskBytes)],
          after: emptyState(this.#options.diskBytes),
          newFile: 'new.vsi',
        };
      case 'write': {
        const bytes = someContent(this.#random, 1 + this.#random.below(state.working.length >>> 1));
        const offset = this.#random.below(state.working.length - bytes.length + 1);
        const working = Buffer.from(state.working);
        working.set(bytes, offset);
        const argv = ['write', 'disk.vsi', '-', '--offset', String(offset)];
        return { name, argv, stdin: bytes, after: { ...state, working, dirty: true } };
      }
      case 'commit': {
        if (!state.dirty || numbers.length >= MAX_VERSIONS) return undefined;
        return {
          name,
          argv: ['commit', 'disk.vsi', '-m', sha256(state.working)],
          after: committed(state, state.working),
        };
      }
      case 'checkout': {
        const version = state.branches.get('main');
        const isBranch = version !== undefined && this.#random.below(2) === 0;
        const to = isBranch ? version : some;
        if (to === undefined) return undefined;
        const head = { branch: isBranch ? 'main' : null, version: to };
        const working = state.versions.get(to) as Buffer;
        const argv = ['checkout', 'disk.vsi', isBranch ? 'main' : String(to), '--force'];
        return { name, argv, after: { ...state, head, working, dirty: false } };
      }
      case 'delete': {
        const held = new Set([state.head.version, ...state.branches.values()]);
        const doomed = numbers.filter((number) => !held.has(number) && this.#random.below(2) === 0);
        if (doomed.length === 0) return undefined;
        const versions = new Map([...state.versions].filter(([number]) => !doomed.includes(number)));
        const tags = new Map([...state.tags].filter(([, number]) => !doomed.includes(number)));
        return { name, argv: ['delete', 'disk.vsi', ...doomed.map(String)], after: { ...state, versions, tags } };
      }
      case 'gc':
        return { name, argv: ['gc', 'disk.vsi', ...(this.#random.below(2) === 0 ? ['--compact'] : [])], after: state };
      case 'tag': {
        const tag = `t${this.#random.below(20)}`;
        if (some === undefined) return undefined;
        const argv = ['tag', 'disk.vsi', tag, String(some), '--force'];
        return { name, argv, after: { ...state, tags: new Map(state.tags).set(tag, some) } };
      }
      default:
        throw new Error(`no command ${name}`);
    }
  }

  #planImport(name: 'import' | 'import-stdin' | 'import-new'): Step | undefined {
    const { diskBytes, directory } = this.#options;
    const state = name === 'import-new' ? emptyState(0) : this.#state;
    if (state.dirty || state.versions.size >= MAX_VERSIONS) return undefined;
    const content = Buffer.from(state.working);
    // Most of a disk stays as it is from one version to the next.
    const bytes = someContent(this.#random, Math.floor(diskBytes * (0.5 + this.#random.next())));
    if (this.#random.below(2) === 0) content.copy(bytes, 0, 0, Math.floor(bytes.length * this.#random.next()));
    const [stdin, image] = [name === 'import-stdin', name === 'import-new' ? 'new.vsi' : 'disk.vsi'];
    if (!stdin) writeFileSync(join(directory, 'source.raw'), bytes);
    const tag = this.#random.below(3) === 0 ? `i${this.#steps}` : undefined;
    const argv = [
      'import',
      stdin ? '-' : 'source.raw',
      image,
      '-m',
      sha256(bytes),
      ...(tag === undefined ? [] : ['--tag', tag]),
    ];
    return {
      name,
      argv,
      ...(stdin ? { stdin: bytes } : {}),
      ...(name === 'import-new' ? { newFile: image } : {}),
      after: committed(state, bytes, tag),
    };
  }

  /** The image must be there at once for the next writer, whole, and in the state before or after. */
  async #judge(step: Step, ended: Ended): Promise<void> {
    const { directory } = this.#options;
    // Whatever it says, it says when all is done.
    const mustBeDone = ended.said !== '' || !ended.killed;
    const before = step.newFile === undefined ? describeState(this.#state) : 'absent';
    const after = describeState(step.after);
    const path = join(directory, step.newFile ?? 'disk.vsi');
    let found: string;
    try {
      found = await stateOf(path, (what) => this.#lose(step, what));
    } catch (error) {
      this.#lose(step, `can not be opened: ${error instanceof Error ? error.message : error}`);
      return;
    }
    if (ended.killed && found === after && found !== before) this.#done++;
    if (found !== after && (mustBeDone || found !== before))
      this.#lose(
        step,
        `said '${ended.said.trim()}'; state ${found} is neither ${mustBeDone ? '' : `${before} nor `}${after}`,
      );
    if (step.newFile === undefined) {
      if (found === after) this.#state = step.after;
    } else rmSync(path, { force: true });
    for (const name of readdirSync(directory)) {
      if (!/\.tmp-/.test(name)) continue;
      this.#temporaryFiles++;
      rmSync(join(directory, name));
    }
  }

  /** What interrupted commands left behind comes back with the next collection. */
  async #judgeSize(): Promise<void> {
    const step = { name: 'size', argv: [] };
    const image = await openImageFile(this.#image, { mode: 'write' });
    await image.gc();
    image.close();
    const copy = join(this.#options.directory, 'copy.vsi');
    await createImageFile(copy, { sizeBytes: 0 });
    const other = await openImageFile(copy, { mode: 'write' });
    for (const bytes of [...this.#state.versions.values(), this.#state.working]) {
      const source = { sizeBytes: bytes.length, pieces: () => pieces(bytes), close: () => undefined };
      await other.importFrom(source, { message: 'x', timeSeconds: 1, allowEmpty: true });
    }
    await other.gc();
    other.close();
    const [size, least] = [statSync(this.#image).size, statSync(copy).size];
    this.#options.log(`${size} bytes after gc, ${least} in a new image`);
    if (size > least * GROWTH.share + GROWTH.bytes) this.#lose(step, `${size} bytes after gc, ${least} in a new image`);
  }
}

async function* pieces(bytes: Buffer): AsyncGenerator<{ kind: 'data'; start: number; bytes: Uint8Array }> {
  for (let start = 0; start < bytes.length; start += MIB)
    yield { kind: 'data', start, bytes: bytes.subarray(start, start + MIB) };
}

async function stateOf(path: string, wrong: (what: string) => void): Promise<string> {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return 'absent';
  const image = await openImageFile(path, { mode: 'write' });
  try {
    return await describeImage(image, wrong);
  } finally {
    image.close();
  }
}
