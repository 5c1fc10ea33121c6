/** What a child process, its worker and the part of the torture run tell each other. */

/**
 * Shared memory: number of the execution at work, length of its input, executions of each target so far; then, at byte
 * `INPUT_AT`, the input.
 */
export const NUMBER_AT = 0;
export const LENGTH_AT = 1;
export const COUNTS_AT = 2;
export const INPUT_AT = 64;
export const SHARED_BYTES = INPUT_AT + 2 ** 20;

export const TARGETS = [
  'containers read',
  'containers written',
  'headers decoded',
  'pages, tables, records, frames decoded',
] as const;
export type TargetName = (typeof TARGETS)[number];

export interface Job {
  readonly seed: number;
  /** Executions `[first, last)`; the first `guided` of them are guided by coverage. */
  readonly first: number;
  readonly last: number;
  readonly guided: number;
  /** True if checksums are real. */
  readonly isReal: boolean;
  /** How much more than at the start the process may take. */
  readonly maxMemoryBytes: number;
  readonly shared: SharedArrayBuffer;
}

/** Something that must not happen, and what made it happen. */
export interface Found {
  readonly type: 'found';
  readonly target: TargetName | 'unknown';
  readonly number: number;
  readonly what: string;
  readonly bytes: Uint8Array;
}

export interface Progress {
  readonly type: 'done';
  /** Inputs that reached something new, and how many ranges of the program were reached. */
  readonly kept: number;
  readonly ranges: number;
}
