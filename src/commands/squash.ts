import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { plural } from '../cli/number.ts';
import type { Output } from '../cli/output.ts';
import { PLAIN } from '../cli/paint.ts';
import { parseImage } from '../cli/target.ts';
import { describeVersion, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { SquashReport } from '../image/api.ts';
import { withImage } from './opening.ts';
import { lostTagLines } from './removal.ts';

export const definition: CommandDefinition = {
  description: 'Merges the versions between A and B into B: B then holds all that changed since A.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'A..B', presence: 'required', description: 'two versions; B (default: HEAD) came from A; both stay' },
  ],
  options: [{ short: 'n', name: 'dry-run', description: 'only say which versions would go' }],
  access: 'writes',
  examples: [
    { command: 'vsimg squash disk.vsi v1..v2', explanation: 'only the releases stay' },
    { command: 'vsimg squash disk.vsi 3.. --dry-run', explanation: 'what would go?' },
    { command: 'vsimg squash disk.vsi 3..', explanation: 'all since version 3 becomes one step' },
  ],
  details: [
    'A becomes the parent of B. B keeps its number, id, message and content. Versions that came from one in between, on other ' +
      "branches, stay whole and come from A then. 'vsimg gc' gives the space back.",
    "This is what 'vsimg delete' does to every version between the two: all or, after an error, none. Their tags go with them. " +
      'It is refused if one of them is checked out, the newest of a branch, or locked.',
  ],
  statuses: [
    { status: EXIT_STATUS['not-found'], meaning: 'there is no such version' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'B did not come from A, or one in between must stay' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseImage(args.operand(0));
  const { from, to } = parseSpan(args.operand(1));
  const dryRun = args.has('dry-run');
  return withImage(context, { path, mode: dryRun ? 'read-long' : 'write' }, async (image) => {
    const report = await image.edits.squash(from, to, { dryRun });
    if (dryRun) await tellPlan(output, report);
    else await tellDone(output, report);
    const { version, removed } = report;
    await output.document({
      filename: path,
      'dry-run': dryRun,
      ...describeVersion(version),
      deleted: removed.map(describeVersion),
      'deleted-tags': dryRun ? [] : removed.flatMap(({ tags }) => tags),
    });
    return 0;
  });
}

async function tellDone(output: Output, { version, removed }: SquashReport): Promise<void> {
  for (const gone of removed) await output.message(`merged ${versionLine(gone, null, PLAIN)}`);
  for (const line of lostTagLines(removed)) await output.message(line);
  const count = removed.length === 0 ? 'nothing' : plural(removed.length, 'version');
  const hint = removed.length === 0 ? '' : "; 'vsimg gc' gives the space back";
  await output.message(`${count} merged into ${version.number}, whose parent is ${version.parent ?? 'none'}${hint}`);
}

/** As results: -q leaves what was asked for. */
async function tellPlan(output: Output, { version, removed }: SquashReport): Promise<void> {
  const count = removed.length === 0 ? 'nothing' : plural(removed.length, 'version');
  await output.line(`would merge ${count} into ${version.number}${removed.length === 0 ? '' : ':'}`);
  for (const gone of removed) await output.line(`  ${versionLine(gone, null, PLAIN)}`);
  await output.message('nothing was merged: this was a dry run');
}

/** Names never hold `..`, so that it always separates. */
function parseSpan(text: string): { readonly from: string; readonly to: string } {
  const at = text.indexOf('..');
  if (text.startsWith('...', at)) throw new VsimgError('usage', `'${text}' has three dots`, { hint: 'write A..B' });
  if (at <= 0) {
    throw new VsimgError('usage', `'${text}' does not name two versions`, {
      hint: 'give A..B, such as 3..7 or v1..v2',
    });
  }
  return { from: text.slice(0, at), to: text.slice(at + 2) || 'HEAD' };
}
