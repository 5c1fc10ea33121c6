import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { plural } from '../cli/number.ts';
import { PLAIN } from '../cli/paint.ts';
import { parseImage } from '../cli/target.ts';
import { describeVersion, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS } from '../errors.ts';
import { withImage } from './opening.ts';
import { lostTagLines } from './removal.ts';
import { expandRange } from './version-range.ts';

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
    "Tags of a version go with it; the output says which. 'vsimg tag --lock' keeps versions from being removed.",
  ],
  statuses: [
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'one of them is checked out, the newest of a branch, or locked' },
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
    for (const line of lostTagLines(deleted)) await output.message(line);
    await output.message(`${plural(deleted.length, 'version')} deleted; 'vsimg gc' gives the space back`);
    await output.listDocument(
      { filename: path, 'deleted-tags': deleted.flatMap(({ tags }) => tags) },
      'deleted',
      deleted.map(describeVersion),
    );
    return 0;
  });
}
