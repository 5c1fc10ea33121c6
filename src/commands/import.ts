import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { CODECS } from '../cli/compression.ts';
import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { PLAIN } from '../cli/paint.ts';
import { formatSize } from '../cli/size.ts';
import { isSameFile, parseNewImage } from '../cli/target.ts';
import { stampSeconds } from '../cli/time.ts';
import { describeVersion, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { VersionInfo, WriteReport } from '../image/api.ts';
import { createImageFile } from '../image/file.ts';
import type { Image } from '../image/image.ts';
import { rawSource } from '../image/raw-source.ts';
import { openFileSource } from '../storage/source.ts';
import type { DataSource } from '../storage/transfer.ts';
import { commitLines } from './commit-report.ts';
import { creationOptions } from './create.ts';
import { standardInput, withImage, writingOf } from './opening.ts';
import { describeReport } from './write.ts';

const CREATION_OPTIONS = ['block-size', 'compression'] as const;

export const definition: CommandDefinition = {
  description: 'Makes SRC the next version of IMAGE. IMAGE is created if it is not there, or an empty file.',
  arguments: [
    { name: 'SRC', presence: 'required', description: "a raw image, a block device, or '-' for stdin" },
    { name: 'IMAGE', presence: 'required', description: 'the image' },
  ],
  options: [
    {
      short: 'm',
      name: 'message',
      value: 'MESSAGE',
      description: "what this version is (default: 'import' and the name of SRC)",
    },
    { name: 'tag', value: 'NAME', description: 'give the version a tag' },
    { name: 'if-changed', description: 'make no version if SRC equals the version checked out' },
    { name: 'force-raw', description: 'take SRC for a raw image even if it looks like another format' },
    { name: 'block-size', value: 'SIZE', description: 'for a new image: smallest unit of change (default: 4k)' },
    {
      name: 'compression',
      value: 'CODEC',
      completes: CODECS,
      description: "for a new image: 'none', 'zstd' or 'zstd:LEVEL' (default: zstd:2)",
    },
  ],
  access: 'writes',
  examples: [
    { command: "vsimg import disk.raw disk.vsi -m 'fresh install'", explanation: 'a raw image becomes a version' },
    {
      command: 'qemu-img convert -O raw old.qcow2 /tmp/d.raw && vsimg import /tmp/d.raw disk.vsi',
      explanation: 'from another format',
    },
    {
      command: 'vsimg import /dev/sdX disk.vsi --if-changed -q',
      explanation: 'every night, without versions of days on which nothing happened',
    },
    { command: 'xzcat disk.raw.xz | vsimg import - disk.vsi --tag v2', explanation: 'from a pipe, with a tag' },
  ],
  details: [
    'Holes of SRC are skipped without reading them, and blocks equal to those of the head are not stored again. SRC may be ' +
      'larger or smaller than the version before: every version has its own size.',
    'The image changes when all of SRC has been read, or not at all. What an import that was killed or ran out of space leaves ' +
      "beyond the end of the file is taken by the next command that writes, or given back by 'vsimg gc'.",
    'With --if-changed a SRC that equals the head leaves the history as it is: the status is 0, --tag names the version that ' +
      "holds SRC already, and the JSON document describes that one and has 'changed': false.",
    "A file in a format that 'qemu-img convert' reads (qcow, qcow2, qed, vdi, vhd, vhdx, vmdk), or an image of vsimg, is refused: the " +
      'disk in it is something else than its bytes.',
    'Data that the image has already is compared with it, and stored anew where that can not be read any more.',
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the tag exists already' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'uncommitted changes, SRC is not raw, or --block-size and IMAGE exists' },
  ],
};

interface Imported {
  readonly version: VersionInfo;
  readonly report: WriteReport;
  readonly changed: boolean;
  readonly branch: string | null;
}

/** Errors: those of `openFileSource`, with what to do about a name that is no file's. */
function openSource(name: string, imagePath: string): DataSource {
  try {
    return openFileSource(name);
  } catch (error) {
    if (!(error instanceof VsimgError) || error.code !== 'not-found') throw error;
    const hint = /^nbds?(\+\w+)?:/.test(name)
      ? `copy it: nbdcopy '${name}' - | vsimg import - ${imagePath}`
      : name.endsWith('.vsi') && !imagePath.endsWith('.vsi')
        ? `SRC comes first: 'vsimg import ${imagePath} ${name}'`
        : undefined;
    throw hint === undefined ? error : new VsimgError('not-found', error.message, { path: name, hint, cause: error });
  }
}

export async function run(context: CommandContext): Promise<number> {
  const { args, output, cleanup } = context;
  const sourceName = args.operand(0);
  const path = parseNewImage(args.operand(1));
  const old = statSync(path, { throwIfNoEntry: false });
  // What mktemp(1) makes.
  const isEmpty = old?.isFile() === true && old.size === 0;
  const there = old !== undefined && !isEmpty;
  if (there) refuseCreationOptions(context, path);
  if (there && sourceName !== '-' && isSameFile(sourceName, path)) {
    throw new VsimgError('usage', `SRC and IMAGE are the same file, '${path}'`, {
      hint: 'SRC is the raw image to import, and IMAGE the .vsi file that it goes into',
    });
  }
  const opened = sourceName === '-' ? standardInput(context) : openSource(sourceName, path);
  const forget = cleanup.add(() => opened.close());
  try {
    const shownName = sourceName === '-' ? 'stdin' : `'${sourceName}'`;
    const source = args.has('force-raw') ? opened : await rawSource(opened, shownName);
    const fill = (image: Image) => importInto(context, image, { source, sourceName });
    const imported = there
      ? await withImage(context, { path, mode: 'write' }, fill)
      : await createImageFile(path, creationOptions(context, source.sizeBytes ?? 0), {
          fill,
          ...(isEmpty ? { force: 'if-empty' } : {}),
          ...writingOf(context),
        });
    if (imported === undefined) return 0;
    const { version, report, changed, branch } = imported;
    if (changed) for (const line of commitLines(version, branch)) await output.message(line);
    else await output.message(`nothing changed: still ${versionLine(version, branch, PLAIN)}`);
    const parts = [
      `${formatSize(report.storedBytes)} stored (before compression)`,
      `${formatSize(report.unchangedBytes)} unchanged`,
      `${formatSize(report.zeroBytes)} zeros`,
    ];
    await output.message(` ${parts.join(', ')}`);
    await output.document({ filename: path, branch, changed, ...describeVersion(version), ...describeReport(report) });
    return 0;
  } finally {
    forget();
    opened.close();
  }
}

function refuseCreationOptions({ args }: CommandContext, path: string): void {
  const given = CREATION_OPTIONS.find((name) => args.has(name));
  if (given === undefined) return;
  throw new VsimgError('refused', `--${given} is for new images, and '${path}' exists`, {
    path,
    hint: 'leave it out, or import into another file',
  });
}

async function importInto(
  { args, io, progress }: CommandContext,
  image: Image,
  { source, sourceName }: { readonly source: DataSource; readonly sourceName: string },
): Promise<Imported> {
  const tag = args.value('tag');
  const imported = await image.importFrom(source, {
    message: args.value('message') ?? `import ${sourceName === '-' ? 'stdin' : basename(sourceName)}`,
    timeSeconds: stampSeconds(io.env, io.now()),
    // Whoever imports a state wants it in the history, changed or not.
    allowEmpty: true,
    ifChanged: args.has('if-changed'),
    onProgress: progress.start('import'),
    ...(tag === undefined ? {} : { tag }),
  });
  return { ...imported, branch: image.info().head.branch };
}
