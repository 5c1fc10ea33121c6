import type { CommandContext } from '../cli/context.ts';
import { requireDataOutput } from '../cli/data-output.ts';
import { type CommandDefinition, REVISION_OPTION, SYNC_OPTION } from '../cli/definition.ts';
import { formatSize } from '../cli/size.ts';
import { parseTarget, requireDifferentFiles } from '../cli/target.ts';
import { EXIT_STATUS } from '../errors.ts';
import type { UnreadableRange } from '../image/api.ts';
import { openFileTarget, streamTarget } from '../storage/target.ts';
import { withImage, writingOf } from './opening.ts';
import { IGNORE_ERRORS_OPTION, Unreadable } from './unreadable.ts';

export const definition: CommandDefinition = {
  description: 'Writes a version, or the working state, to a raw file, a block device or stdout.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
    { name: 'DST', presence: 'required', description: "the raw file or device to write, or '-' for stdout" },
  ],
  options: [
    REVISION_OPTION,
    { short: 'f', name: 'force', description: 'replace DST if it is a file that exists' },
    IGNORE_ERRORS_OPTION,
    SYNC_OPTION,
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg export disk.vsi@v1.0 old.raw', explanation: 'a version as a sparse raw file' },
    { command: 'vsimg export disk.vsi@HEAD - | xz > disk.raw.xz', explanation: 'into a pipe' },
    { command: 'vsimg export disk.vsi /dev/sdX', explanation: 'onto a device, which is overwritten' },
    {
      command: 'vsimg export --ignore-errors disk.vsi@3 rescued.raw',
      explanation: 'as much as can be read of a damaged image',
    },
  ],
  details: [
    'Holes stay holes. A file appears under its name when it is complete; a device is written in place.',
    'With --ignore-errors each range that can not be read is told on stderr, exact to the block or chunk that is damaged, and as ' +
      "'unreadable' in JSON; DST is complete then, but the status says that the image is damaged.",
  ],
  statuses: [
    { status: EXIT_STATUS.corrupt, meaning: 'the image is damaged; with --ignore-errors DST was written all the same' },
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
        : openFileTarget(destination, {
            ...writingOf(context),
            force: args.has('force'),
            sizeBytes: image.sizeOf(rev),
          });
    const forget = cleanup.add(() => target.abort());
    const unreadable = new Unreadable(context);
    const tolerance = args.has('ignore-errors')
      ? { onUnreadable: (range: UnreadableRange) => unreadable.add(range) }
      : {};
    try {
      const report = await image.exportTo(rev, target, { onProgress: progress.start('export'), ...tolerance });
      if (destination === '-') {
        unreadable.finish(path);
        return 0;
      }
      const { sizeBytes, dataBytes } = report;
      await output.message(`exported ${formatSize(sizeBytes)} to ${destination}, ${formatSize(dataBytes)} of it data`);
      const version = rev === null ? null : image.resolve(rev);
      await output.document({
        filename: path,
        version,
        target: destination,
        'virtual-size': sizeBytes,
        'data-bytes': dataBytes,
        unreadable: unreadable.describe(),
      });
      unreadable.finish(path);
      return 0;
    } finally {
      forget();
    }
  });
}
