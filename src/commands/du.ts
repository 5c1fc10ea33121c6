import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { plural } from '../cli/number.ts';
import { formatExactSize, formatSize } from '../cli/size.ts';
import { type Column, fitWidth, formatFields, formatTable, subject } from '../cli/table.ts';
import { parseTarget } from '../cli/target.ts';
import { describeVersion } from '../cli/version-view.ts';
import type { HeadInfo, HeldSpace, ReclaimReport, SpaceInfo, SpaceUsage } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { describeHeld, heldText, totalBytes } from './held-space.ts';
import { withImage } from './opening.ts';
import { expandRange } from './version-range.ts';

export const definition: CommandDefinition = {
  description:
    'Says which versions hold the space: without REV what each of them alone needs, with REV what deleting these versions would give back.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image, and a version' },
    {
      name: 'REV',
      presence: 'any-number',
      description: 'a version to delete, or a range of numbers such as 3..7 (both ends included)',
    },
  ],
  options: [REVISION_OPTION],
  access: 'reads',
  examples: [
    { command: 'vsimg du disk.vsi', explanation: 'where is the space?' },
    { command: 'vsimg du disk.vsi 1..10', explanation: 'is it worth while to delete the first ten?' },
    {
      command: 'vsimg du disk.vsi 3 --json | jq \'."reclaimed-bytes"\'',
      explanation: "by how much 'delete' and 'gc' would make the file shorter",
    },
  ],
  details: [
    'Without REV every byte of stored data counts once: for the one version that needs it, as shared, or as unneeded. Of a chunk ' +
      'in which several have blocks each gets its share. Metadata of a version are the pages of its map that no other has; all ' +
      'metadata that are no such pages are summed up as overhead.',
    'What versions share comes back only when all of them are deleted, so a set may give back more than its versions one by ' +
      "one. And 'vsimg gc' keeps a chunk of which less than a quarter is dead, and space in the middle of the file into which " +
      'nothing from its end fits. With REV all that is taken into account, because it is rehearsed: deleted and collected in a ' +
      'draft, which takes about as long as doing it, and little memory; what does not fit into that goes to a temporary file.',
    "So the length that the file then has is told to the byte, and so is by how much the 'data' and the 'metadata' that 'vsimg " +
      "info' tells shrink (0 for metadata where the pages written for that take more). It is true for one 'vsimg delete' of exactly " +
      "these versions and a 'vsimg gc' after it, if nobody changes the image before and nobody reads it meanwhile: what a long " +
      'read of an older state needs is only given back by the next gc.',
    "Versions that 'vsimg delete' would refuse, such as the head's own, may be named: it is as if they were not protected. The working " +
      'state needs what it has not changed of the version checked out, so that this is of neither alone, and stays whatever is deleted.',
  ],
  statuses: [],
};

const COLUMNS: readonly Column[] = [
  { title: 'VERSION', align: 'right' },
  { title: 'ALONE', align: 'right' },
  { title: 'DATA', align: 'right' },
  { title: 'METADATA', align: 'right' },
  { title: 'NAME', align: 'left' },
  { title: 'MESSAGE', align: 'left' },
];

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const named = [...(rev === null ? [] : [rev]), ...args.operands.slice(1)];
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    if (named.length > 0) {
      const report = await image.reclaim(named.flatMap((one) => expandRange(image, one)));
      await output.lines(reclaimLines(report, image.info().head));
      await output.document({
        filename: path,
        deleted: report.versions,
        reclaimed: describeHeld(report.reclaimed),
        reclaimable: describeHeld(report.reclaimable),
        'file-size-before': report.fileBytesBefore,
        'file-size-after': report.fileBytesAfter,
        'reclaimed-bytes': report.fileBytesBefore - report.fileBytesAfter,
      });
      return 0;
    }
    const measured = { usage: await image.usage(), space: image.info().space };
    if (output.format === 'json') await printJson(context, image, measured);
    else await printText(context, image, measured);
    return 0;
  });
}

function reclaimLines({ versions, reclaimed, reclaimable, ...file }: ReclaimReport, { version }: HeadInfo): string[] {
  const those = versions.length === 1 ? `version ${versions[0]}` : plural(versions.length, 'version');
  return [
    `deleting ${those}, then 'vsimg gc', gives back:`,
    `  ${heldText(reclaimed)}`,
    ...(totalBytes(reclaimable) === 0
      ? []
      : ['of which gc gives back without deleting:', `  ${heldText(reclaimable)}`]),
    ...(version === null || !versions.includes(version)
      ? []
      : [`version ${version} is checked out: what it shares with the working state stays`]),
    changeOfLength(file),
  ];
}

function changeOfLength({
  fileBytesBefore: before,
  fileBytesAfter: after,
}: Pick<ReclaimReport, 'fileBytesBefore' | 'fileBytesAfter'>): string {
  if (before === after) return `the file stays as long as it is: ${formatSize(before)}`;
  const [difference, adjective] = before > after ? [before - after, 'shorter'] : [after - before, 'longer'];
  return `the file becomes ${formatSize(difference)} ${adjective}: ${formatSize(before)} -> ${formatSize(after)}`;
}

interface Measured {
  readonly usage: SpaceUsage;
  readonly space: SpaceInfo;
}

/** What versions hold alone, all together. */
function exclusiveSum({ versions }: SpaceUsage): HeldSpace {
  const sum = { dataBytes: 0, metadataBytes: 0 };
  for (const version of versions) {
    sum.dataBytes += version.dataBytes;
    sum.metadataBytes += version.metadataBytes;
  }
  return sum;
}

/** Metadata that are no pages of a map. */
function overheadBytes({ usage, space }: Measured): number {
  const maps = exclusiveSum(usage).metadataBytes + usage.working.metadataBytes + usage.shared.metadataBytes;
  return space.metadataBytes - maps;
}

async function printText({ output, io }: CommandContext, image: Image, measured: Measured): Promise<void> {
  const { usage, space } = measured;
  const rows: string[][] = [];
  const giveTurn = turnGiver();
  for (const held of usage.versions) {
    if (output.closed) return;
    const { number, isHead, tags, branches, message } = image.version(held.number);
    rows.push([
      `${isHead ? '*' : ''}${number}`,
      formatSize(totalBytes(held)),
      formatSize(held.dataBytes),
      formatSize(held.metadataBytes),
      [...tags, ...branches].join(', '),
      subject(message),
    ]);
    await giveTurn();
  }
  if (rows.length > 0) {
    await output.lines(formatTable(COLUMNS, rows).map((line) => fitWidth(line, io.columns)));
    if (image.info().head.version !== null)
      await output.line('(* is checked out: what the working state shares with it counts as shared)');
    await output.line('');
  }
  const unneeded = formatSize(usage.unneededDataBytes);
  const fields = formatFields([
    ['versions alone', heldText(exclusiveSum(usage))],
    ['working state alone', heldText(usage.working)],
    ['shared', heldText(usage.shared)],
    ['unneeded data', usage.unneededDataBytes === 0 ? unneeded : `${unneeded} (see 'vsimg gc')`],
    ['overhead', formatSize(overheadBytes(measured))],
    ['free', formatSize(space.freeBytes)],
    ['file', formatExactSize(space.fileBytes)],
  ]);
  await output.lines(fields);
}

async function printJson({ output }: CommandContext, image: Image, measured: Measured): Promise<void> {
  const { usage, space } = measured;
  const list = output.list();
  await list.open({ filename: image.path }, 'versions');
  const giveTurn = turnGiver();
  for (const held of usage.versions) {
    if (output.closed) return;
    await list.item({ ...describeVersion(image.version(held.number)), exclusive: describeHeld(held) });
    await giveTurn();
  }
  await list.close({
    exclusive: describeHeld(exclusiveSum(usage)),
    working: describeHeld(usage.working),
    shared: describeHeld(usage.shared),
    'unneeded-data-bytes': usage.unneededDataBytes,
    'overhead-bytes': overheadBytes(measured),
    space: {
      'file-bytes': space.fileBytes,
      'data-bytes': space.dataBytes,
      'metadata-bytes': space.metadataBytes,
      'free-bytes': space.freeBytes,
    },
  });
}
