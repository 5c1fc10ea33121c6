import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { inSmallHeap } from '../cli/heap.ts';
import { formatSize } from '../cli/size.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS } from '../errors.ts';
import type { GcReport } from '../image/api.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Gives back all space that no version and no working state needs; the file shrinks.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [
    { short: 'n', name: 'dry-run', description: 'only say, to the byte, what would be given back' },
    {
      name: 'compact',
      description:
        'make the file as small as it can be, and its newest version as fast to read as after a fresh import',
    },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg gc disk.vsi', explanation: "after 'vsimg delete'" },
    { command: 'vsimg gc disk.vsi --dry-run --json', explanation: 'is it worth while?' },
    { command: 'vsimg gc disk.vsi --compact', explanation: 'after many small writes' },
  ],
  details: [
    'Readers may go on while gc runs; what a long read still needs comes back at the next gc. Stopped at any moment, it leaves ' +
      'the image whole.',
    'Without --compact, gc moves no data but what lies at the end of the file behind free space, and what lives in chunks that ' +
      'are dead to a quarter or more; in a file of up to 16 MiB also all data, if gaps between it can not be filled otherwise. With ' +
      '--compact it writes all data anew, the newest version first and in the order of the disk, unless it lies so already; ' +
      'that may take a little more space than before. Versions keep their numbers, ids and contents.',
    'It goes on until it gains nothing more, so that a second gc finds nothing to do. A change that would make the file longer, ' +
      'because it gives back less than the pages that it writes, is not made. Free space into which nothing from the end of the ' +
      'file fits stays in it, for data to come.',
    'A dry run does all of it in a draft, which is thrown away. So it takes about as long, and the length that it tells is to the ' +
      'byte the one that gc gives the file, if nobody changes the image before and nobody reads it meanwhile: what a long read of ' +
      'an older state needs stays, and may make the file longer until the next gc. What does not fit into some MiB of memory goes ' +
      'to a temporary file without a name, beside the image if that is allowed: with --compact as much as the file will have.',
    'While it runs, --compact takes up to as much again as the file will have in the end. It verifies all it moves: ' +
      'where some of that is damaged it changes nothing and fails (status 65) until check --repair has marked as lost what ' +
      'can not be read. Ranges marked as lost stay so.',
  ],
  statuses: [
    { status: EXIT_STATUS.corrupt, meaning: 'the image is damaged' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
  ],
};

/** Laying data out in better order may take a little more space than it did. */
function whatIsDone({ dryRun, reclaimedBytes, fileBytesBefore, fileBytesAfter }: GcReport): string {
  if (fileBytesBefore === fileBytesAfter) return `nothing to free: ${formatSize(fileBytesAfter)}`;
  const change = `${formatSize(fileBytesBefore)} -> ${formatSize(fileBytesAfter)}`;
  if (reclaimedBytes < 0) return `${dryRun ? 'would grow' : 'grew'} by ${formatSize(-reclaimedBytes)}: ${change}`;
  return `${dryRun ? 'would free' : 'freed'} ${formatSize(reclaimedBytes)}: ${change}`;
}

export async function run(context: CommandContext): Promise<number> {
  const { args, output, progress } = context;
  const path = parseImage(args.operand(0));
  const dryRun = args.has('dry-run');
  const compact = args.has('compact');
  return withImage(context, { path, mode: dryRun ? 'read-long' : 'write' }, async (image) => {
    // All maps and tables are gone through: of many versions that is much garbage.
    const report = await inSmallHeap(() => image.gc({ dryRun, compact, onProgress: progress.start('gc') }));
    await output.message(whatIsDone(report));
    await output.document({
      filename: path,
      'dry-run': report.dryRun,
      'file-size-before': report.fileBytesBefore,
      'file-size-after': report.fileBytesAfter,
      'reclaimed-bytes': report.reclaimedBytes,
    });
    return 0;
  });
}
