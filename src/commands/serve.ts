import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { parseCount } from '../cli/number.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { withImage } from './opening.ts';
import { type ServingPlan, serve } from './serving.ts';
import { addressOf, tlsOf } from './serving-options.ts';

const DEFAULT_CONNECTIONS = 64;
const MAX_CONNECTIONS = 4096;
const MAX_IDLE_SECONDS = 365 * 86_400;

export const definition: CommandDefinition = {
  description:
    'Serves the disk over the network: every version, tag and branch as an NBD export of that name, and the working state, which can be written to, under the empty name.',
  arguments: [
    { name: 'IMAGE', presence: 'required', description: 'the image' },
    {
      name: 'COMMAND',
      presence: 'any-number',
      completes: 'file',
      description: 'behind --: run this command with VSIMG_URI set, and serve until it ends',
    },
  ],
  options: [
    { short: 'k', name: 'socket', value: 'PATH', completes: 'file', description: 'listen on a Unix socket' },
    { short: 'b', name: 'bind', value: 'ADDR', description: 'listen on this address (default: 127.0.0.1)' },
    { name: 'port', value: 'N', description: 'listen on this TCP port, 0 for any (default: 10809)' },
    { short: 'r', name: 'read-only', description: 'the working state too; others may write the image meanwhile' },
    { short: 'x', name: 'export', value: 'NAME', repeats: true, completes: 'revision', description: 'serve only this; may be given several times' },
    { name: 'tls', value: 'MODE', completes: ['off', 'on', 'require'], description: "'on' for clients that ask, 'require' for all (default: off)" },
    { name: 'tls-certificates', value: 'DIR', completes: 'file', description: 'server-cert.pem, server-key.pem, ca-cert.pem' },
    { name: 'tls-verify-peer', description: 'clients need a certificate that ca-cert.pem signed' },
    { name: 'allow-remote', description: 'listen on addresses of the network without TLS' },
    { name: 'max-connections', value: 'N', description: `clients at a time (default: ${DEFAULT_CONNECTIONS})` },
    { name: 'idle-exit', value: 'SECONDS', description: 'end after so long without a client' },
    { name: 'commit-on-disconnect', description: 'make a version of each scratch export that was written to' },
    { short: 'm', name: 'message', value: 'MESSAGE', description: 'what those versions are' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg serve disk.vsi --socket nbd.sock', explanation: 'to programs on this machine' },
    { command: "vsimg serve disk.vsi -- qemu-img info 'nbd+unix:///v1?socket=nbd.sock'", explanation: 'for as long as a command runs' },
  ],
  details: [],
  statuses: [{ status: EXIT_STATUS.locked, meaning: 'another process writes the image' }],
};

export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  const path = parseImage(args.operand(0));
  const command = args.operands.slice(1);
  const access = args.has('read-only') ? 'read' : 'write';
  const address = addressOf(context, { hasCommand: command.length > 0 });
  const plan: ServingPlan = {
    path,
    access,
    command,
    address,
    ...tlsOf(context, address),
    message: scratchMessage(context, access),
    maxConnections: countOf(context, 'max-connections', DEFAULT_CONNECTIONS, MAX_CONNECTIONS),
    idleSeconds: args.has('idle-exit') ? countOf(context, 'idle-exit', 0, MAX_IDLE_SECONDS) : undefined,
    only: args.values('export'),
  };
  return withImage(context, { path, mode: access, caches: 'large' }, (image) => serve(context, image, plan));
}

/** Errors: 'usage'. */
function countOf({ args }: CommandContext, name: string, standard: number, most: number): number {
  const text = args.value(name);
  const count = text === undefined ? standard : parseCount(text, `--${name}`);
  if (count < 1 || count > most)
    throw new VsimgError('usage', `--${name} is ${count}`, { hint: `give a number from 1 to ${most}` });
  return count;
}

/** Of the versions that scratch exports become; undefined if they do not. Errors: 'usage'. */
function scratchMessage({ args }: CommandContext, access: 'read' | 'write'): string | undefined {
  const message = args.value('message');
  if (!args.has('commit-on-disconnect')) {
    if (message === undefined) return undefined;
    throw new VsimgError('usage', '-m is for --commit-on-disconnect', { hint: 'give both, or leave it out' });
  }
  if (access === 'read')
    throw new VsimgError('usage', '--read-only and --commit-on-disconnect exclude each other', { hint: 'give one of them' });
  if (message === undefined || message.trim() === '')
    throw new VsimgError('usage', 'a version needs a message', { hint: 'give it with -m MESSAGE' });
  return message;
}
