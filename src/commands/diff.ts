import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, NULL_OPTION, REVISION_OPTION } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { isSameFile, parseTarget } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';
import { eachRange, printJsonRanges, RangeTable, type Totals, totalsLine } from './range-list.ts';

export const definition: CommandDefinition = {
  description:
    'Shows which ranges of the disk differ between two versions, or between a version and the working state.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'A', presence: 'optional', description: 'the old version (default: HEAD), or A..B' },
    { name: 'B', presence: 'optional', description: 'the new version (default: the working state)' },
  ],
  options: [
    { ...REVISION_OPTION, description: 'the same as A' },
    { name: 'stat', description: 'only sums' },
    { ...NULL_OPTION, description: 'no title; OFFSET, TAB, LENGTH, TAB, KIND and a NUL for each range' },
    { name: 'exit-code', description: 'end with status 1 if there are differences' },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg diff disk.vsi', explanation: 'what was written since the last commit' },
    { command: 'vsimg diff disk.vsi 1 2', explanation: 'from version 1 to version 2; 1..2 says the same' },
    { command: 'vsimg diff disk.vsi HEAD~1.. --stat', explanation: 'how much the last commit changed' },
    { command: 'vsimg diff disk.vsi -q --exit-code || echo dirty', explanation: 'in a script' },
  ],
  details: [
    "Each line is an offset and a length in bytes, and what B has there: 'data', 'zero' (A has data there and B reads as " +
      "zeros) or 'hole' (only one of them reaches so far, and B has no data there).",
    'Ranges are found by comparing maps, not data: a block that was rewritten with other data and then with its old data may be shown.',
    "A range that a repair gave up in the map of either side differs from everything, as 'data': nobody knows what it held.",
    'With -q nothing is printed in text format.',
  ],
  statuses: [{ status: EXIT_STATUS.differs, meaning: 'there are differences and --exit-code is given' }],
};

interface Sides {
  readonly a: string | null;
  readonly b: string | null;
}

export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const others = args.operands.slice(1).map((name) => ownRevision(name, path));
  const named = rev === null ? others : [rev, ...others];
  const sides = parseSides(named);
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const { a, b } = image.info().head.version === null && sides.a === 'HEAD' ? { ...sides, a: null } : sides;
    if (a === null && b === null) throw noVersion(image);
    const totals =
      context.output.format === 'json'
        ? await printJson(context, image, { a, b })
        : await printText(context, image, { a, b });
    return args.has('exit-code') && totals.rangeCount > 0 ? EXIT_STATUS.differs : 0;
  });
}

/** `IMAGE@REV` of the image itself is that version of it. */
function ownRevision(name: string, path: string): string {
  if (!name.includes('@')) return name;
  const other = parseTarget(name);
  return other.rev !== null && isSameFile(other.path, path) ? other.rev : name;
}

/** The old and the new side; null is the working state. */
export function parseSides(named: readonly string[]): Sides {
  const other = named.find((name) => name.includes('@'));
  if (other !== undefined) {
    throw new VsimgError('usage', `'${other}' names an image, and diff compares two versions of one`, {
      hint: "write 'vsimg diff IMAGE A B', or 'vsimg compare' for two images",
    });
  }
  const [first = 'HEAD', second, ...more] = named;
  const at = first.indexOf('..');
  if (more.length > 0 || (at !== -1 && second !== undefined) || second?.includes('..') === true) {
    throw new VsimgError('usage', 'diff compares two sides', { hint: 'write A B or A..B' });
  }
  if (at === -1) return { a: first, b: second ?? null };
  if (first.startsWith('...', at)) {
    throw new VsimgError('usage', `'${first}' has three dots`, { hint: 'write A..B' });
  }
  return { a: first.slice(0, at) || 'HEAD', b: first.slice(at + 2) || 'HEAD' };
}

function noVersion(image: Image): VsimgError {
  return new VsimgError('not-found', 'there is no version yet to compare with', {
    path: image.path,
    hint: "make one with 'vsimg commit'",
  });
}

async function printText({ args, output }: CommandContext, image: Image, sides: Sides): Promise<Totals> {
  const table = new RangeTable(output, Math.max(image.sizeOf(sides.a), image.sizeOf(sides.b)));
  const isListed = !output.quiet && !args.has('stat');
  const totals = await eachRange(image.diff(sides.a, sides.b), async (range) => {
    if (isListed && args.has('null')) await output.item([range.start, range.length, range.kind].join('\t'), '\0');
    else if (isListed) await table.row(range);
    return !output.quiet && !output.closed;
  });
  if (args.has('stat')) await output.finding(totalsLine(totals));
  return totals;
}

async function printJson({ args, output }: CommandContext, image: Image, sides: Sides): Promise<Totals> {
  const head = { filename: image.path, a: describeSide(image, sides.a), b: describeSide(image, sides.b) };
  const limit = args.has('stat') ? 0 : Number.POSITIVE_INFINITY;
  return printJsonRanges(output, head, image.diff(sides.a, sides.b), { limit });
}

function describeSide(image: Image, rev: string | null): JsonObject {
  const version = rev === null ? null : image.resolve(rev);
  return { version, 'virtual-size': image.sizeOf(rev) };
}
