import { CODECS, DEFAULT_COMPRESSION, formatCompression, parseCompression } from '../cli/compression.ts';
import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, SYNC_OPTION } from '../cli/definition.ts';
import { reproducibleId } from '../cli/image-id.ts';
import { formatExactSize, parseSize } from '../cli/size.ts';
import { parseNewImage } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { CreateOptions } from '../image/api.ts';
import { createImageFile } from '../image/file.ts';
import { writingOf } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Makes a new image of SIZE bytes that reads as zeros and has no versions yet.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the file to make' },
    { name: 'SIZE', presence: 'required', description: 'size of the virtual disk, such as 10G' },
  ],
  options: [
    {
      name: 'block-size',
      value: 'SIZE',
      description: 'smallest unit of change, a power of two from 512 to 64k (default: 4k)',
    },
    {
      name: 'compression',
      value: 'CODEC',
      completes: CODECS,
      description: "'none', 'zstd' or 'zstd:LEVEL' (default: zstd:2)",
    },
    { short: 'f', name: 'force', description: 'replace a file of that name' },
    SYNC_OPTION,
  ],
  access: 'neither',
  examples: [
    { command: 'vsimg create disk.vsi 10G', explanation: 'an empty disk of 10 GiB' },
    {
      command: 'vsimg create disk.vsi 10G --block-size 512 --compression none',
      explanation: 'for many tiny writes, and no compression',
    },
  ],
  details: [
    'The file is small until data is written. It appears under its name when it is complete.',
    "To start from an existing disk use 'vsimg import', which makes the image itself.",
  ],
  statuses: [{ status: EXIT_STATUS.exists, meaning: 'IMAGE exists and --force is not given' }],
};

/** Errors: 'usage', which says so if the two words are in the wrong order. */
function parseDiskSize(path: string, text: string): number {
  if (/^\d[\d.]*[kmgtpe]?$/i.test(path) && !/^\d/.test(text)) {
    throw new VsimgError('usage', `SIZE '${text}' is not a size`, {
      hint: `IMAGE comes first: 'vsimg create ${text} ${path}'`,
    });
  }
  return parseSize(text, 'SIZE');
}

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseNewImage(args.operand(0));
  const options = creationOptions(context, parseDiskSize(path, args.operand(1)));
  const info = await createImageFile(path, options, {
    force: args.has('force'),
    ...writingOf(context),
    fill: async (image) => image.info(),
  });
  if (info === undefined) return 0;
  await output.message(`created ${path}: ${formatExactSize(info.sizeBytes)}`);
  await output.document({
    filename: path,
    format: 'vsi',
    'virtual-size': info.sizeBytes,
    'cluster-size': info.blockSizeBytes,
    compression: formatCompression(info.compression),
    'image-id': info.imageId,
  });
  return 0;
}

/** What `create` and `import` make an image with. */
export function creationOptions({ args, io }: CommandContext, sizeBytes: number): CreateOptions {
  const blockSize = args.value('block-size');
  const compression = args.value('compression');
  const options = {
    sizeBytes,
    ...(blockSize === undefined ? {} : { blockSizeBytes: parseSize(blockSize, '--block-size') }),
    compression: compression === undefined ? DEFAULT_COMPRESSION : parseCompression(compression),
  };
  return { ...options, ...reproducibleId(io.env, options) };
}
