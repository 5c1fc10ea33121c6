import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { formatSize } from '../cli/size.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS } from '../errors.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Gives back all space that no version and no working state needs; the file shrinks.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [{ short: 'n', name: 'dry-run', description: 'only say what would be given back' }],
  access: 'writes',
  examples: [
    { command: 'vsimg gc disk.vsi', explanation: "after 'vsimg delete'" },
    { command: 'vsimg gc disk.vsi --dry-run --json', explanation: 'is it worth while?' },
  ],
  details: [
    'Readers may go on while gc runs; what a long read still needs comes back at the next gc. Stopped at any moment, it leaves ' +
      'the image whole.',
  ],
  statuses: [{ status: EXIT_STATUS.locked, meaning: 'another process writes the image' }],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, progress } = context;
  const path = parseImage(args.operand(0));
  const dryRun = args.has('dry-run');
  return withImage(context, { path, mode: dryRun ? 'read-long' : 'write' }, async (image) => {
    const report = await image.gc({ dryRun, onProgress: progress.start('gc') });
    const change = `${formatSize(report.fileBytesBefore)} -> ${formatSize(report.fileBytesAfter)}`;
    await output.message(`${report.dryRun ? 'would free' : 'freed'} ${formatSize(report.reclaimedBytes)}: ${change}`);
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
