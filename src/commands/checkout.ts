import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { PLAIN } from '../cli/paint.ts';
import { parseTarget } from '../cli/target.ts';
import { describeHead, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Makes the working state equal to a version; the next commit continues from there.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'REV', presence: 'optional', description: 'the version; with -b or --force the head if it is left out' },
  ],
  options: [
    { short: 'b', name: 'branch', value: 'BRANCH', description: 'make a branch there and continue on it' },
    { short: 'f', name: 'force', description: 'drop uncommitted changes' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg checkout disk.vsi main', explanation: 'the newest version of branch main' },
    { command: 'vsimg checkout disk.vsi v1.0 -b fixes', explanation: 'a new line of history from an old version' },
    { command: 'vsimg checkout disk.vsi --force', explanation: 'drop what was written since the last commit' },
  ],
  details: [
    'Given a branch, the next commit moves that branch; HEAD stays on the branch that is checked out. Given anything else, the head is detached: the next commit starts a ' +
      'new line of history that no branch follows, and nothing is lost. No data is copied.',
    "To look at a version it need not be checked out: see 'vsimg read' and 'vsimg export'.",
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the branch exists already' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'there are uncommitted changes and --force is not given' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const [name = '', operand] = args.operands;
  const { path, rev } = parseTarget(name, operand);
  const branch = args.value('branch');
  const force = args.has('force');
  if (rev === null && branch === undefined && !force) {
    throw new VsimgError('usage', 'checkout needs a revision', { hint: "name one; 'vsimg log IMAGE' lists them" });
  }
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const wanted = rev === null || rev === 'HEAD' ? currentRevision(image, branch) : rev;
    const head = await image.checkout(wanted, {
      force,
      ...(branch === undefined ? {} : { branch }),
    });
    if (head.version !== null) {
      const where = head.branch === null ? 'HEAD is detached' : `on branch ${head.branch}`;
      await output.message(`${where}, at ${versionLine(image.version(head.version), head.branch, PLAIN)}`);
    }
    await output.document({ filename: path, head: describeHead(head) });
    return 0;
  });
}

/** The head, by the name of its branch so that it stays attached to it. */
function currentRevision(image: Image, newBranch: string | undefined): string {
  const { branch } = image.info().head;
  return branch === null || newBranch !== undefined ? 'HEAD' : branch;
}
