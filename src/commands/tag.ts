import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, NULL_OPTION } from '../cli/definition.ts';
import { EXIT_STATUS } from '../errors.ts';
import { runLocks } from './locks.ts';
import { runRefs } from './refs.ts';

export const definition: CommandDefinition = {
  description:
    'Lists tags, or makes or deletes one, or locks versions. A tag is a name for a version that does not move.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'NAME', presence: 'optional', completes: 'tag', description: 'the tag to make; without it all are listed' },
    { name: 'REV', presence: 'any-number', description: 'the version it names (default: HEAD)' },
  ],
  options: [
    { short: 'd', name: 'delete', value: 'NAME', completes: 'tag', repeats: true, description: 'delete a tag' },
    { short: 'f', name: 'force', description: 'move the tag if it exists' },
    { name: 'lock', description: 'keep the versions named (default: HEAD) from being removed' },
    { name: 'unlock', description: 'let them be removed again' },
    { ...NULL_OPTION, description: 'list only names, each with a NUL behind it' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg tag disk.vsi', explanation: 'all tags' },
    { command: 'vsimg tag disk.vsi v1.0 3', explanation: 'version 3 is v1.0 from now on' },
    { command: 'vsimg tag disk.vsi -d v1.0', explanation: 'delete the tag; the version stays' },
    { command: 'vsimg tag disk.vsi --lock v1.0', explanation: 'nobody removes this version by mistake' },
    { command: 'vsimg tag disk.vsi --unlock v1.0', explanation: 'it may go' },
  ],
  details: [
    'Names follow the rules of git, are unique among tags and branches, and are never all digits, so that they cannot be ' +
      'taken for numbers of versions.',
    'With --lock and --unlock all words behind IMAGE are revisions. A lock is on the version, not on the tag it was named by: ' +
      "the tag may move or go. 'vsimg delete', 'vsimg forget' and 'vsimg squash' remove no locked version.",
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the name is taken' },
    { status: EXIT_STATUS['not-found'], meaning: 'there is no such tag or version' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  return args.has('lock') || args.has('unlock') ? runLocks(context) : runRefs(context, 'tag');
}
