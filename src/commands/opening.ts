import type { Readable } from 'node:stream';
import type { CommandContext } from '../cli/context.ts';
import { isSameFile } from '../cli/target.ts';
import { VsimgError } from '../errors.ts';
import { type OpenFileOptions, openImageFile } from '../image/file.ts';
import type { Image } from '../image/image.ts';
import { streamSource } from '../storage/source.ts';
import type { DataSource } from '../storage/transfer.ts';

/** Versions that are listed in one look: in less time than taking a lock needs. */
export const SHORT_LISTING = 100;

export interface Opening {
  readonly path: string;
  readonly mode: OpenFileOptions['mode'];
  readonly caches?: OpenFileOptions['caches'];
}

/** `VSIMG_LOCKING=off` is for file systems without byte-range locks. Errors: 'usage' for any other value. */
export function lockingOf(context: CommandContext): 'on' | 'off' {
  const value = context.io.env.VSIMG_LOCKING ?? 'on';
  if (value === 'on' || value === 'off') return value;
  throw new VsimgError('usage', `VSIMG_LOCKING is '${value}'`, { hint: "set it to 'on' or 'off'" });
}

/** How files are to be written, by `VSIMG_LOCKING`, `--no-sync` and `VSIMG_SYNC`. Errors: 'usage'. */
export function writingOf(context: CommandContext): { readonly locking: 'on' | 'off'; readonly sync: 'on' | 'off' } {
  return { locking: lockingOf(context), sync: isSyncOff(context) ? 'off' : syncOf(context) };
}

/** `VSIMG_SYNC=off` stands for `--no-sync`. Errors: 'usage' for any other value. */
function syncOf({ io }: CommandContext): 'on' | 'off' {
  const value = io.env.VSIMG_SYNC || 'on';
  if (value === 'on' || value === 'off') return value;
  throw new VsimgError('usage', `VSIMG_SYNC is '${value}'`, { hint: "set it to 'on' or 'off'" });
}

function isSyncOff(context: CommandContext): boolean {
  return context.args.has('no-sync') || (isShared(context) && context.sync === 'off');
}

/** Of a command that is one of many on an image that is open already. */
export interface SharedContext extends CommandContext {
  readonly image: Image;
  /** 'script': it has the commands themselves. */
  readonly stdin: 'script' | 'free';
  /** 'off': files that are written need not be durable either, whatever the command itself says. */
  readonly sync: 'on' | 'off';
}

function isShared(context: CommandContext): context is SharedContext {
  return 'image' in context;
}

/** Errors: 'usage' where stdin has something else than data. */
export function standardInput(context: CommandContext): DataSource {
  if (!isShared(context) || context.stdin === 'free') return unspoiled(context.io.stdin);
  const inline = context.args.knows('data') ? ', or give --data, --hex or --pattern' : '';
  throw new VsimgError('usage', 'stdin is the script, and can not have the data too', { hint: `name a file${inline}` });
}

/** As long as nothing was read of it, somebody else can be asked to do what it is for. */
function unspoiled(stdin: Readable): DataSource {
  const source = streamSource(stdin);
  return { ...source, close: () => stdin.readableDidRead && source.close() };
}

/** Opens the container for as long as `action` runs; whatever is not published then is as if it had not happened. */
export async function withImage<T>(
  context: CommandContext,
  opening: Opening,
  action: (image: Image) => Promise<T>,
): Promise<T> {
  const { path, mode, caches } = opening;
  if (isShared(context) && isItself(context.image, path)) return action(context.image);
  const isWriter = mode === 'write' || mode === 'repair';
  const writing = isWriter ? writingOf(context) : { locking: lockingOf(context) };
  // A server has the image for long, and does at once what it is asked for.
  const isAsked = context.alone !== true && context.waitSeconds > 0 && (await isServed(context, path));
  const waitSeconds = isAsked ? 0 : context.waitSeconds;
  const options = { mode, waitSeconds, ...writing, ...(caches === undefined ? {} : { caches }) };
  const image = await openImageFile(path, options).catch((error) => {
    throw named(error, path);
  });
  const forget = context.cleanup.add(() => image.close());
  try {
    return await action(image);
  } catch (error) {
    throw named(error, path);
  } finally {
    forget();
    image.close();
  }
}

/** True if another process carries out commands for that image. Few wait, and only they need to know how to ask. */
async function isServed({ io }: CommandContext, path: string): Promise<boolean> {
  const { hasControl } = await import('../control/caller.ts');
  const { controlDirectory } = await import('../cli/control-directory.ts');
  return hasControl(controlDirectory(io), path);
}

/** One more look at an image, for long; whoever asks closes it. Errors: as `openImageFile`. */
export function openPinned(context: CommandContext, path: string): Promise<Image> {
  return openImageFile(path, { mode: 'read-long', locking: lockingOf(context), caches: 'large' });
}

/** Of two images that are compared only one is open already. */
function isItself(image: Image, path: string): boolean {
  return path === image.path || isSameFile(path, image.path);
}

/** Damage is found by what knows places in a file, but not its name. */
function named(error: unknown, path: string): unknown {
  if (!(error instanceof VsimgError) || error.code !== 'corrupt' || error.path !== undefined) return error;
  return error.retold({ path });
}
