import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, NULL_OPTION } from '../cli/definition.ts';
import { EXIT_STATUS } from '../errors.ts';
import { runRefs } from './refs.ts';

export const definition: CommandDefinition = {
  description: 'Lists branches, or makes or deletes one. A branch is a name that moves with each commit made on it.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    {
      name: 'NAME',
      presence: 'optional',
      completes: 'branch',
      description: 'the branch to make; without it all are listed',
    },
    { name: 'REV', presence: 'optional', description: 'the version it starts from (default: HEAD)' },
  ],
  options: [
    { short: 'd', name: 'delete', value: 'NAME', completes: 'branch', repeats: true, description: 'delete a branch' },
    { short: 'f', name: 'force', description: 'move the branch if it exists' },
    { ...NULL_OPTION, description: 'list only names, each with a NUL behind it' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg branch disk.vsi', explanation: 'all branches; * marks the one checked out' },
    { command: 'vsimg branch disk.vsi fixes v1.0', explanation: 'a new branch from tag v1.0, not checked out' },
    { command: 'vsimg branch disk.vsi -d fixes', explanation: 'delete the branch; its versions stay' },
  ],
  details: [
    "'vsimg checkout IMAGE REV -b NAME' makes a branch and continues on it. Names follow the rules of 'vsimg tag'.",
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the name is taken' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    { status: EXIT_STATUS.refused, meaning: 'the branch is checked out' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  return runRefs(context, 'branch');
}
