import type { CommandContext } from '../cli/context.ts';
import { requireDataOutput } from '../cli/data-output.ts';
import { type CommandDefinition, REVISION_OPTION, SYNC_OPTION } from '../cli/definition.ts';
import { PART_OPTIONS, parsePart } from '../cli/disk-part.ts';
import { inSmallHeap } from '../cli/heap.ts';
import type { JsonObject } from '../cli/json.ts';
import { parseCount } from '../cli/number.ts';
import { pad } from '../cli/table.ts';
import { parseTarget, requireDifferentFiles } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { DiskPart, PlacedRange } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { printHeat, writeSvg } from './heat.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description:
    'Shows which parts of the disk hold data, where it lies in the file, and which version wrote it: as a list, or as a picture ' +
    'through time.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
  ],
  options: [
    REVISION_OPTION,
    ...PART_OPTIONS,
    { name: 'list', description: 'list ranges, also on a terminal' },
    { name: 'heat', description: 'draw the newest versions, also where stdout is no terminal' },
    { name: 'svg', value: 'FILE', description: "draw them to FILE as SVG ('-': stdout)" },
    { short: 'n', name: 'max-count', value: 'N', description: 'draw at most N versions (default: 20)' },
    SYNC_OPTION,
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg map disk.vsi', explanation: 'a picture on a terminal, a list in a pipe' },
    { command: 'vsimg map disk.vsi@v1 --list --length 64M', explanation: 'the first 64 MiB of version v1' },
    {
      command: "vsimg map disk.vsi --json | jq '[.ranges[] | select(.data).length] | add'",
      explanation: 'how much data it holds',
    },
    { command: 'vsimg map disk.vsi --svg disk.svg -n 50', explanation: 'a picture of 50 versions' },
  ],
  details: [
    "In the list each line is an offset and a length in bytes; 'data', 'zero' or 'lost' (given up by a repair); where in the file " +
      "the bytes lie, or 'compressed'; and the version that wrote it, which is '-' for what is not committed. What was never " +
      'written is left out.',
    "With --json 'ranges' is what 'qemu-img map --output=json' prints, with 'version' added: null for what is not committed, 0 " +
      "for what was never written. 'present' is false only there; 'depth' is always 0; 'offset' is there where the bytes lie " +
      "uncompressed in the file; 'lost' is there, and true, for what a repair gave up.",
    'In the picture each line is a version, newest first, and its width is the disk. A place is coloured by the newest version up ' +
      'to that one that changed anything in it, even if most of it is older.',
  ],
  statuses: [{ status: EXIT_STATUS.refused, meaning: 'the range reaches beyond the end of the disk' }],
};

const DEFAULT_ROWS = 20;

export async function run(context: CommandContext): Promise<number> {
  const { args, output, io } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const svg = args.value('svg');
  if (args.has('list') && (args.has('heat') || svg !== undefined)) {
    throw new VsimgError('usage', '--list and a picture exclude each other', { hint: 'give one of them' });
  }
  if (args.has('heat')) requireDataOutput(context, 'leave out --heat');
  if (svg === '-') requireDataOutput(context, 'write the picture to a file with --svg FILE');
  else if (svg !== undefined) requireDifferentFiles(path, svg);
  const rowCount = parseCount(args.value('max-count') ?? String(DEFAULT_ROWS), '-n');
  if (rowCount === 0) throw new VsimgError('usage', '-n 0 leaves nothing to draw', { hint: 'give at least 1' });
  const part = { rev, ...parsePart(args) };
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    if (svg !== undefined) await writeSvg(context, image, { part, rowCount, file: svg });
    if (output.format === 'json') await inSmallHeap(() => printJson(context, image, part));
    else if (args.has('heat') || (svg === undefined && io.stdoutIsTerminal && !args.has('list')))
      await printHeat(context, image, { part, rowCount });
    else if (svg === undefined) await inSmallHeap(() => printList(context, image, part));
    return 0;
  });
}

async function printList({ output }: CommandContext, image: Image, part: DiskPart): Promise<void> {
  const width = Math.max(6, String(image.sizeOf(part.rev)).length);
  const hostWidth = Math.max(10, String(image.info().space.fileBytes).length);
  const row = (cells: readonly [string, string, string, string, string]): string => {
    const [offset, length, kind, host, version] = cells;
    const guest = `${pad(offset, width, 'right')}  ${pad(length, width, 'right')}  ${pad(kind, 4, 'left')}`;
    return `${guest}  ${pad(host, hostWidth, 'right')}  ${version}`;
  };
  let titled = false;
  for await (const range of image.history.places(part)) {
    if (output.closed) return;
    if (range.version === 0) continue;
    if (!titled) await output.line(row(['Offset', 'Length', 'Kind', 'Mapped to', 'Version']));
    titled = true;
    const version = String(range.version ?? '-');
    await output.line(row([String(range.start), String(range.length), range.kind, hostText(range), version]));
  }
}

function hostText({ kind, isCompressed, hostOffset }: PlacedRange): string {
  if (kind !== 'data') return '-';
  return isCompressed ? 'compressed' : String(hostOffset ?? '-');
}

async function printJson({ output }: CommandContext, image: Image, part: DiskPart): Promise<void> {
  const { rev, start } = part;
  const size = image.sizeOf(rev);
  const list = output.list();
  const version = rev === null ? null : image.resolve(rev);
  const length = (part.end ?? Math.max(start, size)) - start;
  // What fails does so before anything is printed.
  const places = image.history.places(part);
  let next = await places.next();
  await list.open({ filename: image.path, version, 'virtual-size': size, offset: start, length }, 'ranges');
  for (; next.done !== true && !output.closed; next = await places.next()) await list.item(describe(next.value));
  await list.close();
}

function describe({ start, length, kind, version, isCompressed, hostOffset }: PlacedRange): JsonObject {
  return {
    start,
    length,
    depth: 0,
    present: version !== 0,
    zero: kind === 'zero',
    data: kind !== 'zero',
    compressed: isCompressed,
    ...(hostOffset === undefined ? {} : { offset: hostOffset }),
    ...(kind === 'lost' ? { lost: true } : {}),
    version,
  };
}
