import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { inSmallHeap } from '../cli/heap.ts';
import type { Invocation } from '../cli/invocation.ts';
import { parseCount } from '../cli/number.ts';
import { parseTarget } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { withImage } from './opening.ts';
import { type ServingPlan, serve } from './serving.ts';
import { addressOf, checkReach, tlsOf } from './serving-options.ts';

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
      behindDashes: true,
      completes: 'file',
      description: 'run this command with VSIMG_URI set, and serve until it ends',
    },
  ],
  options: [
    { short: 'k', name: 'socket', value: 'PATH', completes: 'file', description: 'listen on a Unix socket' },
    { short: 'b', name: 'bind', value: 'ADDR', description: 'listen on this address (default: 127.0.0.1)' },
    { name: 'port', value: 'N', description: 'listen on this TCP port, 0 for any (default: 10809)' },
    { short: 'r', name: 'read-only', description: 'the working state too; others may write the image meanwhile' },
    {
      short: 'x',
      name: 'export',
      value: 'NAME',
      repeats: true,
      completes: 'revision',
      description: 'serve only this, under the empty name too if it is the only one; may be given several times',
    },
    {
      name: 'tls',
      value: 'MODE',
      completes: ['off', 'on', 'require'],
      description: "'on' for clients that ask, 'require' for all (default: off)",
    },
    {
      name: 'tls-certificates',
      value: 'DIR',
      completes: 'file',
      description: 'server-cert.pem, server-key.pem, ca-cert.pem',
    },
    { name: 'tls-verify-peer', description: 'clients need a certificate that ca-cert.pem signed' },
    { name: 'allow-remote', description: 'listen on addresses of the network without TLS' },
    { name: 'max-connections', value: 'N', description: `clients at a time (default: ${DEFAULT_CONNECTIONS})` },
    { name: 'idle-exit', value: 'SECONDS', description: 'end after so long without a client' },
    {
      name: 'commit-on-disconnect',
      description: 'make a version of each scratch export that was written to; needs -m',
    },
    { short: 'm', name: 'message', value: 'MESSAGE', description: 'what those versions are' },
  ],
  access: 'writes',
  alone: true,
  examples: [
    {
      command: 'vsimg serve disk.vsi --socket nbd.sock',
      explanation: 'to programs of this user on this machine, until it is stopped',
    },
    {
      command: "vsimg serve disk.vsi -- 'qemu-img convert -O qcow2 $VSIMG_URI disk.qcow2'",
      explanation: 'the working state in a format of qemu-img',
    },
    {
      command: "vsimg serve disk.vsi -x v1 -- 'nbdcopy $VSIMG_URI v1.raw'",
      explanation: 'one version, to any program that speaks NBD',
    },
    {
      command:
        "vsimg serve disk.vsi --commit-on-disconnect -m 'try it' -q -- 'qemu-io -f raw -c \"write -P 1 0 4k\" nbd+unix:///v1+scratch?socket=$VSIMG_SOCKET'",
      explanation: 'a private copy of a version that becomes a version of its own',
    },
  ],
  details: [
    'Exports: the empty name is the working state. One client at a time writes it; others that come meanwhile find it read-only. ' +
      'Every version is there under its number and everything else that names a revision: tags, branches, HEAD~2, the beginning of ' +
      "an id ('vsimg help revisions'). Versions are read-only, any number of clients reads them, and they can not be deleted while somebody has them " +
      'open. An export of a branch stays at the version that it named when it was opened. A list of exports has names, and numbers of the newest 1,000 versions.',
    "Scratch exports: 'REV+scratch' begins as that version, and each client that opens it has a private one to write to, in a file without a name in " +
      'the directory of the image, or else among the temporary files (TMPDIR), which is gone when he leaves. With --commit-on-disconnect it becomes a version, made ' +
      'from the one that it began as, if anything was written; what is checked out stays as it is, and no branch moves. It needs room for both then. ' +
      'No version is made where a write of the client failed, or the version can not be stored; the status of the server is not 0 then.',
    'With COMMAND a server of its own runs for it: VSIMG_URI is the address (of the export, if exactly one --export is given), and VSIMG_SOCKET its ' +
      'socket, in a directory that nobody else may look into unless --socket or --port is given. One word is run by the shell, so that ' +
      "'$VSIMG_URI' in quotes is put in; several words are run as they are. The exit status is that of the command, if it is not 0 or nothing was lost.",
    "A socket that another program left open (LISTEN_FDS, as systemd and libnbd do: 'nbdinfo [ vsimg serve disk.vsi ]') is taken instead of one " +
      'of its own; then nothing is printed, and the server ends with its last client.',
    'What a client is promised: a write is kept in memory (at most 32 MiB) until it is flushed, as a disk does with its cache. FLUSH, and FUA ' +
      'for a single write, return when it would survive a power cut. When the writer leaves, and when the server is told to stop ' +
      '(SIGTERM, SIGINT, SIGHUP), all is flushed; a server without a command ends with 0 then. What can not be stored at that time, so that no client is told, is an error of the server: its status is not 0, unless COMMAND failed too, which says so itself. A server that is killed leaves what was flushed last, or later writes too, and every version whole. After a write that failed, as on a full disk, the writer gets errors until it leaves; then the image is as it was flushed last and can be changed again, as it is after a command that failed. Only when the disk could not be waited for must the server be started again.',
    "The working state is written to, not committed: 'vsimg commit IMAGE' makes a version of it, also while the server runs and a client has it open. " +
      'The version then holds every write that was answered before, as a disk does after a power cut: a file system with a journal ' +
      'is whole after its journal is replayed, as it is at mounting. For more, let the guest sync or freeze its file systems (fsfreeze) first.',
    'Other processes may read the image at any time; they see what was flushed. Their commands that change it are carried out by the server, see vsimg-scripting(7); those that would change the disk of a client that has it open for writing are refused. ' +
      'While one of them works, such as gc, reads are answered and writes taken into memory; a flush waits for it. ' +
      'With --read-only no lock is held: others write, commit and gc, new versions can be opened as soon as they are there, and who has the ' +
      'working state open keeps the state that he found.',
    "Block status: 'base:allocation' tells holes from data. 'vsimg:changed-since:REV' and, for clients of qemu, 'qemu:dirty-bitmap:REV' mark (1) what differs from " +
      'version REV, so that a backup copies only that. Lists of contexts have 32 names at most; any other can be asked for.',
    'Protocol: fixed newstyle; structured replies, holes in reads and block status; READ, WRITE, FLUSH, TRIM, WRITE_ZEROES (fast), CACHE, FUA; more than one connection of ' +
      'a client only for versions named by number, id or tag. A request has at most 32 MiB. No extended headers. Compatible with libnbd, nbdkit, qemu and the Linux kernel.',
    'It listens at a Unix socket or at 127.0.0.1. Everybody who can connect can read all versions: other addresses are refused unless --tls require is ' +
      'given, best with --tls-verify-peer, or --allow-remote; so is a socket at one of them that another program left open. A Unix socket is open to its user alone. Certificates are in PEM files in a directory, as nbdkit and qemu have them; to name them is to ask for --tls require, if nothing else is said.',
  ],
  statuses: [
    { status: EXIT_STATUS.exists, meaning: 'the address is in use' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
    {
      status: EXIT_STATUS['no-space'],
      meaning: 'what a client wrote is lost, for want of room (or 74)',
    },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args } = context;
  const path = servedImage(args.operand(0));
  const command = commandOf(args);
  const access = args.has('read-only') ? 'read' : 'write';
  const address = addressOf(context, { hasCommand: command.length > 0 });
  const tls = await tlsOf(context);
  checkReach(context, address, tls.encryption);
  const plan: ServingPlan = {
    path,
    access,
    command,
    address,
    ...tls,
    message: scratchMessage(context, access),
    maxConnections: countOf(context, 'max-connections', DEFAULT_CONNECTIONS, MAX_CONNECTIONS),
    idleSeconds: args.has('idle-exit') ? countOf(context, 'idle-exit', 0, MAX_IDLE_SECONDS) : undefined,
    only: args.values('export'),
  };
  return withImage(context, { path, mode: access, caches: 'large' }, (image) =>
    inSmallHeap(() => serve(context, image, plan)),
  );
}

/** Errors: 'usage' for one of its versions. */
function servedImage(text: string): string {
  const { path, rev } = parseTarget(text);
  if (rev === null) return path;
  throw new VsimgError('usage', `serve takes an image, and '@${rev}' names one of its versions`, {
    hint: `all are served; for this one alone write '${path} -x ${rev}'`,
  });
}

/** What is to be run; nothing to serve until the end. Errors: 'usage' for words that are meant for something else. */
function commandOf(args: Invocation): readonly string[] {
  const command = args.operands.slice(1);
  const stray = command.length > args.behindDashes.length ? command[0] : undefined;
  if (stray !== undefined) {
    const others = /^\d+$/.test(stray) ? `a port '--port ${stray}'` : `a port '--port N'`;
    throw new VsimgError('usage', `'${stray}' is one word too many: a command stands behind --`, {
      hint: `a version is '-x ${stray}', ${others}, a command '-- COMMAND'`,
    });
  }
  if ((args.hasDashes && args.behindDashes.length === 0) || (command.length === 1 && command[0]?.trim() === ''))
    throw new VsimgError('usage', 'no command stands behind --', {
      hint: 'name one, or leave -- out to serve until a signal',
    });
  if (command.length > 1 && command.some(isForShell))
    throw new VsimgError('usage', 'several words are run as they are, without putting in what a variable holds', {
      hint: `give one word in quotes, which a shell runs: -- '${command.join(' ')}'`,
    });
  return command;
}

/** A variable by itself, or within a word; what has blanks, or stands behind -c, is for a shell that is run. */
function isForShell(word: string, index: number, words: readonly string[]): boolean {
  return /^\S*\$\{?VSIMG_\S*$/.test(word) && !/^-\w*c$/.test(words[index - 1] ?? '');
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
    throw new VsimgError('usage', '--read-only and --commit-on-disconnect exclude each other', {
      hint: 'give one of them',
    });
  if (message === undefined || message.trim() === '')
    throw new VsimgError('usage', 'a version needs a message', { hint: 'give it with -m MESSAGE' });
  return message;
}
