import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { parseImage } from '../cli/target.ts';
import { describeHead, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS } from '../errors.ts';
import type { HeadInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';
import {
  eachRange,
  listLimit,
  printJsonRanges,
  printRanges,
  SHOWN_RANGES,
  type Totals,
  totalsLine,
} from './range-list.ts';

export const definition: CommandDefinition = {
  description: 'Says what is checked out, and what was changed since.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [
    { short: 's', name: 'short', description: 'only the changed ranges, one a line; nothing if there are none' },
    { name: 'porcelain', description: 'the same, for scripts: what it prints stays as it is' },
    {
      short: 'n',
      name: 'max-count',
      value: 'N',
      description: `list at most N ranges (default: ${SHOWN_RANGES}; with -s or in JSON: all)`,
    },
    { name: 'exit-code', description: 'end with status 1 if something was changed' },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg status disk.vsi', explanation: 'anything to commit?' },
    { command: 'vsimg status disk.vsi -q --exit-code || echo dirty', explanation: 'in a script' },
    { command: 'vsimg status disk.vsi --porcelain', explanation: 'changed ranges: offset, length, kind' },
  ],
  details: [
    "Ranges are those of 'vsimg diff': in which the working state differs from HEAD or, before the first version, from an " +
      'empty disk.',
    "With -s each line is offset, length and kind with a blank between them. In the JSON document 'dirty' in 'head' says " +
      'whether anything was changed. With -q nothing is printed in text format.',
  ],
  statuses: [{ status: EXIT_STATUS.differs, meaning: 'something was changed and --exit-code is given' }],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseImage(args.operand(0));
  const isShort = args.has('short') || args.has('porcelain');
  const count = args.value('max-count');
  const limit = isShort && count === undefined ? Number.POSITIVE_INFINITY : listLimit(count, output.format);
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const { head } = image.info();
    let totals: Totals;
    if (output.format === 'json') {
      const document = { filename: path, head: describeHead(head) };
      totals = await printJsonRanges(output, document, image.changesOf(null), { limit });
    } else if (isShort || output.quiet) totals = await printShort(context, image, limit);
    else totals = await printText(context, image, { head, limit });
    return args.has('exit-code') && totals.rangeCount > 0 ? EXIT_STATUS.differs : 0;
  });
}

async function printShort({ output }: CommandContext, image: Image, limit: number): Promise<Totals> {
  let seen = 0;
  return eachRange(image.changesOf(null), async ({ start, length, kind }) => {
    if (seen < limit) await output.finding(`${start} ${length} ${kind}`);
    seen += 1;
    // With -q one is enough to know.
    return !output.quiet && !output.closed && seen < limit;
  });
}

async function printText(
  { output }: CommandContext,
  image: Image,
  { head, limit }: { readonly head: HeadInfo; readonly limit: number },
): Promise<Totals> {
  const paint = await output.paint();
  const { branch, version } = head;
  const where = branch === null ? 'HEAD is detached' : `on branch ${paint.ref(branch)}`;
  const at = version === null ? 'no version yet' : `at ${versionLine(image.version(version), branch, paint)}`;
  await output.line(`${where}, ${at}`);
  const since = version === null ? '' : ` since version ${version}`;
  await output.line(head.dirty === false ? `nothing changed${since}` : `changed${since}:`);
  const before = version === null ? 0 : image.sizeOf(String(version));
  const sizeBytes = Math.max(before, head.workingSizeBytes);
  const totals = await printRanges(output, image.changesOf(null), { limit, sizeBytes });
  if (totals.rangeCount > 0) {
    await output.line(totalsLine(totals));
    const drop = version === null ? '' : ", 'vsimg checkout --force' drops it";
    await output.line(`'vsimg commit' keeps it${drop}`);
  }
  return totals;
}
