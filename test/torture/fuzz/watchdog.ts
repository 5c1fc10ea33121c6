// The process that runs the worker: sees to it that nothing runs too long, and writes down what goes wrong.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process, { argv, cpuUsage } from 'node:process';
import { Worker } from 'node:worker_threads';
import {
  COUNTS_AT,
  type Found,
  INPUT_AT,
  type Job,
  LENGTH_AT,
  NUMBER_AT,
  type Progress,
  SHARED_BYTES,
  TARGETS,
} from './protocol.ts';

const POLL_MILLISECONDS = 100;
const TELL_MILLISECONDS = 60_000;
/** Of processor time, which others that use the machine do not lengthen. */
const MAX_SECONDS = 2;
const MAX_SAVED = 20;

const [worker, text] = argv.slice(2) as [string, string];
const order = JSON.parse(text) as Omit<Job, 'shared'> & { readonly saveTo: string };
const shared = new SharedArrayBuffer(SHARED_BYTES);
const state = new Int32Array(shared, 0, INPUT_AT / 4);
let saved = 0;

function report(found: Found): void {
  const name = `${order.isReal ? 'real' : 'stub'}-${order.seed}-${found.number}.vsi`;
  if (saved++ < MAX_SAVED) {
    mkdirSync(order.saveTo, { recursive: true });
    writeFileSync(join(order.saveTo, name), found.bytes);
  }
  process.send?.({ type: 'found', target: found.target, number: found.number, what: found.what, file: name });
}

interface Blame {
  readonly number: number;
  readonly what: string;
  readonly bytes: Uint8Array;
  /** A machine that stands still for a while makes everything take long: only what does so twice is blamed. */
  readonly isCertain: boolean;
}

/** Runs executions `[first, last)`; returns the one that had to be stopped, or undefined when all are done. */
function runFrom(first: number, last: number): Promise<Blame | undefined> {
  state[NUMBER_AT] = -1;
  const job: Job = { ...order, first, last, shared };
  return new Promise((resolve) => {
    const thread = new Worker(worker, { workerData: job });
    let seen = -1;
    let since = 0;
    const stop = (result: Blame | undefined): void => {
      clearInterval(timer);
      void thread.terminate().then(() => resolve(result));
    };
    const blame = (what: string, { isCertain }: Pick<Blame, 'isCertain'>): void => {
      const length = Math.min(Atomics.load(state, LENGTH_AT), SHARED_BYTES - INPUT_AT);
      const bytes = Uint8Array.from(new Uint8Array(shared, INPUT_AT, length));
      stop({ number: Atomics.load(state, NUMBER_AT), what, bytes, isCertain });
    };
    const timer = setInterval(() => {
      const number = Atomics.load(state, NUMBER_AT);
      const { user, system } = cpuUsage();
      const now = (user + system) / 1e6;
      if (number !== seen) {
        seen = number;
        since = now;
      } else if (number >= 0 && now - since > MAX_SECONDS) {
        blame(`takes more than ${MAX_SECONDS} s`, { isCertain: false });
      }
    }, POLL_MILLISECONDS);
    thread.on('message', (message: Found | Progress) => {
      if (message.type === 'found') report(message);
      else {
        process.send?.(message);
        stop(undefined);
      }
    });
    thread.on('error', (error) => blame(`ends the worker: ${error.stack}`, { isCertain: true }));
  });
}

const telling = setInterval(() => process.send?.({ type: 'at', number: state[NUMBER_AT] }), TELL_MILLISECONDS);
for (let first = order.first; first < order.last; ) {
  const stopped = await runFrom(first, order.last);
  if (stopped === undefined) break;
  const { number, isCertain } = stopped;
  const culprit = isCertain ? stopped : await runFrom(number, number + 1);
  if (culprit !== undefined) report({ type: 'found', target: 'unknown', ...culprit });
  // Without a number, not even the first execution began.
  first = number < 0 ? order.last : number + 1;
}
clearInterval(telling);
process.send?.({ type: 'counts', counts: TARGETS.map((_, index) => state[COUNTS_AT + index]) });
process.disconnect?.();
