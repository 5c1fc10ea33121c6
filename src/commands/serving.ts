import type { CommandContext } from '../cli/context.ts';
import { controlDirectory } from '../cli/control-directory.ts';
import { stampSeconds } from '../cli/time.ts';
import type { ControlListener } from '../control/listener.ts';
import { VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import type { ConnectionOptions } from '../nbd/connection.ts';
import { ImageExports, type ScratchEnd } from '../nbd/image-exports.ts';
import { privateSocket, removeAbandonedSocket, removePrivateSocket } from '../nbd/own-socket.ts';
import { type Address, type InheritedSocket, NbdServer } from '../nbd/server.ts';
import { exportUri } from '../nbd/uri.ts';
import { openPinned, writingOf } from './opening.ts';
import { listenForCommands, type ServedImage } from './serving-control.ts';
import { checkReach } from './serving-options.ts';

/** What 'serve' was asked for. */
export interface ServingPlan extends Pick<ConnectionOptions, 'encryption' | 'encrypt'> {
  readonly path: string;
  readonly access: 'read' | 'write';
  /** To be run meanwhile; none to serve until the end. */
  readonly command: readonly string[];
  /** Undefined for a socket that nobody else knows. */
  readonly address: Address | InheritedSocket | undefined;
  /** For versions made of scratch exports. */
  readonly message: string | undefined;
  readonly maxConnections: number;
  readonly idleSeconds: number | undefined;
  /** Names of exports; none for all. */
  readonly only: readonly string[];
}

const HANDSHAKE_MS = 10_000;
/** Errors of requests that are told; a client may cause any number of them. */
const TOLD_ERRORS = 100;

/** Serves until the command ends, nobody is there for long, or the process is told to stop. Resolves to the exit status. */
export async function serve(context: CommandContext, image: Image, plan: ServingPlan): Promise<number> {
  context.output.sendMessagesToStderr();
  let loss: VsimgError | undefined;
  const exports = exportsOf(context, image, plan, (error) => {
    loss ??= error;
  });
  const end = new End();
  const idle = new IdleTimer(plan.idleSeconds, () => end.come(0));
  const server = new NbdServer({
    exports,
    encryption: plan.encryption,
    ...(plan.encrypt === undefined ? {} : { encrypt: plan.encrypt }),
    blockBytes: image.info().blockSizeBytes,
    handshakeMs: HANDSHAKE_MS,
    maxConnections: plan.maxConnections,
    onError: errorTeller(context),
    onChange: (count) => {
      idle.set(count === 0);
      // Whoever started it for himself is done; others would start it again.
      if (count === 0 && plan.address?.kind === 'inherited') end.come(0);
    },
  });
  const control = plan.access === 'write' ? await controlFor(context, { image, exports }) : undefined;
  if (control !== undefined) context.cleanup.add(() => control.dispose());
  const own = plan.address === undefined ? privateSocket() : undefined;
  const forget = own === undefined ? undefined : context.cleanup.add(() => removePrivateSocket(own));
  let status: number;
  try {
    const wanted = plan.address ?? (own as Address);
    if (wanted.kind === 'unix') await removeAbandonedSocket(wanted);
    const address = await server.listen(wanted);
    // Only now is it known where an inherited socket is.
    checkReach(context, address, plan.encryption);
    idle.set(true);
    context.cleanup.onStop = () => end.come(0);
    await announce(context, plan, address);
    if (plan.command.length > 0) await runBeside(context, plan, address, end);
    status = await end.status;
  } finally {
    idle.set(false);
    context.cleanup.onStop = undefined;
    await server.close();
    await control?.close();
    forget?.();
    if (own !== undefined) removePrivateSocket(own);
  }
  // Whoever wrote does not know, and may be counting on it.
  return status === 0 && loss !== undefined ? loss.exitStatus : status;
}

/** Serving goes on without it where it can not be had: then others find the image locked. */
async function controlFor(
  context: CommandContext,
  served: Pick<ServedImage, 'image' | 'exports'>,
): Promise<ControlListener | undefined> {
  const { sync } = writingOf(context);
  try {
    return await listenForCommands({
      ...served,
      sync,
      directory: controlDirectory(context.io),
      runCommandLine: context.runCommandLine,
    });
  } catch (error) {
    if (!(error instanceof VsimgError)) throw error;
    await context.output.message(`commands of other processes can not reach this server: ${error.message}`);
    return undefined;
  }
}

/** Errors: 'not-found' for an export that is asked for and not there. */
function exportsOf(
  context: CommandContext,
  image: Image,
  { path, access, message, only }: ServingPlan,
  onLoss: (error: VsimgError) => void,
): ImageExports {
  const keepScratch = async ({ base, commit }: ScratchEnd): Promise<void> => {
    const number = await commit({
      message: message ?? '',
      timeSeconds: stampSeconds(context.io.env, context.io.now()),
    });
    await context.output.message(`version ${number} was made from version ${base}`);
  };
  const exports = new ImageExports({
    image,
    access,
    onLoss,
    openPinned: () => openPinned(context, path),
    ...(only.length === 0 ? {} : { only: new Set(only) }),
    ...(message === undefined ? {} : { keepScratch }),
  });
  const missing = only.find((name) => exports.find(name) === undefined);
  if (missing !== undefined)
    throw new VsimgError('not-found', `${path}: there is no export '${missing}'`, {
      path,
      hint: "'vsimg log' lists versions",
    });
  return exports;
}

async function announce({ output, args }: CommandContext, plan: ServingPlan, address: Address): Promise<void> {
  const uri = uriOf(plan, address);
  // Whoever gave the socket knows where it is, and may have given its own standard output too.
  if (plan.command.length > 0 || plan.address?.kind === 'inherited') return;
  await output.lines([uri]);
  const place = address.kind === 'unix' ? { socket: address.path } : { bind: address.host, port: address.port };
  await output.document({
    filename: plan.path,
    uri,
    ...place,
    'read-only': args.has('read-only'),
    tls: plan.encryption !== 'none',
  });
  await output.flush();
}

function uriOf({ only, encryption }: ServingPlan, address: Address): string {
  const [first] = only;
  return exportUri(address, only.length === 1 && first !== undefined ? first : '', { tls: encryption === 'required' });
}

async function runBeside(context: CommandContext, plan: ServingPlan, address: Address, end: End): Promise<void> {
  const socket = address.kind === 'unix' ? { VSIMG_SOCKET: address.path } : {};
  const { runCommand } = await import('./served-command.ts');
  const command = runCommand(plan.command, { ...context.io.env, VSIMG_URI: uriOf(plan, address), ...socket });
  command.status.then(
    (status) => end.come(status),
    (error: unknown) => end.fail(error),
  );
  // Whoever stops the server stops what it runs, which ends it.
  context.cleanup.onStop = (signal) => command.stop(signal);
}

function errorTeller({ io, output }: CommandContext): (error: unknown) => void {
  let told = 0;
  let last = '';
  const debug = (io.env.VSIMG_DEBUG ?? '0') !== '0';
  return (error) => {
    const what =
      error instanceof VsimgError
        ? error.message
        : `a fault: ${error instanceof Error && debug ? error.stack : String(error)}`;
    // A disk that is full fails many requests in the same way.
    if (what === last || ++told > TOLD_ERRORS) return;
    last = what;
    output.tell(`vsimg: ${what}`);
  };
}

/** When and how serving ends; whatever comes first counts. */
class End {
  readonly status: Promise<number>;
  #resolve: (status: number) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor() {
    this.status = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  come(status: number): void {
    this.#resolve(status);
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

class IdleTimer {
  readonly #milliseconds: number | undefined;
  readonly #onEnd: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(seconds: number | undefined, onEnd: () => void) {
    this.#milliseconds = seconds === undefined ? undefined : seconds * 1000;
    this.#onEnd = onEnd;
  }

  set(isIdle: boolean): void {
    clearTimeout(this.#timer);
    if (isIdle && this.#milliseconds !== undefined) this.#timer = setTimeout(this.#onEnd, this.#milliseconds);
  }
}
