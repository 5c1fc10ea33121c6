import type { CommandContext } from '../cli/context.ts';
import { requireDataOutput } from '../cli/data-output.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { formatSize } from '../cli/size.ts';
import { parseTarget, requireDifferentFiles } from '../cli/target.ts';
import { EXIT_STATUS } from '../errors.ts';
import { openFileTarget, streamTarget } from '../storage/target.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Writes a version, or the working state, to a raw file, a block device or stdout.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
    { name: 'DST', presence: 'required', description: "the raw file or device to write, or '-' for stdout" },
  ],
  options: [REVISION_OPTION, { name: 'force', description: 'replace DST if it is a file that exists' }],
  access: 'reads',
  examples: [
    { command: 'vsimg export disk.vsi@v1.0 old.raw', explanation: 'a version as a sparse raw file' },
    { command: 'vsimg export disk.vsi@HEAD - | xz > disk.raw.xz', explanation: 'into a pipe' },
    { command: 'vsimg export disk.vsi /dev/sdX', explanation: 'onto a device, which is overwritten' },
  ],
  details: ['Holes stay holes. A file appears under its name when it is complete; a device is written in place.'],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'DST exists and --force is not given' },
    { status: EXIT_STATUS['no-space'], meaning: 'DST is too small or its file system is full' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, cleanup, progress } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const destination = args.operand(1);
  if (destination === '-') requireDataOutput(context, 'name a file to write to');
  else requireDifferentFiles(path, destination);
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const target =
      destination === '-'
        ? streamTarget(output.stream)
        : openFileTarget(destination, { force: args.has('force'), sizeBytes: image.sizeOf(rev) });
    const forget = cleanup.add(() => target.abort());
    try {
      const report = await image.exportTo(rev, target, { onProgress: progress.start('export') });
      if (destination === '-') return 0;
      const { sizeBytes, dataBytes } = report;
      await output.message(`exported ${formatSize(sizeBytes)} to ${destination}, ${formatSize(dataBytes)} of it data`);
      const version = rev === null ? null : image.resolve(rev);
      await output.document({
        filename: path,
        version,
        target: destination,
        'virtual-size': sizeBytes,
        'data-bytes': dataBytes,
      });
      return 0;
    } finally {
      forget();
    }
  });
}
