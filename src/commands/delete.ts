import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { parseCount, plural } from '../cli/number.ts';
import { PLAIN } from '../cli/paint.ts';
import { parseImage } from '../cli/target.ts';
import { describeVersion, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: "Removes versions. All others stay whole; the space comes back with 'vsimg gc'.",
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    {
      name: 'REV',
      presence: 'one-or-more',
      description: 'a version, or a range of numbers such as 3..7 (both ends included)',
    },
  ],
  options: [],
  access: 'writes',
  examples: [
    { command: 'vsimg delete disk.vsi 3', explanation: 'one version' },
    { command: 'vsimg delete disk.vsi 1..10 nightly', explanation: 'the first ten and the one tagged nightly' },
  ],
  details: [
    "A version's children become children of its parent. Either all the versions named are removed or, after an error, none. " +
      'Numbers are never used again.',
  ],
  statuses: [
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: "one of them is the head's own version" },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseImage(args.operand(0));
  const wanted = args.operands.slice(1);
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const revs = wanted.flatMap((rev) => expandRange(image, rev));
    const deleted = await image.deleteVersions(revs);
    for (const version of deleted) await output.message(`deleted ${versionLine(version, null, PLAIN)}`);
    await output.message(`${plural(deleted.length, 'version')} deleted; 'vsimg gc' gives the space back`);
    await output.listDocument({ filename: path }, 'deleted', deleted.map(describeVersion));
    return 0;
  });
}

/** `3..7` as the versions there are between these numbers; anything else as it is. */
function expandRange(image: Image, rev: string): string[] {
  const match = /^(\d+)\.\.(\d+)$/.exec(rev);
  if (match === null) return [rev];
  const first = parseCount(match[1] ?? '', 'the range');
  const last = parseCount(match[2] ?? '', 'the range');
  const found: string[] = [];
  for (const { number } of image.versions()) {
    if (number < first) break;
    if (number <= last) found.push(String(number));
  }
  if (found.length === 0) {
    throw new VsimgError('not-found', `there is no version in ${rev}`, {
      hint: `'vsimg log ${image.path}' lists them`,
      path: image.path,
    });
  }
  return found.reverse();
}
