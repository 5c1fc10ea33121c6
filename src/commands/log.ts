import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, NULL_OPTION, REVISION_OPTION } from '../cli/definition.ts';
import { Graph, type GraphRow } from '../cli/graph.ts';
import { parseCount } from '../cli/number.ts';
import { parseTarget } from '../cli/target.ts';
import { describeHead, describeVersion, versionEntry, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { HeadInfo, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { SHORT_LISTING, withImage } from './opening.ts';
import { parseRange, RangeFilter, requireOnDisk } from './range-filter.ts';

export const definition: CommandDefinition = {
  description: 'Lists versions, newest first, with the tags and branches that name them.',
  arguments: [
    {
      name: 'IMAGE[@REV]',
      presence: 'required',
      description: 'the image; with REV only that version and those it came from',
    },
  ],
  options: [
    REVISION_OPTION,
    { name: 'oneline', description: 'a line for each version' },
    { name: 'graph', description: 'draw lines of history beside the versions' },
    {
      name: 'range',
      value: 'OFF:LEN',
      repeats: true,
      description:
        'only versions that changed something in this part of the disk, or in another that is given; without LEN to its end, without OFF from its start',
    },
    { short: 'n', name: 'max-count', value: 'N', digits: true, description: 'at most N versions; -N says the same' },
    { ...NULL_OPTION, description: 'end each version with NUL, for messages of several lines' },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg log disk.vsi', explanation: 'everything' },
    { command: 'vsimg log disk.vsi --oneline --graph', explanation: 'an overview of all branches' },
    {
      command: 'vsimg log disk.vsi --range 1M:64k --range 0:512',
      explanation: 'who changed the 64 KiB at 1 MiB, or the first sector',
    },
    {
      command: "vsimg log disk.vsi -n 1 --json | jq -r '.versions[0].version'",
      explanation: 'number of the newest version',
    },
  ],
  details: [
    'Dates are UTC. All versions are listed, also those that no branch or tag leads to.',
    'With --range a version is compared with its parent, as diff does, and a first version with an empty disk; a range must lie ' +
      'on the disk of one version at least. --graph then ' +
      'leads from each version to the nearest one before it that is listed.',
  ],
  statuses: [{ status: EXIT_STATUS.refused, meaning: 'the range reaches beyond the end of the disk' }],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  if (args.has('null') && args.has('graph'))
    throw new VsimgError('usage', '-z and --graph exclude each other', { hint: 'give one of them' });
  const countText = args.value('max-count');
  const count = countText === undefined ? Number.POSITIVE_INFINITY : parseCount(countText, '-n');
  const ranges = args.values('range').map(parseRange);
  const print = output.format === 'json' ? printJson : printText;
  // To those who know git it is a wish for more than they get.
  if (args.value('progress') === 'bar' && output.format === 'text' && !output.quiet)
    output.tell("vsimg: -p shows progress, and 'log' has none; 'vsimg show' and 'vsimg diff' show what changed");
  if (ranges.length > 0) {
    // Whoever selects may have to go through all of them.
    return withImage(context, { path, mode: 'read-long' }, async (image) => {
      const all = (): Generator<VersionInfo> | IterableIterator<VersionInfo> =>
        rev === null ? image.versions() : ancestry(image, rev);
      await requireOnDisk(ranges, { path: image.path, sizeBytes: image.sizeOf(rev), versions: all() });
      const filter = new RangeFilter(image, ranges);
      await print(context, {
        path: image.path,
        head: image.info().head,
        versions: filter.select(all(), { output, count }),
        parentOf: (version) => filter.parentOf(version),
      });
      return 0;
    });
  }
  return withImage(context, { path, mode: 'read' }, async (image) => {
    const look = () => ({
      path: image.path,
      head: image.info().head,
      versions: limited(rev === null ? image.versions() : ancestry(image, rev), count),
    });
    if (Math.min(count, image.info().versionCount) > SHORT_LISTING) await image.whileHeld(() => print(context, look()));
    else {
      const listing = image.inOneState(() => {
        const found = look();
        return { ...found, versions: [...found.versions] };
      });
      await print(context, listing);
    }
    return 0;
  });
}

interface Listing {
  readonly path: string;
  readonly head: HeadInfo;
  readonly versions: Iterable<VersionInfo> | AsyncIterable<VersionInfo>;
  /** Where a graph leads to, if not to the parent. */
  readonly parentOf?: (version: VersionInfo) => Promise<number | null>;
}

function* limited(versions: Iterable<VersionInfo>, count: number): Generator<VersionInfo> {
  let left = count;
  if (left <= 0) return;
  for (const version of versions) {
    yield version;
    left -= 1;
    if (left <= 0) return;
  }
}

/** A version and all it came from. */
function* ancestry(image: Image, rev: string): Generator<VersionInfo> {
  let version = image.version(rev);
  for (;;) {
    yield version;
    if (version.parent === null) return;
    version = image.version(version.parent);
  }
}

async function printJson({ output }: CommandContext, { path, head, versions }: Listing): Promise<void> {
  const list = output.list();
  await list.open({ filename: path, head: describeHead(head) }, 'versions');
  const giveTurn = turnGiver();
  for await (const version of versions) {
    if (output.closed) return;
    await list.item(describeVersion(version));
    await giveTurn();
  }
  await list.close();
}

async function printText({ args, output }: CommandContext, { head, versions, parentOf }: Listing): Promise<void> {
  const paint = await output.paint();
  const { branch } = head;
  const graph = args.has('graph') ? new Graph() : undefined;
  const oneline = args.has('oneline');
  const giveTurn = turnGiver();
  let first = true;
  for await (const version of versions) {
    if (output.closed) return;
    const lines = oneline ? [versionLine(version, branch, paint)] : versionEntry(version, branch, paint);
    if (args.has('null')) await output.item(lines.join('\n'), '\0');
    else if (graph !== undefined) {
      const parent = parentOf === undefined ? version.parent : await parentOf(version);
      const row = graph.next({ number: version.number, parent });
      await output.lines(besideGraph(row, oneline ? lines : [...lines, '']));
    } else {
      if (!oneline && !first) await output.line('');
      await output.lines(lines.map((line) => line.trimEnd()));
    }
    first = false;
    await giveTurn();
  }
}

function besideGraph({ first, moves, rest }: GraphRow, lines: readonly string[]): string[] {
  const prefixes = [first, ...moves];
  return Array.from({ length: Math.max(lines.length, prefixes.length) }, (_, index) =>
    `${prefixes[index] ?? rest}${lines[index] ?? ''}`.trimEnd(),
  );
}
