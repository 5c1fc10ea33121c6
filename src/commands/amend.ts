import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { PLAIN } from '../cli/paint.ts';
import { parseTarget } from '../cli/target.ts';
import { describeVersion, versionLine } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Gives a version another message, or more tags. Its number, its id and what it holds stay.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and the version (default: HEAD)' },
    { name: 'REV', presence: 'optional', description: 'the same as IMAGE@REV' },
  ],
  options: [
    { short: 'm', name: 'message', value: 'MESSAGE', description: 'what this version is' },
    { name: 'tag', value: 'NAME', repeats: true, description: 'give the version a tag' },
  ],
  access: 'writes',
  examples: [
    { command: "vsimg amend disk.vsi -m 'install packages, clean up'", explanation: 'a better message' },
    {
      command: "vsimg amend disk.vsi 3 -m 'last good one' --tag good",
      explanation: 'for an older version, and a name',
    },
  ],
  details: [
    'Uncommitted changes stay uncommitted. A new message has at most 15 KiB.',
    'The id of a version is made over its first message, which therefore stays in the file, however often another one is ' +
      "given: 'first-message' of --json shows it. Do not amend to hide a secret.",
  ],
  statuses: [
    { status: EXIT_STATUS['not-found'], meaning: 'there is no such version' },
    { status: EXIT_STATUS.exists, meaning: 'a tag exists already' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const message = args.value('message');
  const tags = args.values('tag');
  if (message !== undefined && message.trim() === '') {
    throw new VsimgError('usage', 'the message is empty', { hint: 'give one with -m MESSAGE' });
  }
  if (message === undefined && tags.length === 0) {
    throw new VsimgError('usage', 'nothing to amend', { hint: 'give -m MESSAGE or --tag NAME' });
  }
  const { path, rev } = parseTarget(args.operand(0));
  const [, operand] = args.operands;
  if (rev !== null && operand !== undefined) {
    throw new VsimgError('usage', `two revisions are given, '${rev}' and '${operand}'`, { hint: 'give one' });
  }
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const options = { tags, ...(message === undefined ? {} : { message }) };
    const version = await image.edits.amend(rev ?? operand ?? 'HEAD', options);
    await output.message(`amended ${versionLine(version, image.info().head.branch, PLAIN)}`);
    await output.document({ filename: path, ...describeVersion(version) });
    return 0;
  });
}
