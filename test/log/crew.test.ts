import { EventEmitter } from 'node:events';
import { existsSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Crew } from '../../src/log/crew.ts';
import { type Job, runJob } from '../../src/log/jobs.ts';
import type { SealJob } from '../../src/log/seal-job.ts';
import { closeQuietly } from '../../src/storage/descriptor.ts';
import { noise } from '../support/content.ts';
import { scratchDirectory } from '../support/scratch.ts';

const THREAD = fileURLToPath(new URL('../../dist/worker.cjs', import.meta.url));
const BLOCK = 4096;

const threads = createRequire(import.meta.url)('node:worker_threads') as { Worker: unknown };
const RealWorker = threads.Worker as new (file: string | URL, options: object) => EventEmitter;

/** What a crew starts is a `fake` until the test ends. */
function useWorker(fake: unknown): void {
  threads.Worker = fake;
  onTestFinished(() => {
    threads.Worker = RealWorker;
  });
}

/** Takes jobs, and does with them what a test wants. */
class FakeWorker extends EventEmitter {
  static started: FakeWorker[] = [];
  readonly jobs: Job[] = [];
  references = 1;

  constructor() {
    super();
    FakeWorker.started.push(this);
  }

  ref(): void {
    this.references = 1;
  }

  unref(): void {
    this.references = 0;
  }

  postMessage(job: Job): void {
    this.jobs.push(job);
  }

  answer(): void {
    const job = this.jobs.shift();
    if (job !== undefined) this.emit('message', runJob(job));
  }
}

function useFakes(): readonly FakeWorker[] {
  FakeWorker.started = [];
  useWorker(FakeWorker);
  return FakeWorker.started;
}

/** A job that tells from its result which one it is. */
function sealJob(number: number): SealJob {
  const raw = noise(BLOCK, number);
  return {
    kind: 'seal',
    raw,
    into: new Uint8Array(BLOCK),
    blockBytes: BLOCK,
    compression: { codec: 'none' },
    chunks: [{ start: 0, blockCount: 1, present: undefined }],
  };
}

const sealJobs = (count: number): SealJob[] => Array.from({ length: count }, (_, number) => sealJob(number));

async function expectAllDone(crew: Crew, count = 20): Promise<void> {
  const results = await Promise.all(sealJobs(count).map((job) => crew.run(job)));
  expect(results).toEqual(sealJobs(count).map((job) => runJob(job)));
}

const immediate = () => new Promise((resolve) => setImmediate(resolve));
async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await immediate();
}

describe('a crew', () => {
  it.skipIf(!existsSync(THREAD))('of real threads gives each job its own result', async () => {
    let started = 0;
    let answered = 0;
    useWorker(
      class extends RealWorker {
        constructor(_file: unknown, options: object) {
          super(THREAD, options);
          started++;
          this.on('message', () => answered++);
        }
      },
    );
    const crew = new Crew(2);
    await expectAllDone(crew, 4);
    await expectAllDone(crew, 100);
    expect(started).toBe(2);
    expect(answered).toBeGreaterThan(0);
    expect(crew.depth).toBe(5);
  });

  it('without threads does everything here', async () => {
    const fakes = useFakes();
    await expectAllDone(new Crew(0));
    expect(fakes).toEqual([]);
  });

  it('whose thread has nothing to run goes on without threads', async () => {
    let started = 0;
    useWorker(
      class extends RealWorker {
        constructor(_file: unknown, options: object) {
          super('/nowhere/worker.cjs', options);
          started++;
        }
      },
    );
    const crew = new Crew(3);
    await expectAllDone(crew);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = started;
    await expectAllDone(crew);
    expect(started).toBe(before);
    expect(crew.depth).toBe(1);
  });

  it('goes on without threads where the system gives none', async () => {
    let tried = 0;
    useWorker(
      class {
        constructor() {
          tried++;
          throw new Error('no thread');
        }
      },
    );
    const crew = new Crew(3);
    await expectAllDone(crew);
    await expectAllDone(crew);
    expect(tried).toBe(1);
  });

  it('does here what a thread was at that ended', async () => {
    const fakes = useFakes();
    const crew = new Crew(1);
    const jobs = sealJobs(2);
    const results = jobs.map((job) => crew.run(job));
    await someTurns();
    expect(fakes[0]?.jobs).toHaveLength(2);
    fakes[0]?.emit('error', new Error('out of memory'));
    fakes[0]?.emit('exit', 1);
    expect(await Promise.all(results)).toEqual(jobs.map((job) => runJob(job)));
    await expectAllDone(crew);
    expect(fakes).toHaveLength(1);
  });

  it('does a job here that a thread could not, which fails as it fails here', async () => {
    const fakes = useFakes();
    const crew = new Crew(1);
    const name = join(scratchDirectory(), 'short');
    writeFileSync(name, 'x');
    const source = { fd: openSync(name, 'r'), name };
    onTestFinished(() => closeQuietly(source.fd));
    const compression = { codec: 'none' } as const;
    const into = { memory: new Uint8Array(BLOCK) };
    const failing = crew.run({
      kind: 'fill',
      source,
      ranges: [{ start: 0, end: BLOCK }],
      blockBytes: BLOCK,
      compression,
      into,
    });
    const fine = crew.run(sealJob(1));
    fakes[0]?.jobs.shift();
    fakes[0]?.emit('message', undefined);
    fakes[0]?.answer();
    await expect(failing).rejects.toMatchObject({ code: 'io', path: name });
    expect(await fine).toEqual(runJob(sealJob(1)));
  });

  it('has two jobs for each thread, helps with the rest, and lets the process end when there are none', async () => {
    const fakes = useFakes();
    const crew = new Crew(2);
    const done: number[] = [];
    const all = sealJobs(10).map((job, number) => crew.run(job).then(() => done.push(number)));
    await someTurns();
    expect(fakes.map(({ jobs }) => jobs.length)).toEqual([2, 2]);
    expect(done).toEqual([4, 5, 6, 7, 8, 9]);
    expect(fakes.map(({ references }) => references)).toEqual([1, 1]);
    for (const fake of fakes) for (let count = 0; count < 2; count++) fake.answer();
    await Promise.all(all);
    expect(fakes.map(({ references }) => references)).toEqual([0, 0]);
  });

  it('keeps the files of a job open until it is done', async () => {
    const fakes = useFakes();
    const crew = new Crew(1);
    const name = join(scratchDirectory(), 'source');
    writeFileSync(name, noise(BLOCK, 1));
    const source = { fd: openSync(name, 'r'), name };
    const { ino } = fstatSync(source.fd);
    const compression = { codec: 'none' } as const;
    const jobs = [1, 2].map(() =>
      crew.run({
        kind: 'fill',
        source,
        ranges: [{ start: 0, end: BLOCK }],
        blockBytes: BLOCK,
        compression,
        into: { memory: new Uint8Array(BLOCK) },
      }),
    );
    closeQuietly(source.fd);
    closeQuietly(source.fd);
    fakes[0]?.answer();
    await jobs[0];
    expect(fstatSync(source.fd).ino).toBe(ino);
    fakes[0]?.answer();
    await jobs[1];
    expect(() => fstatSync(source.fd)).toThrow('EBADF');
  });
});
