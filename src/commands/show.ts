import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { parseTarget } from '../cli/target.ts';
import { describeVersion, versionEntry } from '../cli/version-view.ts';
import { VsimgError } from '../errors.ts';
import type { HeldSpace, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { describeHeld, heldText } from './held-space.ts';
import { withImage } from './opening.ts';
import { listLimit, printJsonRanges, printRanges, SHOWN_RANGES, totalsLine } from './range-list.ts';

export const definition: CommandDefinition = {
  description: 'Shows one version: what it says of itself, and what it changed.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image, and the version (default: HEAD)' },
    { name: 'REV', presence: 'optional', description: 'the same as IMAGE@REV' },
  ],
  options: [
    REVISION_OPTION,
    { name: 'stat', description: 'of the changed ranges only sums' },
    {
      short: 'n',
      name: 'max-count',
      value: 'N',
      description: `list at most N ranges (default: ${SHOWN_RANGES}; in JSON: all)`,
    },
    {
      name: 'space',
      description: 'also the space that this version alone holds; goes through the maps of all versions',
    },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg show disk.vsi', explanation: 'the version checked out' },
    { command: 'vsimg show disk.vsi@v1.0 --stat', explanation: 'how much it changed' },
    { command: 'vsimg show disk.vsi@3 --space', explanation: 'and how much space it holds alone' },
  ],
  details: [
    "Ranges are those in which the version differs from its parent, as 'vsimg diff' lists them; a first version is compared " +
      'with an empty disk of its size. Of a version whose parent was deleted, the parent is the nearest one that is left.',
    "What --space tells is what 'vsimg du' tells of this version.",
  ],
  statuses: [],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const named = args.operands[1];
  const option = args.value('revision');
  if (named !== undefined && option !== undefined) {
    throw new VsimgError('usage', `both '${named}' and '${option}' are to be shown`, { hint: 'name one version' });
  }
  const { path, rev } = parseTarget(args.operand(0), named ?? option);
  const limit = args.has('stat') ? 0 : listLimit(args.value('max-count'), output.format);
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const version = image.version(rev ?? 'HEAD');
    const space = args.has('space') ? await spaceOf(image, version) : undefined;
    const print = output.format === 'json' ? printJson : printText;
    await print(context, image, { version, space, limit });
    return 0;
  });
}

interface Showing {
  readonly version: VersionInfo;
  readonly space: HeldSpace | undefined;
  /** Of ranges that are listed. */
  readonly limit: number;
}

async function spaceOf(image: Image, { number }: VersionInfo): Promise<HeldSpace | undefined> {
  const { versions } = await image.usage();
  return versions.find((version) => version.number === number);
}

async function printText({ output }: CommandContext, image: Image, showing: Showing): Promise<void> {
  const { version, space, limit } = showing;
  await output.lines(versionEntry(version, image.info().head.branch, await output.paint()));
  await output.line('');
  const ranges = image.changesOf(String(version.number));
  const totals = await printRanges(output, ranges, { limit, sizeBytes: largestSize(image, version) });
  await output.line(totals.rangeCount === 0 ? 'nothing changed' : totalsLine(totals));
  if (space === undefined) return;
  await output.line(`alone it holds ${heldText(space)}`);
  if (version.isHead) await output.line('(it is checked out: what the working state shares with it is not counted)');
}

/** A version that made the disk smaller has changes behind its own end. */
function largestSize(image: Image, { sizeBytes, parent }: VersionInfo): number {
  return parent === null ? sizeBytes : Math.max(sizeBytes, image.sizeOf(String(parent)));
}

async function printJson({ output }: CommandContext, image: Image, showing: Showing): Promise<void> {
  const { version, space, limit } = showing;
  const exclusive = space === undefined ? {} : { exclusive: describeHeld(space) };
  const head = { filename: image.path, ...describeVersion(version), ...exclusive };
  await printJsonRanges(output, head, image.changesOf(String(version.number)), { limit });
}
