import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import type { Invocation } from '../cli/invocation.ts';
import { formatSize, parseSize } from '../cli/size.ts';
import { parseImage, requireDifferentFiles } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { OnProgress, WriteReport } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { openFileSource } from '../storage/source.ts';
import type { DataSource } from '../storage/transfer.ts';
import { INLINE_OPTIONS, inlineSource } from './inline-data.ts';
import { standardInput, withImage } from './opening.ts';

const PIECE_BYTES = 1024 * 1024;

export const definition: CommandDefinition = {
  description: 'Writes data from FILE or stdin into the working state, or makes a range of it zeros.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'FILE', presence: 'optional', description: "where the data comes from (default: '-', stdin)" },
  ],
  options: [
    { name: 'offset', value: 'N', description: 'first byte to change (default: 0)' },
    { name: 'length', value: 'N', description: 'number of bytes (default: all that FILE has)' },
    { name: 'zero', description: 'write zeros instead of data; needs --length' },
    { name: 'discard', description: 'the range is no longer needed and reads as zeros; needs --length' },
    ...INLINE_OPTIONS,
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg write disk.vsi boot.img --offset 1M', explanation: 'a file, 1 MiB into the disk' },
    { command: 'vsimg write disk.vsi --data hello --offset 4k', explanation: 'five bytes' },
    { command: 'printf hello | vsimg write disk.vsi --offset 0x200', explanation: 'data from a pipe' },
    {
      command: 'vsimg write disk.vsi --discard --offset 4G --length 2G',
      explanation: 'a range that is no longer needed',
    },
  ],
  details: [
    'Blocks that already hold that data are not stored again, and zeros take no space. The change is durable when the command ' +
      "ends, complete or, after an error, not at all; 'vsimg commit' makes a version of it.",
    'Zeros are stored as holes, so --zero and --discard come to the same.',
  ],
  statuses: [
    { status: EXIT_STATUS.io, meaning: 'FILE ended before --length bytes came' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'the data reaches beyond the end of the disk' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, progress } = context;
  const path = parseImage(args.operand(0));
  const offset = parseSize(args.value('offset') ?? '0', '--offset');
  const lengthText = args.value('length');
  const length = lengthText === undefined ? undefined : parseSize(lengthText, '--length');
  const option = requireOneSource(args, length);
  const erase = option === 'zero' || option === 'discard';
  const file = option === undefined ? (args.operands[1] ?? '-') : `--${option}`;
  if (option === undefined && file !== '-') requireDifferentFiles(path, file);
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const range = { offset, length };
    const onProgress = progress.start('write');
    const report = erase
      ? await eraseRange(image, range)
      : await writeFrom(context, image, { ...range, file, inline: inlineSource(args, length), onProgress });
    await image.publish();
    const parts = [
      `${formatSize(report.storedBytes)} stored (before compression)`,
      `${formatSize(report.unchangedBytes)} unchanged`,
      `${formatSize(report.zeroBytes)} zeros`,
    ];
    await output.message(`wrote ${formatSize(report.requestedBytes)} at ${offset}: ${parts.join(', ')}`);
    await output.document({ filename: path, offset, length: report.requestedBytes, ...describeReport(report) });
    return 0;
  });
}

/** What became of data, as `write` and `import` print it. */
export function describeReport(report: WriteReport): Record<string, number> {
  return {
    'stored-bytes': report.storedBytes,
    'unchanged-bytes': report.unchangedBytes,
    'zero-bytes': report.zeroBytes,
  };
}

/** The option that says what to write, if not FILE. Errors: 'usage'. */
function requireOneSource(args: Invocation, length: number | undefined): string | undefined {
  const [option, other] = ['zero', 'discard', 'data', 'hex', 'pattern'].filter((name) => args.has(name));
  if (other !== undefined) {
    throw new VsimgError('usage', `--${option} and --${other} are given together`, { hint: 'give one of them' });
  }
  if (option === undefined) return undefined;
  if (args.operands.length > 1) {
    throw new VsimgError('usage', `--${option} takes no FILE`, { hint: 'leave out one of them' });
  }
  if (length === undefined && option !== 'data' && option !== 'hex')
    throw new VsimgError('usage', `--${option} needs --length`, { hint: 'say how many bytes' });
  return option;
}

interface Range {
  readonly offset: number;
  readonly length: number | undefined;
}

async function eraseRange(image: Image, { offset, length = 0 }: Range): Promise<WriteReport> {
  requireRoom(image, offset, length);
  return image.zero(offset, length);
}

async function writeFrom(
  context: CommandContext,
  image: Image,
  request: Range & {
    readonly file: string;
    readonly inline: DataSource | undefined;
    readonly onProgress: OnProgress;
  },
): Promise<WriteReport> {
  requireRoom(image, request.offset, request.length ?? 0);
  const { file, inline } = request;
  const source = inline ?? (file === '-' ? standardInput(context) : openFileSource(file));
  const forget = context.cleanup.add(() => source.close());
  try {
    if (source.sizeBytes !== undefined) {
      const available = source.sizeBytes;
      if (available < (request.length ?? 0)) throw endedEarly(file, available, request.length ?? 0);
      requireRoom(image, request.offset, request.length ?? available);
    }
    return await transfer(image, source, request);
  } finally {
    forget();
    source.close();
  }
}

async function transfer(
  image: Image,
  source: DataSource,
  { offset, length, file, onProgress }: Range & { readonly file: string; readonly onProgress: OnProgress },
): Promise<WriteReport> {
  let total: WriteReport = { requestedBytes: 0, storedBytes: 0, unchangedBytes: 0, zeroBytes: 0 };
  const limit = length ?? Number.POSITIVE_INFINITY;
  for await (const piece of limit > 0 ? source.pieces(PIECE_BYTES) : []) {
    const whole = piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end;
    const end = Math.min(whole, limit);
    requireRoom(image, offset, end);
    const report =
      piece.kind === 'data'
        ? await image.write(offset + piece.start, piece.bytes.subarray(0, end - piece.start))
        : await image.zero(offset + piece.start, end - piece.start);
    total = sum(total, report);
    onProgress(end, length ?? source.sizeBytes);
    if (end === limit) break;
  }
  if (length !== undefined && total.requestedBytes < length) throw endedEarly(file, total.requestedBytes, length);
  return total;
}

function sum(one: WriteReport, other: WriteReport): WriteReport {
  return {
    requestedBytes: one.requestedBytes + other.requestedBytes,
    storedBytes: one.storedBytes + other.storedBytes,
    unchangedBytes: one.unchangedBytes + other.unchangedBytes,
    zeroBytes: one.zeroBytes + other.zeroBytes,
  };
}

/** Nothing is published before all of the data is known to fit. */
function requireRoom(image: Image, offset: number, length: number): void {
  const size = image.sizeOf(null);
  if (offset + length <= size) return;
  throw new VsimgError(
    'refused',
    `data from ${offset} on reaches beyond the end of the disk, which has ${size} bytes`,
    {
      path: image.path,
      hint: 'write less or further in front; the image is unchanged',
    },
  );
}

function endedEarly(file: string, bytes: number, length: number): VsimgError {
  const name = file === '-' ? 'stdin' : `'${file}'`;
  return new VsimgError('io', `${name} ended after ${bytes} of ${length} bytes`, {
    hint: 'give a smaller --length; the image is unchanged',
  });
}
