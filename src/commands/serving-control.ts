import { type Readable, Writable } from 'node:stream';
import type { CommandContext, Host } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import type { Invocation } from '../cli/invocation.ts';
import type { Io } from '../cli/io.ts';
import { ControlListener, type ControlPeer } from '../control/listener.ts';
import type { ControlRequest } from '../control/message.ts';
import type { ControlDirectory } from '../control/place.ts';
import { VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { ImageExports } from '../nbd/image-exports.ts';
import { withFullNames } from './file-names.ts';
import type { SharedContext } from './opening.ts';

/** Commands that leave the working state as a client has it. */
const ALWAYS = new Set(['amend', 'branch', 'commit', 'delete', 'forget', 'gc', 'squash', 'tag']);
/** Those that would change the disk under the hands of whoever has it open. */
const WITHOUT_WRITER = new Set(['checkout', 'import', 'resize', 'write']);

export interface ServedImage extends Pick<CommandContext, 'runCommandLine'> {
  readonly image: Image;
  readonly exports: ImageExports;
  readonly sync: SharedContext['sync'];
  /** Where others look for the one who has it. */
  readonly directory: ControlDirectory;
}

/** Lets other processes of this user change an image that is served: their commands are carried out here. */
export function listenForCommands(served: ServedImage): Promise<ControlListener> {
  return ControlListener.open(served.directory, served.image.path, (request, peer) => carryOut(served, request, peer));
}

async function carryOut(
  { image, exports, sync, runCommandLine }: ServedImage,
  request: ControlRequest,
  peer: ControlPeer,
): Promise<number> {
  const [name = ''] = request.argv;
  const isQuiet = ALWAYS.has(name);
  const release = WITHOUT_WRITER.has(name) ? exports.takeWriter() : undefined;
  const host: Host = {
    admit: async (command: string, definition: CommandDefinition, args: Invocation) => {
      if (!isQuiet && !WITHOUT_WRITER.has(command))
        throw new VsimgError('refused', `'${command}' is not possible while the image is served`, {
          hint: 'end the server first',
        });
      if (!isQuiet && release === undefined)
        throw new VsimgError('refused', `'${command}' would change the working state, which a client has open`, {
          hint: 'end the client first, or commit instead',
        });
      // What was answered is part of whatever is made of the working state now.
      const disks = await image.disks();
      await (command === 'commit' ? disks.reconcile() : disks.settle());
      return withFullNames(args, { definition, directory: request.directory });
    },
    extend: (context: CommandContext): SharedContext => ({ ...context, image, stdin: 'free', sync }),
  };
  let status: number | undefined;
  try {
    status = await runCommandLine(request.argv, new ControlIo(request, peer), host);
    return status;
  } finally {
    release?.();
    if (status !== 0) await exports.recover();
  }
}

/** The other process as a command sees it. */
class ControlIo implements Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Io['env'];
  readonly columns: number;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;

  constructor(request: ControlRequest, peer: ControlPeer) {
    this.stdin = peer.input;
    const stream = (kind: 'stdout' | 'stderr'): Writable =>
      new Writable({
        write: (bytes: Buffer, _encoding, done) => {
          peer.reply({ kind, bytes }).then(() => done(), done);
        },
      });
    this.stdout = stream('stdout');
    this.stderr = stream('stderr');
    this.env = request.env;
    this.columns = request.columns;
    this.stdoutIsTerminal = request.stdoutIsTerminal;
    this.stderrIsTerminal = request.stderrIsTerminal;
  }

  now(): number {
    return Date.now();
  }

  writeAtOnce(bytes: Uint8Array): Uint8Array {
    return bytes;
  }

  writeTo(descriptor: number): void {
    throw new VsimgError('usage', `descriptor ${descriptor} is not open in the server, which carries this out`, {
      hint: 'give --progress=json, and read stderr',
    });
  }

  onProgressRequest(): void {}

  onStop(): () => void {
    return () => {};
  }

  exit(): void {}
}
