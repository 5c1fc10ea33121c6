import type { CommandContext } from '../cli/context.ts';
import type { JsonObject } from '../cli/json.ts';
import { parseTarget, type Target } from '../cli/target.ts';
import { VsimgError } from '../errors.ts';
import { isContainer } from '../image/file.ts';
import type { Image } from '../image/image.ts';
import { foreignFormat, openFileSource, streamSource } from '../storage/source.ts';
import type { DataSource } from '../storage/transfer.ts';
import { withImage } from './opening.ts';

/** What a command reads that takes images and raw disks alike. */
export type Disk = State | RawDisk;

/** A version, or the working state if `rev` is null. */
export interface State extends Target {
  readonly kind: 'state';
}

export interface RawDisk {
  readonly kind: 'raw';
  readonly path: string;
  /** Open; a pipe can not be opened twice. */
  readonly source: DataSource;
}

export const FORMATS = "'vsi' or 'raw' (default: by what the file begins with)";

/**
 * Finds out what `text` names: IMAGE, IMAGE@REV, a raw file or device, or `-`. `format` is what the user says it is.
 * Errors: 'usage', 'not-found', 'unsupported' for a disk image of another kind, and those of opening.
 */
export function findDisk({ io }: CommandContext, text: string, format: string | undefined): Disk {
  if (format !== undefined && format !== 'raw' && format !== 'vsi')
    throw new VsimgError('usage', `'${format}' is not a format`, { hint: "it is 'vsi' or 'raw'" });
  if (text === '-' && format !== 'vsi') return { kind: 'raw', path: '-', source: streamSource(io.stdin) };
  if (format === 'raw') return { kind: 'raw', path: text, source: openFileSource(text) };
  const { path, rev } = parseTarget(text);
  if (format === 'vsi') return { kind: 'state', path, rev };
  const source = openFileSource(path);
  try {
    if (isContainer(source)) {
      source.close();
      return { kind: 'state', path, rev };
    }
    if (rev !== null)
      throw new VsimgError('usage', `'${path}' is no image of versions, so there is no '@${rev}'`, {
        path,
        hint: "give its name alone, or make an image of it with 'vsimg import'",
      });
    refuseForeign(path, source);
    return { kind: 'raw', path, source };
  } catch (error) {
    source.close();
    throw error;
  }
}

/** The bytes of such a file are not those of the disk in it. */
function refuseForeign(path: string, source: DataSource): void {
  const format = foreignFormat(source);
  if (format === undefined) return;
  throw new VsimgError('unsupported', `'${path}' looks like a ${format} image`, {
    path,
    hint: "convert it with 'qemu-img convert -O raw', or say that it is 'raw'",
  });
}

/** A disk that is open. */
export interface OpenDisk {
  readonly source: DataSource;
  /** For JSON documents. */
  readonly facts: JsonObject;
}

/** Opens it for as long as `action` runs, and closes its source. */
export async function withDisk<T>(
  context: CommandContext,
  disk: Disk,
  action: (open: OpenDisk) => Promise<T>,
): Promise<T> {
  if (disk.kind === 'state') {
    const { path, rev } = disk;
    return withImage(context, { path, mode: 'read-long' }, (image) =>
      action({ source: stateSource(image, rev), facts: stateFacts(image, rev) }),
    );
  }
  const { path, source } = disk;
  const forget = context.cleanup.add(() => source.close());
  try {
    return await action({ source, facts: rawFacts(path, source) });
  } finally {
    forget();
    source.close();
  }
}

function stateSource(image: Image, rev: string | null): DataSource {
  const sizeBytes = image.sizeOf(rev);
  return { sizeBytes, pieces: () => image.pieces(rev, 0, sizeBytes), close: () => {} };
}

export function stateFacts(image: Image, rev: string | null): JsonObject {
  const version = rev === null ? null : image.resolve(rev);
  return { filename: image.path, format: 'vsi', version, 'virtual-size': image.sizeOf(rev) };
}

export function rawFacts(path: string, source: DataSource): JsonObject {
  return { filename: path, format: 'raw', version: null, 'virtual-size': source.sizeBytes ?? null };
}
