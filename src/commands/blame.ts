import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { PART_OPTIONS, parsePart } from '../cli/disk-part.ts';
import { fitWidth, pad, subject } from '../cli/table.ts';
import { parseTarget } from '../cli/target.ts';
import { formatTime } from '../cli/time.ts';
import { describeVersion, shortId } from '../cli/version-view.ts';
import { EXIT_STATUS } from '../errors.ts';
import type { BlameRange, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Shows for each range of the disk which version changed it last.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
  ],
  options: [REVISION_OPTION, ...PART_OPTIONS],
  access: 'reads',
  examples: [
    { command: 'vsimg blame disk.vsi', explanation: 'who wrote what' },
    { command: 'vsimg blame disk.vsi@v2 --offset 1M --length 64k', explanation: 'the same of a part of version v2' },
    {
      command: "vsimg blame disk.vsi --json | jq '.ranges[] | select(.version == null)'",
      explanation: 'what is not committed yet',
    },
  ],
  details: [
    'Each line is the beginning of an id, the number of the version, its date, an offset and a length in bytes, and the message. ' +
      "What is not committed yet has the id 00000000 and no version. Ranges that read as zeros are marked with 'zero'; what " +
      'was never written is left out.',
    'Ranges are found by comparing the maps of versions, as diff does: the newest version that diff shows a range for is ' +
      'the one. Growing the disk counts as a change of what it grew by. For what a deleted version changed, it is its next ' +
      'descendant that still exists.',
    "With --json 'version' is null for what is not committed yet and 0 for what was never written; 'versions' describes all " +
      'others.',
  ],
  statuses: [{ status: EXIT_STATUS.refused, meaning: 'the range reaches beyond the end of the disk' }],
};

const NOT_COMMITTED = { id: '00000000', version: '-', date: '-', message: 'not committed yet' } as const;

export async function run(context: CommandContext): Promise<number> {
  const { path, rev } = parseTarget(context.args.operand(0), context.args.value('revision'));
  const part = { rev, ...parsePart(context.args) };
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const ranges = await image.history.blame(part);
    if (context.output.format === 'json') await printJson(context, image, { rev, ranges });
    else await printText(context, image, ranges);
    return 0;
  });
}

async function printJson(
  { output }: CommandContext,
  image: Image,
  { rev, ranges }: { readonly rev: string | null; readonly ranges: readonly BlameRange[] },
): Promise<void> {
  const list = output.list();
  const version = rev === null ? null : image.resolve(rev);
  await list.open({ filename: image.path, version, 'virtual-size': image.sizeOf(rev) }, 'ranges');
  const giveTurn = turnGiver();
  for (const { start, length, kind, version } of ranges) {
    if (output.closed) return;
    await list.item({ start, length, kind, version });
    await giveTurn();
  }
  const numbers = new Set(ranges.flatMap(({ version }) => (version === null || version === 0 ? [] : [version])));
  const versions = [...numbers].sort((a, b) => a - b).map((number) => describeVersion(image.version(number)));
  await list.close({ versions });
}

async function printText({ output, io }: CommandContext, image: Image, ranges: readonly BlameRange[]): Promise<void> {
  const paint = await output.paint();
  const written = ranges.filter(({ version }) => version !== 0);
  const width = (texts: Iterable<number>): number => {
    let longest = 1;
    for (const number of texts) longest = Math.max(longest, String(number).length);
    return longest;
  };
  const widths = {
    version: width(written.map(({ version }) => version ?? 0)),
    offset: width(written.map(({ start }) => start)),
    length: width(written.map(({ length }) => length)),
  };
  const known = new Map<number, VersionInfo>();
  const giveTurn = turnGiver();
  for (const { start, length, kind, version } of written) {
    if (output.closed) return;
    const { id, ...what } = version === null ? NOT_COMMITTED : texts(lookUp(known, image, version));
    const place = `${pad(String(start), widths.offset, 'right')} ${pad(String(length), widths.length, 'right')}`;
    const who = `${pad(what.version, widths.version, 'right')} ${pad(what.date, 20, 'left')}`;
    const line = `${id} ${who} ${place} ${kind === 'zero' ? 'zero: ' : ''}${what.message}`.trimEnd();
    const shown = io.stdoutIsTerminal ? fitWidth(line, io.columns) : line;
    await output.line(paint.version(shown.slice(0, id.length)) + shown.slice(id.length));
    await giveTurn();
  }
}

function lookUp(known: Map<number, VersionInfo>, image: Image, number: number): VersionInfo {
  const version = known.get(number) ?? image.version(number);
  known.set(number, version);
  return version;
}

function texts(version: VersionInfo) {
  return {
    id: shortId(version.id),
    version: String(version.number),
    date: formatTime(version.timeSeconds),
    message: subject(version.message),
  };
}
