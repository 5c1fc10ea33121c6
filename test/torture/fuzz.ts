import { fuzz } from './fuzz/run.ts';
import type { RunPart } from './part.ts';

const EXECUTIONS = 1_000_000;
/** Measured: a hundred executions reach nearly every range of code that guiding finds, and it takes five times as long. */
const GUIDED_SHARE = 0.002;

/** Containers as an enemy makes them, with right checksums. */
export const run: RunPart = async (options) =>
  fuzz({ ...options, executions: Math.ceil(EXECUTIONS * options.scale), jobs: 2, guidedShare: GUIDED_SHARE });
