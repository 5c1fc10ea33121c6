import type { CommandContext } from '../cli/context.ts';
import { PLAIN } from '../cli/paint.ts';
import { parseImage } from '../cli/target.ts';
import { describeVersion, versionLine } from '../cli/version-view.ts';
import { VsimgError } from '../errors.ts';
import { withImage } from './opening.ts';

/** `tag --lock` and `tag --unlock`. */
export async function runLocks(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const path = parseImage(args.operand(0));
  const given = ['lock', 'unlock', 'force'].filter((name) => args.has(name));
  if (args.values('delete').length > 0) given.push('delete');
  if (given.length > 1) {
    throw new VsimgError('usage', `--${given[0]} and --${given[1]} contradict each other`, {
      hint: 'give one of them',
    });
  }
  const revs = args.operands.length > 1 ? args.operands.slice(1) : ['HEAD'];
  const verb = args.has('lock') ? 'locked' : 'unlocked';
  return withImage(context, { path, mode: 'write' }, async (image) => {
    const versions = await (verb === 'locked' ? image.edits.lock(revs) : image.edits.unlock(revs));
    const { branch } = image.info().head;
    for (const version of versions) await output.message(`${verb} ${versionLine(version, branch, PLAIN)}`);
    await output.document({ filename: path, [verb]: versions.map(describeVersion) });
    return 0;
  });
}
