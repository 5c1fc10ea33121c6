import { resourceUsage } from 'node:process';
import { parentPort, workerData } from 'node:worker_threads';
import { turnGiver } from '../../../src/storage/turns.ts';
import { SeededRandom } from '../../support/random.ts';
import { compile, encodeHeaderOf, encodePage, encodeTable } from './compile.ts';
import { seeds } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { decompile } from './decompile.ts';
import { havoc } from './havoc.ts';
import type { Model } from './model.ts';
import { mutate } from './mutate.ts';
import type { Found, Job, Progress, TargetName } from './protocol.ts';
import { COUNTS_AT, INPUT_AT, LENGTH_AT, NUMBER_AT, TARGETS } from './protocol.ts';
import { decodeRecords, decodeSlots, lookAt, writeTo } from './targets.ts';

const job = workerData as Job;
const state = new Int32Array(job.shared, 0, INPUT_AT / 4);
const input = new Uint8Array(job.shared, INPUT_AT);
const MAX_CORPUS = 400;
const BATCH = 40;
const MEMORY_STEP = 20;

interface Execution {
  readonly target: TargetName;
  readonly bytes: Uint8Array;
}

/** Inputs that reached what none before had reached, besides the seeds. */
const corpus: Uint8Array[] = [];
const models: Model[] = [];
for (const { name, bytes } of await seeds()) {
  models.push(decompile(name, bytes));
  corpus.push(bytes);
}

function pick<T>(random: SeededRandom, list: readonly T[]): T {
  return list[random.below(list.length)] as T;
}

function targetFor(random: SeededRandom): TargetName {
  const lot = random.below(100);
  if (lot < 70) return 'containers read';
  if (lot < 76) return 'containers written';
  return lot < 86 ? 'headers decoded' : 'pages, tables, records, frames decoded';
}

/** The input of one execution, which follows from the seed, its number, and what is in the corpus. */
function execution(number: number): Execution {
  const random = randomFor(number);
  const target = targetFor(random);
  const model = pick(random, models);
  if (target === 'containers read' || target === 'containers written') {
    if (!job.isReal && random.below(3) === 0)
      return { target, bytes: havoc(pick(random, corpus), random, pick(random, corpus)) };
    const undo = mutate(model, random, models);
    const bytes = compile(model);
    undo();
    return { target, bytes };
  }
  const undo = mutate(model, random, models);
  let bytes: Uint8Array;
  if (target === 'headers decoded')
    bytes = random.below(4) === 0 ? compile(model).slice(0, 8192) : encodeHeaderOf(model);
  else if (model.pages.length === 0) bytes = random.bytes(50);
  else if (random.below(3) === 0 && model.tables.length > 0) bytes = encodeTable(model, pick(random, model.tables));
  else bytes = encodePage(model, pick(random, model.pages));
  undo();
  return { target, bytes: random.below(2) === 0 ? havoc(bytes, random) : bytes };
}

function randomFor(number: number): SeededRandom {
  const random = new SeededRandom(Math.imul(job.seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
  random.next();
  return random;
}

async function execute({ target, bytes }: Execution, number: number): Promise<void> {
  // Other random numbers than those that made the input.
  const random = new SeededRandom(number);
  input.set(bytes.subarray(0, input.length));
  Atomics.store(state, LENGTH_AT, bytes.length);
  if (target === 'containers read') await lookAt(bytes, random);
  else if (target === 'containers written') await writeTo(bytes, random);
  else if (target === 'headers decoded') await decodeSlots(bytes);
  else await decodeRecords(bytes, random);
}

const peakAtStart = resourceUsage().maxRSS;
let isPeakTold = false;

/** Memory of native code is only given back between turns. */
const giveTurn = turnGiver();

async function attempt(number: number): Promise<Execution> {
  await giveTurn();
  Atomics.store(state, LENGTH_AT, 0);
  Atomics.store(state, NUMBER_AT, number);
  const next = execution(number);
  Atomics.add(state, COUNTS_AT + TARGETS.indexOf(next.target), 1);
  try {
    await execute(next, number);
  } catch (error) {
    tell(next, number, error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  // Asking takes longer than many an execution.
  if (!isPeakTold && number % MEMORY_STEP === 0) {
    const moreBytes = (resourceUsage().maxRSS - peakAtStart) * 1024;
    isPeakTold = moreBytes > job.maxMemoryBytes;
    if (isPeakTold)
      tell(next, number, `this one or one of the ${MEMORY_STEP} before it took ${moreBytes} bytes of memory`);
  }
  return next;
}

function tell({ target, bytes }: Execution, number: number, what: string): void {
  const found: Found = { type: 'found', target, number, what, bytes: Uint8Array.from(bytes) };
  parentPort?.postMessage(found);
}

const coverage = job.guided > 0 ? await Coverage.start() : undefined;
let kept = 0;
for (let number = job.first; number < job.last; ) {
  const isGuided = coverage !== undefined && number < job.first + job.guided;
  if (coverage !== undefined && !isGuided) await coverage.stop();
  const end = Math.min(job.last, number + BATCH);
  const batch: Execution[] = [];
  for (; number < end; number++) batch.push(await attempt(number));
  if (!isGuided || !(await coverage.hasGrown())) continue;
  // One of the batch reached something new: each is run once more alone to find it.
  coverage.forgetLast();
  for (const [index, each] of batch.entries()) {
    await execute(each, number - batch.length + index).catch(() => {});
    if (!(await coverage.hasGrown()) || !each.target.startsWith('containers')) continue;
    kept++;
    if (corpus.length < MAX_CORPUS) corpus.push(Uint8Array.from(each.bytes));
  }
}
const progress: Progress = { type: 'done', kept, ranges: coverage?.size ?? 0 };
parentPort?.postMessage(progress);
