import type { CommandContext } from '../cli/context.ts';
import type { JsonObject } from '../cli/json.ts';
import { parseTarget, type Target } from '../cli/target.ts';
import { VsimgError } from '../errors.ts';
import { isContainer } from '../image/file.ts';
import type { Image } from '../image/image.ts';
import type { MeasuredDisk } from '../image/measure.ts';
import { foreignFormat, openFileSource } from '../storage/source.ts';
import type { ByteRange, DataSource } from '../storage/transfer.ts';
import { standardInput, withImage } from './opening.ts';

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
 * Finds out what `text` names: IMAGE, IMAGE@REV, a raw file or device, or `-`. `format` is what the user says it is, `revision`
 * what `-l` names.
 * Errors: 'usage', 'not-found', 'unsupported' for a disk image of another kind, and those of opening.
 */
export function findDisk(
  context: CommandContext,
  text: string,
  { format, revision }: { readonly format: string | undefined; readonly revision?: string | undefined },
): Disk {
  if (format !== undefined && format !== 'raw' && format !== 'vsi')
    throw new VsimgError('usage', `'${format}' is not a format`, { hint: "it is 'vsi' or 'raw'" });
  if (revision === undefined) {
    if (text === '-' && format !== 'vsi') return { kind: 'raw', path: '-', source: standardInput(context) };
    if (format === 'raw') return { kind: 'raw', path: text, source: openFileSource(text) };
  }
  const { path, rev } = parseTarget(text, revision);
  if (format === 'raw' && rev !== null) throw hasNoVersions(path, rev);
  if (format === 'vsi') return { kind: 'state', path, rev };
  const source = openFileSource(path);
  try {
    if (isContainer(source)) {
      source.close();
      return { kind: 'state', path, rev };
    }
    if (rev !== null) throw hasNoVersions(path, rev);
    refuseForeign(path, source);
    return { kind: 'raw', path, source };
  } catch (error) {
    source.close();
    throw error;
  }
}

function hasNoVersions(path: string, rev: string): VsimgError {
  return new VsimgError('usage', `'${path}' is no image of versions, so there is no '@${rev}'`, {
    path,
    hint: "give its name alone, or make an image of it with 'vsimg import'",
  });
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
  /** The same, to be read from anywhere; undefined for a pipe. */
  readonly measured: MeasuredDisk | undefined;
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
      action({ source: stateSource(image, rev), measured: measuredState(image, rev), facts: stateFacts(image, rev) }),
    );
  }
  const { path, source } = disk;
  const forget = context.cleanup.add(() => source.close());
  try {
    return await action({ source, measured: measuredSource(source), facts: rawFacts(path, source) });
  } finally {
    forget();
    source.close();
  }
}

function stateSource(image: Image, rev: string | null): DataSource {
  const sizeBytes = image.sizeOf(rev);
  return { sizeBytes, pieces: () => image.pieces(rev, 0, sizeBytes), close: () => {} };
}

function measuredState(image: Image, rev: string | null): MeasuredDisk {
  const sizeBytes = image.sizeOf(rev);
  return {
    sizeBytes,
    runs: (unitBytes) => inUnits(image.dataRanges(rev), { unitBytes, sizeBytes }),
    pieces: (_, { start, end }) => image.pieces(rev, start, end),
  };
}

/** The same ranges, grown to whole units and joined. */
function* inUnits(
  ranges: Iterable<ByteRange>,
  { unitBytes, sizeBytes }: { readonly unitBytes: number; readonly sizeBytes: number },
): Generator<ByteRange> {
  let held: ByteRange | undefined;
  for (const range of ranges) {
    const start = Math.floor(range.start / unitBytes) * unitBytes;
    const end = Math.min(sizeBytes, Math.ceil(range.end / unitBytes) * unitBytes);
    if (held !== undefined && start <= held.end) {
      held = { start: held.start, end };
      continue;
    }
    if (held !== undefined) yield held;
    held = { start, end };
  }
  if (held !== undefined) yield held;
}

function measuredSource({ file, sizeBytes }: DataSource): MeasuredDisk | undefined {
  if (file === undefined || sizeBytes === undefined) return undefined;
  return {
    sizeBytes,
    runs: (unitBytes) => file.runs(unitBytes),
    pieces: (maxPieceBytes, range) => file.pieces(maxPieceBytes, range),
  };
}

export function stateFacts(image: Image, rev: string | null): JsonObject {
  const version = rev === null ? null : image.resolve(rev);
  return { filename: image.path, format: 'vsi', version, 'virtual-size': image.sizeOf(rev) };
}

function rawFacts(path: string, source: DataSource): JsonObject {
  return { filename: path, format: 'raw', version: null, 'virtual-size': source.sizeBytes ?? null };
}
