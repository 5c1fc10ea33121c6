import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { Graph, type GraphRow } from '../cli/graph.ts';
import { parseCount } from '../cli/number.ts';
import type { Paint } from '../cli/paint.ts';
import { formatExactSize } from '../cli/size.ts';
import { parseTarget } from '../cli/target.ts';
import { formatTime } from '../cli/time.ts';
import { decoration, describeHead, describeVersion, messageLines, versionLine } from '../cli/version-view.ts';
import type { HeadInfo, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { SHORT_LISTING, withImage } from './opening.ts';

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
    { short: 'n', name: 'max-count', value: 'N', description: 'at most N versions' },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg log disk.vsi', explanation: 'everything' },
    { command: 'vsimg log disk.vsi --oneline --graph', explanation: 'an overview of all branches' },
    {
      command: "vsimg log disk.vsi -n 1 --json | jq -r '.versions[0].version'",
      explanation: 'number of the newest version',
    },
  ],
  details: ['Dates are UTC. All versions are listed, also those that no branch or tag leads to.'],
  statuses: [],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const countText = args.value('max-count');
  const count = countText === undefined ? Number.POSITIVE_INFINITY : parseCount(countText, '-n');
  return withImage(context, { path, mode: 'read' }, async (image) => {
    const look = (): Listing => ({
      path: image.path,
      head: image.info().head,
      versions: limited(rev === null ? image.versions() : ancestry(image, rev), count),
    });
    const print = output.format === 'json' ? printJson : printText;
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
  readonly versions: Iterable<VersionInfo>;
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
  for (const version of versions) {
    if (output.closed) return;
    await list.item(describeVersion(version));
    await giveTurn();
  }
  await list.close();
}

async function printText({ args, output }: CommandContext, { head, versions }: Listing): Promise<void> {
  const paint = await output.paint();
  const { branch } = head;
  const graph = args.has('graph') ? new Graph() : undefined;
  const oneline = args.has('oneline');
  const giveTurn = turnGiver();
  let first = true;
  for (const version of versions) {
    if (output.closed) return;
    const lines = oneline ? [versionLine(version, branch, paint)] : entryLines(version, branch, paint);
    if (graph !== undefined) await output.lines(besideGraph(graph.next(version), oneline ? lines : [...lines, '']));
    else {
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

function entryLines(version: VersionInfo, headBranch: string | null, paint: Paint): string[] {
  return [
    `${paint.version(`version ${version.number}`)}${decoration(version, headBranch, paint)}`,
    `Id:     ${version.id}`,
    `Parent: ${version.parent ?? 'none'}`,
    `Date:   ${formatTime(version.timeSeconds)}`,
    `Size:   ${formatExactSize(version.sizeBytes)}`,
    '',
    ...messageLines(version.message).map((line) => `    ${line}`),
  ];
}
