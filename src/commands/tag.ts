import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { EXIT_STATUS } from '../errors.ts';
import { runRefs } from './refs.ts';

export const definition: CommandDefinition = {
  description: 'Lists tags, or makes or deletes one. A tag is a name for a version that does not move.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    { name: 'NAME', presence: 'optional', completes: 'tag', description: 'the tag to make; without it all are listed' },
    { name: 'REV', presence: 'optional', description: 'the version it names (default: HEAD)' },
  ],
  options: [
    { short: 'd', name: 'delete', value: 'NAME', completes: 'tag', repeats: true, description: 'delete a tag' },
    { short: 'f', name: 'force', description: 'move the tag if it exists' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg tag disk.vsi', explanation: 'all tags' },
    { command: 'vsimg tag disk.vsi v1.0 3', explanation: 'version 3 is v1.0 from now on' },
    { command: 'vsimg tag disk.vsi -d v1.0', explanation: 'delete the tag; the version stays' },
  ],
  details: [
    'Names follow the rules of git, are unique among tags and branches, and are never all digits, so that they cannot be ' +
      'taken for numbers of versions.',
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the name is taken' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  return runRefs(context, 'tag');
}
