import { fuzz } from './fuzz/run.ts';
import type { RunPart } from './part.ts';

const EXECUTIONS = 1_000_000;
/** Measured: the first executions reach nearly all that guiding finds, and guiding takes twice the time. */
const GUIDED_SHARE = 0.05;

/** Containers as an enemy makes them, with right checksums. */
export const run: RunPart = async (options) =>
  fuzz({ ...options, executions: Math.ceil(EXECUTIONS * options.scale), jobs: 2, guidedShare: GUIDED_SHARE });
