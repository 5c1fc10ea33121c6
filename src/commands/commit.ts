import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { parseImage } from '../cli/target.ts';
import { stampSeconds } from '../cli/time.ts';
import { describeVersion } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { commitLines } from './commit-report.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Makes the working state a version, which never changes again.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [
    { short: 'm', name: 'message', value: 'MESSAGE', description: 'what this version is' },
    { name: 'tag', value: 'NAME', description: 'give the version a tag' },
    { name: 'allow-empty', description: 'make a version even if nothing changed' },
  ],
  access: 'writes',
  examples: [
    { command: "vsimg commit disk.vsi -m 'install packages'", explanation: 'a new version after the head' },
    { command: 'vsimg commit disk.vsi -m release --tag v1.0', explanation: 'and a name for it' },
  ],
  details: [
    'The branch that is checked out moves to the new version. The date is that of SOURCE_DATE_EPOCH (seconds since 1970) ' +
      'if the environment has it, so that equal inputs give equal images.',
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the tag exists already' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'nothing changed and --allow-empty is not given' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, io, output } = context;
  const message = args.value('message');
  if (message === undefined || message.trim() === '') {
    throw new VsimgError('usage', 'a version needs a message', { hint: 'give it with -m MESSAGE' });
  }
  const tag = args.value('tag');
  const path = parseImage(args.operand(0));
  const options = {
    message,
    timeSeconds: stampSeconds(io.env, io.now()),
    allowEmpty: args.has('allow-empty'),
    ...(tag === undefined ? {} : { tag }),
  };
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const version = await image.commit(options);
    const { branch } = image.info().head;
    for (const line of commitLines(version, branch)) await output.message(line);
    await output.document({ filename: path, branch, ...describeVersion(version) });
    return 0;
  });
}
