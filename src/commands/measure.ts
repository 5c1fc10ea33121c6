import { DEFAULT_COMPRESSION, formatCompression, parseCompression } from '../cli/compression.ts';
import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { formatExactSize, formatSize, parseSize } from '../cli/size.ts';
import { formatFields } from '../cli/table.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { type Measurement, measure } from '../image/measure.ts';
import { FORMATS, findDisk, withDisk } from './disk.ts';

const DEFAULT_BLOCK_SIZE = '4k';

export const definition: CommandDefinition = {
  description: "Tells how large a new image would become by 'vsimg import' of SRC, without making it.",
  arguments: [
    {
      name: 'SRC',
      presence: 'required',
      description: 'a raw file, a block device, or IMAGE[@REV] for a state of an image',
    },
  ],
  options: [
    REVISION_OPTION,
    { short: 'f', name: 'format', value: 'FORMAT', description: `what SRC is: ${FORMATS}` },
    { name: 'block-size', value: 'SIZE', description: `smallest unit of change (default: ${DEFAULT_BLOCK_SIZE})` },
    { name: 'compression', value: 'CODEC', description: "'none', 'zstd' or 'zstd:LEVEL' (default: zstd:2)" },
    { name: 'exact', description: 'read and compress everything instead of samples' },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg measure disk.raw', explanation: 'before an import' },
    { command: 'vsimg measure /dev/sdX --compression zstd:9', explanation: 'with better compression' },
    { command: 'vsimg measure disk.vsi@v1 --json', explanation: 'one version of an image, alone in a new one' },
  ],
  details: [
    "'required size' is what suffices, as in qemu-img: the estimate and what it may be wrong by. 'fully allocated size' is what " +
      'a disk of this size needs at most, if all of it is data that does not compress.',
    'Up to 128 MiB of data are read and compressed as an import does it, so that only the metadata is estimated. Of more data ' +
      '512 samples of 256 KiB are, always the same ones; what they differ by tells the error, which holds in 99 of 100 cases. ' +
      '--exact takes as long as an import.',
    'Holes that the file system knows of are not read. Of a device the samples tell how much of it is zeros. An import without ' +
      'compression may leave up to 36 MiB of free space in a new image for zeros that it had set space aside for; they are counted.',
  ],
  statuses: [
    { status: EXIT_STATUS.corrupt, meaning: 'an image is damaged where it had to be read' },
    { status: EXIT_STATUS['not-found'], meaning: 'there is no such file or version' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, progress } = context;
  const codec = args.value('compression');
  const compression = codec === undefined ? DEFAULT_COMPRESSION : parseCompression(codec);
  const blockSizeBytes = parseSize(args.value('block-size') ?? DEFAULT_BLOCK_SIZE, '--block-size');
  const name = args.operand(0);
  const disk = findDisk(context, name, { format: args.value('format'), revision: args.value('revision') });
  return withDisk(context, disk, async ({ measured, facts }) => {
    if (measured === undefined)
      throw new VsimgError('usage', `'${name}' can not be measured: it can be read only once`, {
        hint: 'name a file, a device or an image',
      });
    const result = await measure(measured, {
      compression,
      blockSizeBytes,
      read: args.has('exact') ? 'all' : 'samples',
      onProgress: progress.start('measure'),
    });
    await output.lines(describe(result));
    await output.document({
      ...facts,
      compression: formatCompression(compression),
      'block-size': blockSizeBytes,
      required: result.requiredBytes,
      'fully-allocated': result.fullyAllocatedBytes,
      uncompressed: result.uncompressedBytes,
      estimated: result.estimatedBytes,
      error: result.errorBytes,
      'data-bytes': result.dataBytes,
      'mapped-bytes': result.mappedBytes,
      'sample-count': result.sampleCount,
      'sampled-bytes': result.sampledBytes,
    });
    return 0;
  });
}

function describe(result: Measurement): string[] {
  const { estimatedBytes, errorBytes, sampleCount, sampledBytes, mappedBytes } = result;
  const samples =
    sampleCount === 0
      ? `none: all ${formatSize(sampledBytes)} of data were read`
      : `${sampleCount}, with ${formatSize(sampledBytes)} of ${formatSize(mappedBytes)} of data`;
  return formatFields([
    ['required size', formatExactSize(result.requiredBytes)],
    ['uncompressed size', formatExactSize(result.uncompressedBytes)],
    ['fully allocated size', formatExactSize(result.fullyAllocatedBytes)],
    ['estimate', `${formatSize(estimatedBytes)} +- ${formatSize(errorBytes)}`],
    ['samples', samples],
  ]);
}
