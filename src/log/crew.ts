import { createRequire } from 'node:module';
import type { Worker } from 'node:worker_threads';
import { keepOpen } from '../storage/descriptor.ts';
import { filesOf, type Job, type ResultOf, runJob } from './jobs.ts';

/** More threads would be more memory than a command may take. */
const MAX_THREADS = 4;
/** One to work on and one to go on with, so that no thread waits for a message. */
const JOBS_A_THREAD = 2;
/** For new objects of a thread: jobs make few. */
const YOUNG_MIB = 4;

/** Beside the bundle that this file is in; see worker.ts. */
const WORKER_FILE = 'worker.cjs';

/** In a CommonJS bundle import.meta.url is missing. */
const here = import.meta.url as string | undefined;
/** Builtins that few runs need are loaded by those. */
const load = createRequire(here ?? __filename);

interface Errand {
  readonly job: Job;
  /** Takes the answer; undefined: no thread could do the job. */
  readonly done: (answer: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  /** In the order in which the thread answers. */
  readonly errands: Errand[];
}

/**
 * Threads that do jobs, started when they are needed. When all of them are busy this thread helps, and where there are
 * none, or one ends unexpectedly, it does everything: jobs only depend on what they are given.
 */
export class Crew {
  readonly #maxThreads: number;
  readonly #threads: Thread[] = [];
  readonly #waiting: Errand[] = [];
  #isHelping = false;
  #isBroken = false;

  constructor(maxThreads: number) {
    this.#maxThreads = maxThreads;
  }

  /** How many jobs keep all threads busy. */
  get depth(): number {
    return this.#isBroken ? 1 : this.#maxThreads * JOBS_A_THREAD + 1;
  }

  /** The files of the job are open when it is called, and stay so until the job is done. Errors: those of the job. */
  async run<J extends Job>(job: J): Promise<ResultOf<J>> {
    const letGo = filesOf(job).map(keepOpen);
    try {
      const answer = await new Promise((done) => {
        this.#waiting.push({ job, done });
        this.#handOut();
      });
      return answer === undefined ? runJob(job) : (answer as ResultOf<J>);
    } finally {
      for (const close of letGo) close();
    }
  }

  #handOut(): void {
    for (let errand = this.#waiting[0]; errand !== undefined; errand = this.#waiting[0]) {
      const thread = this.#freeThread();
      if (thread === undefined) break;
      this.#waiting.shift();
      // A thread without work must not keep the process from ending.
      if (thread.errands.push(errand) === 1) thread.worker.ref();
      thread.worker.postMessage(errand.job);
    }
    if (this.#waiting.length === 0 || this.#isHelping) return;
    // One job at a time, so that answers are taken, and threads given the next jobs, in between.
    this.#isHelping = true;
    setImmediate(() => {
      this.#isHelping = false;
      this.#waiting.shift()?.done(undefined);
      setImmediate(() => this.#handOut());
    });
  }

  #freeThread(): Thread | undefined {
    const idle = this.#threads.find(({ errands }) => errands.length === 0);
    if (idle !== undefined) return idle;
    if (this.#threads.length < this.#maxThreads && !this.#isBroken) {
      const started = this.#start();
      if (started !== undefined) return started;
    }
    return this.#threads.find(({ errands }) => errands.length < JOBS_A_THREAD);
  }

  /** undefined where the system has no more threads to give. */
  #start(): Thread | undefined {
    const { Worker } = load('node:worker_threads') as typeof import('node:worker_threads');
    const file = here === undefined ? `${__dirname}/${WORKER_FILE}` : new URL(`./${WORKER_FILE}`, here);
    // Options of this process, such as a script to load first, are not meant for its threads.
    let worker: Worker;
    try {
      worker = new Worker(file, { execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB } });
    } catch {
      this.#isBroken = true;
      return undefined;
    }
    const thread: Thread = { worker, errands: [] };
    worker.unref();
    worker.on('message', (answer: unknown) => {
      const errand = thread.errands.shift();
      if (thread.errands.length === 0) worker.unref();
      errand?.done(answer);
      this.#handOut();
    });
    // Both come when it fails; what happened to it shows again when its jobs are done here.
    worker.on('error', () => this.#giveUp(thread));
    worker.on('exit', () => this.#giveUp(thread));
    this.#threads.push(thread);
    return thread;
  }

  #giveUp(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index < 0) return;
    this.#threads.splice(index, 1);
    this.#isBroken = true;
    for (const errand of thread.errands.splice(0)) errand.done(undefined);
    this.#handOut();
  }
}

let shared: Crew | undefined;

/** The one of this process. */
export function sharedCrew(): Crew {
  if (shared === undefined) {
    const { availableParallelism } = load('node:os') as typeof import('node:os');
    shared = new Crew(Math.min(availableParallelism(), MAX_THREADS) - 1);
  }
  return shared;
}
