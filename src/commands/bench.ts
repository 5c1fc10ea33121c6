import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { parseCount } from '../cli/number.ts';
import { formatSize, parseSize } from '../cli/size.ts';
import { formatFields } from '../cli/table.ts';
import { parseTarget } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { type BenchPlan, type BenchResult, benchmark } from '../image/bench.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';
import { describeReport } from './write.ts';

const MAX_DEPTH = 1024;
const MAX_SEED = 2 ** 32 - 1;

export const definition: CommandDefinition = {
  description: 'Measures how fast a version, or the working state, is read or, with -w, the working state is written.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
  ],
  options: [
    REVISION_OPTION,
    { short: 'c', name: 'count', value: 'COUNT', description: 'number of requests (default: 75000)' },
    { short: 'd', name: 'depth', value: 'DEPTH', description: 'requests under way at a time (default: 1)' },
    { short: 's', name: 'size', value: 'SIZE', description: 'bytes of a request (default: 4k)' },
    { short: 'S', name: 'step', value: 'STEP', description: 'from one request to the next (default: SIZE)' },
    { short: 'o', name: 'offset', value: 'OFFSET', description: 'where the first request begins (default: 0)' },
    { name: 'random', description: 'requests anywhere from OFFSET on, at multiples of SIZE from there' },
    { name: 'seed', value: 'N', description: 'other places for --random and other data for -w (default: 1)' },
    { short: 'w', name: 'write', description: 'write: CHANGES THE WORKING STATE; nothing is committed' },
    { name: 'pattern', value: 'BYTE', description: 'with -w: write this byte, 0 to 255 (default: noise)' },
    { name: 'flush-interval', value: 'N', description: 'with -w: make it durable after every N requests' },
    { short: 'f', name: 'force', description: 'with -w: also if there are uncommitted changes' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg bench disk.vsi@v1', explanation: 'sequential reads of a version' },
    { command: 'vsimg bench disk.vsi -c 20000 --random --json', explanation: 'random reads of the working state' },
    { command: 'vsimg bench scratch.vsi -w -s 64k -c 1000', explanation: 'sequential writes' },
  ],
  details: [
    'The requests are those of qemu-img bench: each begins STEP behind the one before, and what would reach beyond the end of the ' +
      'disk goes on at its start. The time does not contain starting the program and opening the image.',
    'Requests are carried out one after the other: reading a few KiB is done at once, by one thread, and writes wait for each ' +
      'other. So a DEPTH above 1 makes small requests no faster: it shows how long they wait in line, because the latency ' +
      'is the time from the start of a request to its end. Only requests of 4 MiB and more are read by several threads.',
    '-w waits for other writers as every command that writes. Its data ends up in the working state, which becomes durable once at ' +
      'the end, and that is part of the time; without --force uncommitted changes are left alone. Noise differs from request to ' +
      "request; a pattern is stored only once, because blocks that hold it already are left alone. 'vsimg checkout --force' " +
      "takes the changes back, 'vsimg gc' gives their space back.",
    'Latencies are told to within 1 %. Each chunk of 64 KiB is decoded once for requests that follow each other in it.',
  ],
  statuses: [
    { status: EXIT_STATUS.locked, meaning: '-w: another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'a request does not fit on the disk; -w: uncommitted changes' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, progress } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const plan = parsePlan(context);
  const isWrite = plan.operation === 'write';
  if (isWrite && rev !== null)
    throw new VsimgError('usage', `-w writes to the working state, and '${rev}' is a version`, {
      hint: 'give the image alone',
    });
  return withImage(context, { path, mode: isWrite ? 'write' : 'read-long' }, async (image) => {
    if (isWrite && !args.has('force')) refuseChanges(image);
    const version = rev === null ? null : image.resolve(rev);
    const result = await benchmark(image, version === null ? null : String(version), plan, progress.start('bench'));
    await output.lines(describeText(plan, result));
    if (isWrite) await output.message('the working state was changed; nothing was committed');
    await output.document({ filename: path, version, ...describePlan(plan), ...describeResult(plan, result) });
    return 0;
  });
}

function parsePlan({ args }: CommandContext): BenchPlan {
  const isWrite = args.has('write');
  const forWrites = (['pattern', 'flush-interval', 'force'] as const).find((name) => args.has(name));
  if (!isWrite && forWrites !== undefined)
    throw new VsimgError('usage', `--${forWrites} is for writes`, { hint: 'give -w, or leave it out' });
  const isRandom = args.has('random');
  if (isRandom && args.has('step'))
    throw new VsimgError('usage', '--random and --step exclude each other', { hint: 'give one of them' });
  if (!isRandom && !isWrite && args.has('seed'))
    throw new VsimgError('usage', '--seed is for --random and -w', { hint: 'leave it out' });
  const count = (name: string, standard: number, most: number, least = 1): number => {
    const value = parseCount(args.value(name) ?? String(standard), `--${name}`);
    if (value >= least && value <= most) return value;
    throw new VsimgError('usage', `--${name} ${value} is not possible`, { hint: `give ${least} to ${most}` });
  };
  const size = (name: string, standard: string): number => {
    const value = parseSize(args.value(name) ?? standard, `--${name}`);
    if (value > 0 || name === 'offset') return value;
    throw new VsimgError('usage', `--${name} is 0`, { hint: 'give at least 1' });
  };
  const requestBytes = size('size', '4k');
  return {
    operation: isWrite ? 'write' : 'read',
    count: count('count', 75_000, Number.MAX_SAFE_INTEGER),
    depth: count('depth', 1, MAX_DEPTH),
    requestBytes,
    offset: size('offset', '0'),
    step: isRandom ? 'random' : size('step', String(requestBytes)),
    seed: count('seed', 1, MAX_SEED, 0),
    pattern: args.has('pattern') ? count('pattern', 0, 255, 0) : undefined,
    flushInterval: args.has('flush-interval') ? count('flush-interval', 1, Number.MAX_SAFE_INTEGER) : undefined,
  };
}

function refuseChanges(image: Image): void {
  if (image.info().head.dirty === false) return;
  throw new VsimgError('refused', 'there are uncommitted changes, which -w would write over', {
    path: image.path,
    hint: 'commit them, or give --force',
  });
}

function describeText(plan: BenchPlan, result: BenchResult): string[] {
  const { operation, step, count, requestBytes, depth, offset } = plan;
  const { latencies, milliseconds, flushMilliseconds, dataBytes, written } = result;
  const { requests, bytes } = ratesOf(plan, result);
  const order = step === 'random' ? 'random' : step === requestBytes ? 'sequential' : `every ${formatSize(step)}:`;
  const shares = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${formatNanoseconds(latencies.percentile(share))}`);
  const flushed =
    operation === 'write' ? `, ${formatNanoseconds(flushMilliseconds * 1e6)} of it to make it durable` : '';
  const data =
    operation === 'read'
      ? `${formatSize(dataBytes)}, and ${formatSize(count * requestBytes - dataBytes)} of holes`
      : `${formatSize(written.storedBytes)} stored, ${formatSize(written.unchangedBytes)} unchanged, ${formatSize(written.zeroBytes)} zeros`;
  return [
    `${count} ${order} ${operation}s of ${formatSize(requestBytes)} from byte ${offset} on, ${depth} at a time`,
    ...formatFields([
      ['time', `${formatNanoseconds(milliseconds * 1e6)}${flushed}`],
      ['requests', `${Math.round(requests)} a second`],
      ['throughput', `${formatSize(Math.round(bytes))} a second`],
      ['latency', `${shares.join(', ')}, max ${formatNanoseconds(latencies.greatest)}`],
      ['data', data],
    ]),
  ];
}

function ratesOf(
  { count, requestBytes }: BenchPlan,
  { milliseconds }: BenchResult,
): { requests: number; bytes: number } {
  const requests = (count * 1000) / Math.max(milliseconds, 1e-3);
  return { requests, bytes: requests * requestBytes };
}

/** Three digits and a unit: `12.3 us`. */
function formatNanoseconds(nanoseconds: number): string {
  const [value, unit] =
    nanoseconds < 999_500
      ? [nanoseconds / 1e3, 'us']
      : nanoseconds < 999_500_000
        ? [nanoseconds / 1e6, 'ms']
        : [nanoseconds / 1e9, 's'];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

function describePlan(plan: BenchPlan): JsonObject {
  const { operation, count, depth, requestBytes, offset, step, seed, pattern, flushInterval } = plan;
  return {
    operation,
    order: step === 'random' ? 'random' : 'sequential',
    count,
    depth,
    'request-size': requestBytes,
    offset,
    step: step === 'random' ? null : step,
    seed,
    pattern: pattern ?? null,
    'flush-interval': flushInterval ?? null,
  };
}

function describeResult(plan: BenchPlan, result: BenchResult): JsonObject {
  const { latencies, milliseconds, flushMilliseconds, dataBytes, written } = result;
  const { requests, bytes } = ratesOf(plan, result);
  const microseconds = (nanoseconds: number): number => nanoseconds / 1000;
  return {
    seconds: milliseconds / 1000,
    'flush-seconds': flushMilliseconds / 1000,
    'requests-per-second': requests,
    'bytes-per-second': bytes,
    'latency-microseconds': {
      min: microseconds(latencies.least),
      mean: microseconds(latencies.mean),
      p50: microseconds(latencies.percentile(0.5)),
      p90: microseconds(latencies.percentile(0.9)),
      p99: microseconds(latencies.percentile(0.99)),
      max: microseconds(latencies.greatest),
    },
    bytes: plan.count * plan.requestBytes,
    ...(plan.operation === 'read' ? { 'data-bytes': dataBytes } : describeReport(written)),
  };
}
