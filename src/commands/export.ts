import type { CommandContext } from '../cli/context.ts';
import { requireDataOutput } from '../cli/data-output.ts';
import { type CommandDefinition, REVISION_OPTION, SYNC_OPTION } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { formatSize } from '../cli/size.ts';
import { parseTarget, requireDifferentFiles } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { UnreadableRange } from '../image/api.ts';
import { refuseContainer } from '../image/file.ts';
import type { Image } from '../image/image.ts';
import { openSeedTarget } from '../storage/seed-target.ts';
import { openFileTarget, streamTarget } from '../storage/target.ts';
import { withImage, writingOf } from './opening.ts';
import { IGNORE_ERRORS_OPTION, Unreadable } from './unreadable.ts';

export const definition: CommandDefinition = {
  description: 'Writes a version, or the working state, to a raw file, a block device or stdout.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
    {
      name: 'DST',
      presence: 'required',
      description: "the raw file or device to write, or '-' for stdout; with --seed, one that is there",
    },
  ],
  options: [
    REVISION_OPTION,
    { short: 'f', name: 'force', description: 'replace DST if it is a file that exists' },
    {
      name: 'seed',
      value: 'REV',
      description: 'DST holds this version of IMAGE already: write only what differs, in place; needs no --force',
    },
    IGNORE_ERRORS_OPTION,
    SYNC_OPTION,
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg export disk.vsi@v1.0 old.raw', explanation: 'a version as a sparse raw file' },
    { command: 'vsimg export disk.vsi@HEAD - | xz > disk.raw.xz', explanation: 'into a pipe' },
    { command: 'vsimg export disk.vsi /dev/sdX', explanation: 'onto a device, which is overwritten' },
    {
      command: 'vsimg export --seed v1.0 disk.vsi@v1.1 old.raw',
      explanation: 'from one version to the next, in the time that the difference takes',
    },
    {
      command: 'vsimg export --ignore-errors disk.vsi@3 rescued.raw',
      explanation: 'as much as can be read of a damaged image',
    },
  ],
  details: [
    'Holes stay holes. A file appears under its name when it is complete; a device is written in place.',
    'With --ignore-errors each range that can not be read is told on stderr, exact to the block or chunk that is damaged, and as ' +
      "'unreadable' in JSON; DST is complete then, but the status says that the image is damaged.",
    'With --seed DST must hold exactly what version REV holds: that is taken on trust, only its length is compared. What ' +
      'both versions have in common is neither read nor written; a file is cut or grown, and what becomes zeros becomes ' +
      'a hole where that is possible.',
    'With --seed DST is written in place: a run that is interrupted or fails leaves a mixture of both versions. The same ' +
      'command mends it as long as the image has both: it writes everything that differs between them, whatever DST holds ' +
      'there. For its sake a file may also have the length that it is to get.',
  ],
  statuses: [
    { status: EXIT_STATUS.corrupt, meaning: 'the image is damaged; with --ignore-errors DST was written all the same' },
    { status: EXIT_STATUS['not-found'], meaning: 'no such version or, with --seed, DST is not there' },
    { status: EXIT_STATUS.exists, meaning: 'DST exists and neither --force nor --seed is given' },
    { status: EXIT_STATUS.refused, meaning: 'with --seed: DST has another length than that version, or can not be it' },
    { status: EXIT_STATUS['no-space'], meaning: 'DST is too small or its file system is full' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const destination = args.operand(1);
  const seed = args.value('seed');
  if (seed !== undefined) checkSeeding(context, seed);
  if (destination === '-') requireDataOutput(context, 'name a file to write to');
  else requireDifferentFiles(path, destination);
  await warnOfName(context, destination);
  return withImage(context, { path, mode: 'read-long' }, (image) =>
    seed === undefined
      ? exportAll(context, image, { rev, destination })
      : exportOver(context, image, { rev, destination, seed }),
  );
}

/** What is written is raw, whatever it is called. */
async function warnOfName({ output }: CommandContext, destination: string): Promise<void> {
  const format = /\.(qcow2?|vmdk|vhdx?|vdi|qed)$/i.exec(destination)?.[1]?.toLowerCase();
  if (format === undefined || output.quiet) return;
  output.tell(
    `vsimg: '${destination}' will hold raw data, and no ${format}; for that run: vsimg serve IMAGE -x REV -- 'qemu-img convert -O ${format} $VSIMG_URI ${destination}'`,
  );
}

interface Job {
  /** null is the working state. */
  readonly rev: string | null;
  readonly destination: string;
}

async function exportAll(context: CommandContext, image: Image, { rev, destination }: Job): Promise<number> {
  const { args, output, cleanup, progress } = context;
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
      unreadable.finish(image.path);
      return 0;
    }
    const { sizeBytes, dataBytes } = report;
    await output.message(`exported ${formatSize(sizeBytes)} to ${destination}, ${formatSize(dataBytes)} of it data`);
    await output.document({
      ...describeJob(image, { rev, destination }),
      'virtual-size': sizeBytes,
      'data-bytes': dataBytes,
      unreadable: unreadable.describe(),
    });
    unreadable.finish(image.path);
    return 0;
  } finally {
    forget();
  }
}

function describeJob(image: Image, { rev, destination }: Job): JsonObject {
  return { filename: image.path, version: rev === null ? null : image.resolve(rev), target: destination };
}

/** Errors: 'usage' for what does not go with `--seed`. */
function checkSeeding({ args }: CommandContext, seed: string): void {
  if (seed === '') throw new VsimgError('usage', '--seed names no version', { hint: 'name the one that DST holds' });
  if (args.operand(1) === '-')
    throw new VsimgError('usage', '--seed needs a file or a device that holds that version, not stdout', {
      hint: 'name it, or leave out --seed',
    });
  if (args.has('ignore-errors'))
    throw new VsimgError('usage', '--seed and --ignore-errors exclude each other', {
      hint: 'export to a new file with --ignore-errors',
    });
}

interface SeedJob extends Job {
  readonly seed: string;
}

async function exportOver(context: CommandContext, image: Image, job: SeedJob): Promise<number> {
  const { output, cleanup, progress } = context;
  const { rev, destination, seed } = job;
  const target = openSeedTarget(destination, {
    ...writingOf(context),
    seedBytes: image.sizeOf(seed),
    sizeBytes: image.sizeOf(rev),
  });
  const forget = cleanup.add(() => target.abort());
  try {
    refuseContainer(destination);
    const report = await image.exportOver(seed, rev, target, { onProgress: progress.start('export') });
    const { sizeBytes, rewrittenBytes, dataBytes } = report;
    await output.message(
      `rewrote ${formatSize(rewrittenBytes)} of ${formatSize(sizeBytes)} in ${destination}, ${formatSize(dataBytes)} of it data`,
    );
    await output.document({
      ...describeJob(image, job),
      seed: image.resolve(seed),
      'virtual-size': sizeBytes,
      'data-bytes': dataBytes,
      'rewritten-bytes': rewrittenBytes,
      unreadable: [],
    });
    return 0;
  } finally {
    target.abort();
    forget();
  }
}
