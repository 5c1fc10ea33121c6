import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import type { MemoryDisk } from '../../src/storage/memory.ts';
import { MemoryDisk as Disk } from '../../src/storage/memory.ts';
import { runInProcess } from './cli.ts';
import type { Trial } from './failures.ts';
import { type Fault, type FaultEffect, type FaultKind, FaultyFs } from './faulty-fs.ts';
import { commit, noise, openDisk } from './image.ts';
import { stateOf } from './script.ts';

/** A command line; `@` in it stands for the directory that has `a.vsi`, `source.raw` and `old.raw`. */
export interface FaultCommand {
  readonly argv: readonly string[];
  readonly stdin?: Uint8Array;
}

const SOURCE = noise(40_000, 77);

/** Every command, for the image on `disk`; all of them succeed where nothing goes wrong. */
export async function commandsFor(disk: MemoryDisk): Promise<FaultCommand[]> {
  const image = openDisk(disk);
  if (image.info().head.dirty) await commit(image, 'all of it');
  if (image.refs().some(({ name }) => name === 'spare')) await image.deleteRef('spare', 'branch');
  const versions = [...image.versions()];
  const first = String(versions.at(-1)?.number);
  const spare = versions.find(({ branches, isHead }) => branches.length === 0 && !isHead);
  await image.setBranch('spare', first);
  await image.setTag('another', first, { force: true });
  image.close();
  const text = (words: string, stdin?: Uint8Array): FaultCommand => ({
    argv: words.split(' '),
    ...(stdin === undefined ? {} : { stdin }),
  });
  return [
    text('create @new.vsi 1M'),
    text('create @a.vsi 1M --force'),
    text('import @source.raw @new.vsi'),
    text('import @source.raw @a.vsi --tag imported'),
    text('import - @new.vsi', SOURCE),
    text('import - @a.vsi', SOURCE),
    text('write @a.vsi @source.raw --length 15000'),
    text('write @a.vsi --offset 77', SOURCE.subarray(0, 15_000)),
    text('write @a.vsi --zero --offset 100 --length 15000'),
    text('commit @a.vsi -m more --allow-empty --tag made'),
    text(`checkout @a.vsi ${first}`),
    text(`checkout @a.vsi ${first} -b made`),
    text('branch @a.vsi'),
    text(`branch @a.vsi made ${first}`),
    text('branch @a.vsi -d spare'),
    text('tag @a.vsi'),
    text('tag @a.vsi made'),
    text('tag @a.vsi moving HEAD -f'),
    text('tag @a.vsi -d moving -d another'),
    ...(spare === undefined ? [] : [text(`delete @a.vsi ${spare.number}`)]),
    text('gc @a.vsi'),
    text('gc @a.vsi -n'),
    text(`diff @a.vsi ${first} HEAD`),
    text('log @a.vsi'),
    text('info @a.vsi'),
    text('read @a.vsi'),
    text(`read @a.vsi@${first} --offset 100 --length 9000`),
    text('read @a.vsi -o @new.raw'),
    text('read @a.vsi -o @old.raw'),
    text('export @a.vsi -'),
    text(`export @a.vsi@${first} @new.raw`),
    text('export @a.vsi @old.raw --force'),
    text('check @a.vsi'),
    text('check @a.vsi --data'),
  ];
}

const FAULTS: { readonly [kind in FaultKind]: readonly FaultEffect[] } = {
  open: ['EIO', 'EACCES', 'EMFILE'],
  read: ['EIO', 'short'],
  write: ['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'short', 'nothing'],
  fdatasync: ['EIO', 'ENOSPC', 'EDQUOT'],
  fsync: ['EIO', 'ENOSPC'],
  ftruncate: ['EIO', 'ENOSPC'],
  link: ['EIO', 'ENOSPC', 'EROFS', 'EACCES'],
  rename: ['EIO', 'ENOSPC', 'EROFS', 'EACCES'],
  unlink: ['EIO', 'EACCES'],
  fstat: ['EIO'],
  close: ['EIO'],
  stat: ['EIO', 'EACCES'],
  readdir: ['EIO', 'EACCES'],
  realpath: ['EIO', 'EACCES'],
};

const STATUSES: { readonly [effect in FaultEffect]: number } = {
  EIO: 74,
  EMFILE: 74,
  nothing: 74,
  ENOSPC: 79,
  EDQUOT: 79,
  EROFS: 77,
  EACCES: 77,
  short: 0,
};

/** What the work does not depend on: removing what is left over, looking for it, and closing. */
const HARMLESS: readonly FaultKind[] = ['close', 'unlink', 'readdir'];

interface Outcome {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Everything users can see in the directory, or what is wrong with it. */
  readonly directory: string;
}

/** Runs commands on copies of one image in a directory of their own. */
export class FaultTrials {
  readonly #directory: string;
  readonly #image: Uint8Array;
  readonly #faulty: FaultyFs;
  /** By the hash of a container's bytes: what can be seen in it, with its defects. */
  readonly #seen = new Map<string, string>();

  constructor(directory: string, disk: MemoryDisk) {
    this.#directory = `${directory}/`;
    this.#image = disk.bytes();
    this.#faulty = new FaultyFs(directory);
  }

  /** Every fault at every call of `command`; of reads and writes, which are many, at every `every`-th. */
  async run(command: FaultCommand, { every = 1, offset = 0 } = {}): Promise<Trial> {
    const losses: string[] = [];
    let tried = 0;
    const before = await this.#fresh();
    const whole = await this.#attempt(command, { kind: 'open', call: 0, effect: 'EIO' });
    if (whole.status !== 0) losses.push(`${command.argv.join(' ')} ends with ${whole.status}: ${whole.stderr}`);
    let turn = offset;
    for (const [kind, effects] of Object.entries(FAULTS) as [FaultKind, readonly FaultEffect[]][]) {
      const step = kind === 'read' || kind === 'write' ? every : 1;
      for (const effect of effects) {
        for (const lasting of kind === 'write' && effect !== 'short' ? [false, true] : [false]) {
          for (let call = 1 + (turn++ % step); ; call += step) {
            const fault = { kind, call, effect, lasting };
            await this.#fresh();
            const outcome = await this.#attempt(command, fault);
            if (this.#faulty.fired === 0) break;
            tried++;
            const where = `${command.argv.join(' ')}, ${kind} ${call}${lasting ? ' and later' : ''} ${effect}`;
            const problems = [
              ...this.#problems(command, fault, outcome, { before, whole }),
              ...(await this.#lockProblem()),
            ];
            losses.push(...problems.map((problem) => `${where}: ${problem}`));
          }
        }
      }
    }
    return { tried, losses };
  }

  *#problems(
    { argv: [name] }: FaultCommand,
    { kind, effect }: Fault,
    { status, stdout, stderr, directory }: Outcome,
    { before, whole }: { readonly before: string; readonly whole: Outcome },
  ): Generator<string> {
    if (this.#faulty.openFiles > 0) yield `${this.#faulty.openFiles} files are still open`;
    if (status === 0) {
      if (stderr !== '') yield `it says ${stderr}`;
      if (!stdout.equals(whole.stdout)) yield 'it prints something else';
      if (directory !== whole.directory && kind !== 'unlink') yield `it leaves\n${directory}`;
      if (kind === 'unlink' && withoutTemporary(directory) !== whole.directory) yield `it leaves\n${directory}`;
      return;
    }
    const expected = name === 'check' ? 1 : STATUSES[effect];
    if (effect === 'short' || HARMLESS.includes(kind)) yield 'it does not get over it';
    if (status !== expected) yield `it ends with ${status}, not ${expected}`;
    if (!/^vsimg: [^\n]+; [^\n]+\n$/.test(stderr)) yield `it says ${stderr}`;
    // What a check has found so far is of use, whatever ended it.
    const isPart = name === 'check' || whole.stdout.subarray(0, stdout.length).equals(stdout);
    if (!isPart) yield 'it prints something else';
    if (directory !== before && directory !== whole.directory) yield `it leaves\n${directory}`;
  }

  /** Puts back what every command begins with. */
  async #fresh(): Promise<string> {
    for (const name of fs.readdirSync(this.#directory)) fs.rmSync(join(this.#directory, name));
    fs.writeFileSync(join(this.#directory, 'a.vsi'), this.#image);
    fs.writeFileSync(join(this.#directory, 'source.raw'), SOURCE);
    fs.writeFileSync(join(this.#directory, 'old.raw'), 'old');
    return this.#look();
  }

  async #attempt({ argv, stdin }: FaultCommand, fault: Fault): Promise<Outcome> {
    const words = argv.map((word) => word.replace(/^@/, this.#directory));
    const options = { env: { SOURCE_DATE_EPOCH: '1700000000' }, ...(stdin === undefined ? {} : { stdin }) };
    const { status, stdoutBytes, stderr } = await this.#faulty.during(fault, () => runInProcess(words, options));
    return { status, stdout: stdoutBytes, stderr, directory: await this.#look() };
  }

  async #look(): Promise<string> {
    const lines: string[] = [];
    for (const name of fs.readdirSync(this.#directory).sort()) {
      const bytes = fs.readFileSync(join(this.#directory, name));
      const hash = createHash('sha1').update(bytes).digest('hex');
      lines.push(`${name}: ${name.endsWith('.vsi') ? await this.#stateOf(bytes, hash) : hash}`);
    }
    return lines.join('\n');
  }

  async #stateOf(bytes: Uint8Array, hash: string): Promise<string> {
    let seen = this.#seen.get(hash);
    if (seen === undefined) {
      seen = await describe(bytes).catch((error: unknown) => String(error));
      this.#seen.set(hash, seen);
    }
    return seen;
  }

  /** Whatever became of the command, the next writer must not have to wait. */
  async #lockProblem(): Promise<string[]> {
    const argv = ['write', `${this.#directory}a.vsi`, '--zero', '--length', '1', '--no-sync', '-q'];
    const { status, stderr } = await runInProcess(argv);
    return status === 0 ? [] : [`the next write ends with ${status}: ${stderr}`];
  }
}

async function describe(bytes: Uint8Array): Promise<string> {
  const image = openDisk(Disk.from(bytes), { readOnly: true });
  const { errors, leakedBytes } = await image.check({ data: true });
  const defects = [...errors.map(({ message }) => `error: ${message}`), ...(leakedBytes > 0 ? ['leak'] : [])];
  return [
    ...defects,
    createHash('sha1')
      .update(await stateOf(image))
      .digest('hex'),
  ].join(', ');
}

/** What can not be removed stays. */
function withoutTemporary(directory: string): string {
  return directory
    .split('\n')
    .filter((line) => !/^\.[^:]*\.tmp-/.test(line))
    .join('\n');
}
