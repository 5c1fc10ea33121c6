import { parentPort } from 'node:worker_threads';
import { type Job, runJob } from './jobs.ts';

/** What a thread of a crew runs: jobs come as messages and are answered in order; undefined for one that failed. */
parentPort?.on('message', (job: Job) => {
  let answer: unknown;
  try {
    answer = runJob(job);
  } catch {
    // Done again where it was asked for, it fails there in the same way, as an error that tells why.
  }
  parentPort?.postMessage(answer);
});
