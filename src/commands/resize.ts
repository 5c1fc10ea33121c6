import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { formatExactSize, formatSize, parseSize } from '../cli/size.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Changes the size of the disk in the working state. Versions keep the size that they have.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    {
      name: '[+|-]SIZE',
      presence: 'required',
      signed: true,
      description: 'the new size, such as 20G; or, with a sign, how much larger or smaller',
    },
  ],
  options: [{ name: 'shrink', description: 'make it smaller, and drop what lies beyond the new end' }],
  access: 'writes',
  examples: [
    { command: 'vsimg resize disk.vsi 20G', explanation: 'a disk of 20 GiB' },
    { command: 'vsimg resize disk.vsi +512M', explanation: '512 MiB more at its end, which read as zeros' },
    { command: 'vsimg resize disk.vsi -1G --shrink', explanation: '1 GiB less' },
  ],
  details: [
    "As all changes it is durable when the command ends, part of the next version when 'vsimg commit' makes one, and undone by " +
      "'vsimg checkout IMAGE --force'. It costs no space, whatever the size.",
    'The partitions and file systems on the disk are not changed: make them smaller before the disk, and larger after it.',
  ],
  statuses: [
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'the disk would become smaller and --shrink is not given' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseImage(args.operand(0));
  const change = parseChange(args.operand(1));
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const former = image.sizeOf(null);
    const sizeBytes = resultOf(change, former);
    await image.resize(sizeBytes, { shrink: args.has('shrink') });
    await image.publish();
    await output.message(resizedLine(path, former, sizeBytes));
    await output.document({ filename: path, 'virtual-size': sizeBytes, 'former-virtual-size': former });
    return 0;
  });
}

function resizedLine(path: string, former: number, sizeBytes: number): string {
  if (former === sizeBytes) return `${path} has ${formatExactSize(sizeBytes)} already`;
  // Sizes that are rounded to the same words say nothing of what changed.
  const isClose = formatSize(former) === formatSize(sizeBytes);
  return `resized ${path} from ${isClose ? formatExactSize(former) : formatSize(former)} to ${formatExactSize(sizeBytes)}`;
}

interface SizeChange {
  readonly kind: 'to' | 'more' | 'less';
  readonly bytes: number;
}

function parseChange(text: string): SizeChange {
  const kind = text.startsWith('+') ? 'more' : text.startsWith('-') ? 'less' : 'to';
  return { kind, bytes: parseSize(kind === 'to' ? text : text.slice(1), 'SIZE') };
}

function resultOf({ kind, bytes }: SizeChange, former: number): number {
  if (kind === 'to') return bytes;
  const result = kind === 'more' ? former + bytes : former - bytes;
  if (result < 0) {
    throw new VsimgError('refused', `the disk has ${former} bytes, which are fewer than the ${bytes} to take away`, {
      hint: 'take away less',
    });
  }
  if (!Number.isSafeInteger(result)) {
    throw new VsimgError('usage', `${bytes} bytes more make the disk too large`, {
      hint: 'the largest size is 9007199254740991 bytes (8 PiB - 1)',
    });
  }
  return result;
}
