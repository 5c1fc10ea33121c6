import type { CommandContext } from '../cli/context.ts';
import { requireDataOutput } from '../cli/data-output.ts';
import { type CommandDefinition, REVISION_OPTION, SYNC_OPTION } from '../cli/definition.ts';
import { formatSize, parseSize } from '../cli/size.ts';
import { parseTarget, requireDifferentFiles } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { OnProgress, UnreadableRange } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { openFileTarget } from '../storage/target.ts';
import type { DataTarget, Piece } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import { withImage, writingOf } from './opening.ts';
import { standardOutput } from './standard-output.ts';
import { IGNORE_ERRORS_OPTION, Unreadable } from './unreadable.ts';

/** Up to here a read is over before a lock against reuse of space would pay. */
const SHORT_READ_BYTES = 1024 * 1024;

export const definition: CommandDefinition = {
  description: 'Prints bytes of a version, or of the working state, without checking it out.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
  ],
  options: [
    REVISION_OPTION,
    { name: 'offset', value: 'N', description: 'first byte (default: 0)' },
    { name: 'length', value: 'N', description: 'number of bytes (default: to the end)' },
    { short: 'o', name: 'out', shortOnly: true, value: 'FILE', description: "write to FILE instead of stdout ('-')" },
    IGNORE_ERRORS_OPTION,
    SYNC_OPTION,
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg read disk.vsi@1 --offset 1M --length 4k | xxd', explanation: '4 KiB of version 1' },
    {
      command: 'vsimg read disk.vsi --length 512 -o mbr.bin',
      explanation: 'the first sector of the working state, into a file',
    },
  ],
  details: [
    'FILE is replaced if it exists, and appears when it is complete. Its holes are those of the version.',
    "For whole versions 'vsimg export' is the better choice.",
    'With --ignore-errors each range that can not be read is told on stderr; the status says that the image is damaged.',
  ],
  statuses: [
    { status: EXIT_STATUS.corrupt, meaning: 'the image is damaged; with --ignore-errors all was written all the same' },
    { status: EXIT_STATUS.refused, meaning: 'the range reaches beyond the end of the disk' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, cleanup } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const file = args.value('out') ?? '-';
  if (file === '-') requireDataOutput(context, 'write the data to a file with -o FILE');
  else requireDifferentFiles(path, file);
  const offset = parseSize(args.value('offset') ?? '0', '--offset');
  const lengthText = args.value('length');
  const wanted = lengthText === undefined ? undefined : parseSize(lengthText, '--length');
  const ignoreErrors = args.has('ignore-errors');
  // Beside a writer, a look without a lock may meet what only seems to be damage.
  const mode = wanted !== undefined && wanted <= SHORT_READ_BYTES && !ignoreErrors ? 'read' : 'read-long';
  return withImage(context, { path, mode }, async (image) => {
    // A name may be moved while its bytes are read; a number always means the same bytes.
    const version = rev === null ? null : image.resolve(rev);
    const state = version === null ? null : String(version);
    const range = planRange(image, { rev: state, offset, length: wanted });
    const length = range.end - range.start;
    const target =
      file === '-'
        ? standardOutput(output, length)
        : openFileTarget(file, { ...writingOf(context), force: true, sizeBytes: length });
    const forget = cleanup.add(() => target.abort());
    const unreadable = new Unreadable(context);
    const onUnreadable = (found: UnreadableRange): void => unreadable.add(found);
    const { start, end } = range;
    try {
      const pieces = ignoreErrors
        ? image.readablePieces(state, start, end, onUnreadable)
        : image.pieces(state, start, end);
      await copy(pieces, range, { target, onProgress: context.progress.start('read') });
      await target.finish(length);
    } catch (error) {
      target.abort();
      throw error;
    } finally {
      forget();
    }
    if (file === '-') {
      unreadable.finish(path);
      return 0;
    }
    await output.message(`wrote ${formatSize(length)} to ${file}`);
    const document = { filename: path, version, offset, length, target: file };
    await output.document({ ...document, unreadable: unreadable.describe() });
    unreadable.finish(path);
    return 0;
  });
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function planRange(
  image: Image,
  {
    rev,
    offset,
    length,
  }: { readonly rev: string | null; readonly offset: number; readonly length: number | undefined },
): Range {
  const size = image.sizeOf(rev);
  const end = length === undefined ? Math.max(size, offset) : offset + length;
  if (end > size) {
    throw new VsimgError(
      'refused',
      `bytes ${offset} to ${end} reach beyond the end of the disk, which has ${size} bytes`,
      {
        path: image.path,
        hint: 'give a smaller offset or length',
      },
    );
  }
  return { start: offset, end };
}

async function copy(
  pieces: AsyncIterable<Piece>,
  { start, end }: Range,
  { target, onProgress }: { readonly target: DataTarget; readonly onProgress: OnProgress },
): Promise<void> {
  const giveTurn = turnGiver();
  for await (const piece of pieces) {
    const done = piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end;
    if (piece.kind === 'data') await target.data(piece.start - start, piece.bytes);
    else await target.hole(piece.start - start, piece.end - start);
    onProgress(done - start, end - start);
    const turn = giveTurn();
    if (turn !== undefined) await turn;
  }
}
