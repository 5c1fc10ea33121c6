import type { Descriptor } from '../storage/descriptor.ts';
import { type FetchJob, type FetchResult, runFetchJob } from './fetch-job.ts';
import { type FillJob, type FillResult, runFillJob } from './fill-job.ts';
import type { SealColumns } from './seal.ts';
import { runSealJob, type SealJob } from './seal-job.ts';

/**
 * What can be done on any thread. Jobs and their results are plain data; buffers are shared memory, and files are
 * descriptors, which all threads of a process share: nothing is copied on the way to a thread and back.
 */
export type Job = SealJob | FillJob | FetchJob;

export type ResultOf<J extends Job> = J extends SealJob ? SealColumns : J extends FillJob ? FillResult : FetchResult;

/** Errors: 'unsupported' when this machine lacks what a chunk needs. */
export function runJob<J extends Job>(job: J): ResultOf<J> {
  switch (job.kind) {
    case 'seal':
      return runSealJob(job) as ResultOf<J>;
    case 'fill':
      return runFillJob(job) as ResultOf<J>;
    case 'fetch':
      return runFetchJob(job) as ResultOf<J>;
  }
}

/** Files that must stay open until the job is done. */
export function filesOf(job: Job): Descriptor[] {
  if (job.kind === 'seal') return [];
  const into = 'file' in job.into ? [job.into.file] : [];
  return [job.kind === 'fill' ? job.source : job.container, ...into];
}
