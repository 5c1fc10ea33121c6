import fs from 'node:fs';
import type { Readable } from 'node:stream';
import { VsimgError } from '../errors.ts';
import { closeQuietly, type Descriptor, readAt } from './descriptor.ts';
import { deviceSizeBytes } from './device-size.ts';
import { type Run, type RunFinder, runFinder } from './sparse.ts';
import { systemError } from './system-error.ts';
import { type ByteRange, type DataSource, PIECE_ALIGNMENT_BYTES, type Piece, type SourceFile } from './transfer.ts';
import { turnGiver } from './turns.ts';
import { isZero } from './zero.ts';

/** To read so much takes less time than to load what asks for holes. */
const SHORT_FILE_BYTES = 1_048_576;

export interface FileSourceOptions {
  /** 'ask': skip holes the file system knows of; 'read': read everything. Default 'ask'. */
  readonly holes?: 'ask' | 'read';
}

/**
 * A raw image: a regular file or a block device; or a named pipe or character device, read from front to back. Zeros that fill
 * a piece are given as a hole even where they are stored.
 * Errors: 'not-found', 'permission', 'io' (also for directories, and for a file that becomes shorter meanwhile).
 */
export function openFileSource(path: string, options: FileSourceOptions = {}): DataSource {
  let fd: number;
  try {
    // Looked at before anything is opened: opening a pipe twice may cost its writer its life.
    const stat = fs.statSync(path);
    if (stat.isFIFO() || stat.isCharacterDevice()) {
      return streamSource(fs.createReadStream(path, { highWaterMark: PIECE_ALIGNMENT_BYTES }), `'${path}'`);
    }
    fd = fs.openSync(path, fs.constants.O_RDONLY);
  } catch (cause) {
    throw systemError(`cannot open '${path}'`, cause, { path });
  }
  try {
    const descriptor = { fd, name: path };
    const stat = fs.fstatSync(fd);
    if (stat.isBlockDevice())
      return new FileSource(descriptor, deviceSizeBytes(descriptor, stat.rdev), 'device', undefined);
    if (stat.isFile())
      return new FileSource(
        descriptor,
        stat.size,
        'file',
        options.holes === 'read' || stat.size <= SHORT_FILE_BYTES ? undefined : runFinder(fd),
      );
    const kind = stat.isDirectory() ? 'it is a directory' : 'it holds no bytes';
    throw new VsimgError('io', `cannot read '${path}': ${kind}`, {
      path,
      hint: "name a raw image, or '-' for standard input",
    });
  } catch (cause) {
    closeQuietly(fd);
    throw systemError(`cannot read '${path}'`, cause, { path });
  }
}

class FileSource implements DataSource {
  readonly sizeBytes: number;
  readonly #descriptor: Descriptor;
  readonly #kind: 'file' | 'device';
  readonly #findRun: RunFinder | undefined;
  #closed = false;

  constructor(descriptor: Descriptor, sizeBytes: number, kind: 'file' | 'device', findRun: RunFinder | undefined) {
    this.sizeBytes = sizeBytes;
    this.#descriptor = descriptor;
    this.#kind = kind;
    this.#findRun = findRun;
  }

  get file(): SourceFile {
    const descriptor = (): Descriptor => {
      this.#assertOpen();
      return this.#descriptor;
    };
    return {
      get descriptor() {
        return descriptor();
      },
      runs: (unitBytes) => this.#runs(unitBytes),
      pieces: (maxPieceBytes, range) => this.#pieces(maxPieceBytes, range),
    };
  }

  *#runs(unitBytes: number): Generator<ByteRange> {
    for (let start = 0; start < this.sizeBytes; ) {
      this.#assertOpen();
      const { kind, end } = this.#runAt(start, unitBytes, this.sizeBytes);
      if (kind === 'data') yield { start, end };
      start = end;
    }
    this.#assertLength(this.sizeBytes);
  }

  pieces(maxPieceBytes: number): AsyncGenerator<Piece, void, undefined> {
    return this.#pieces(maxPieceBytes, { start: 0, end: this.sizeBytes });
  }

  async *#pieces(maxPieceBytes: number, range: ByteRange): AsyncGenerator<Piece, void, undefined> {
    const unit = pieceUnit(maxPieceBytes);
    const size = range.end;
    const buffer = Buffer.allocUnsafeSlow(Math.min(maxPieceBytes, Math.max(size - range.start, 1)));
    const giveTurn = turnGiver();
    let start = range.start;
    while (start < size) {
      this.#assertOpen();
      const whole = this.#runAt(start, unit, start - (start % maxPieceBytes) + maxPieceBytes);
      const run = { kind: whole.kind, end: Math.min(whole.end, size) };
      if (run.kind === 'hole') {
        this.#assertLength(run.end);
        yield { kind: 'hole', start, end: run.end };
        start = run.end;
      }
      while (run.kind === 'data' && start < run.end) {
        const end = Math.min(run.end, start - (start % maxPieceBytes) + maxPieceBytes);
        const bytes = this.#read(buffer.subarray(0, end - start), start);
        yield isZero(bytes) ? { kind: 'hole', start, end } : { kind: 'data', start, bytes };
        start = end;
        const turn = giveTurn();
        if (turn !== undefined) await turn;
      }
    }
    this.#assertLength(size);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#descriptor.fd);
  }

  /**
   * What lies at `start`, with borders at multiples of `unit` only: holes are cut down to whole units, and what is cut off
   * counts as data. A data run ends at a hole, or anywhere at or behind `pieceEnd`.
   */
  #runAt(start: number, unit: number, pieceEnd: number): Run {
    const size = this.sizeBytes;
    let end = start;
    while (end < size && (end < pieceEnd || end === start)) {
      const run: Run = this.#findRun?.(end, size) ?? { kind: 'data', end: size };
      if (run.kind === 'data') {
        end = Math.min(size, Math.ceil(run.end / unit) * unit);
        continue;
      }
      const holeEnd = run.end >= size ? size : Math.floor(run.end / unit) * unit;
      if (holeEnd <= end) end = Math.min(size, end + unit);
      else if (end === start) return { kind: 'hole', end: holeEnd };
      else break;
    }
    return { kind: 'data', end };
  }

  /** Holes within the piece are filled in, not read: reading them would put pages of zeros into the page cache. */
  #read(bytes: Uint8Array, start: number): Uint8Array {
    this.#assertOpen();
    const end = start + bytes.length;
    let at = start;
    while (at < end) {
      const run: Run = this.#findRun?.(at, end) ?? { kind: 'data', end };
      const part = bytes.subarray(at - start, run.end - start);
      if (run.kind === 'hole') {
        part.fill(0);
        this.#assertLength(run.end);
      } else {
        const count = readAt(this.#descriptor, part, at);
        if (count < part.length) throw this.#shorter(at + count);
      }
      at = run.end;
    }
    return bytes;
  }

  /** Holes are not read, so the end of a file that was cut off must be looked for. */
  #assertLength(atLeast: number): void {
    if (this.#kind === 'device') return;
    this.#assertOpen();
    const length = this.#length();
    if (length < atLeast) throw this.#shorter(length);
  }

  #length(): number {
    try {
      return fs.fstatSync(this.#descriptor.fd).size;
    } catch (cause) {
      throw systemError(`cannot find the length of '${this.#descriptor.name}'`, cause, { path: this.#descriptor.name });
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new VsimgError('internal', `'${this.#descriptor.name}' is read after it was closed`);
  }

  #shorter(length: number): VsimgError {
    const path = this.#descriptor.name;
    return new VsimgError(
      'io',
      `'${path}' became shorter while it was read: ${length} of ${this.sizeBytes} bytes are left`,
      {
        path,
        hint: 'try again when no other program changes the file',
      },
    );
  }
}

/**
 * What a stream delivers, such as standard input, until its end; all pieces but the last are `maxPieceBytes` long.
 * A stream rather than a file descriptor, because a pending read of a pipe in Node's thread pool keeps the process
 * from exiting, and fd 0 may be non-blocking. `name` is for messages. Errors: 'io'.
 */
export function streamSource(readable: Readable, name = 'standard input'): DataSource {
  return {
    sizeBytes: undefined,
    pieces: (maxPieceBytes) => streamPieces(readable, name, maxPieceBytes),
    close: () => {
      readable.destroy();
    },
  };
}

async function* streamPieces(
  readable: Readable,
  name: string,
  maxPieceBytes: number,
): AsyncGenerator<Piece, void, undefined> {
  pieceUnit(maxPieceBytes);
  const buffer = Buffer.allocUnsafeSlow(maxPieceBytes);
  let start = 0;
  let filled = 0;
  const take = (): Piece => {
    const bytes = buffer.subarray(0, filled);
    const piece: Piece = isZero(bytes) ? { kind: 'hole', start, end: start + filled } : { kind: 'data', start, bytes };
    start += filled;
    filled = 0;
    return piece;
  };
  try {
    for await (const chunk of readable) {
      // A stream with an encoding set has already turned bytes into something else.
      if (!(chunk instanceof Uint8Array)) throw new VsimgError('internal', `${name} delivers text instead of bytes`);
      for (let from = 0; from < chunk.length; ) {
        const count = Math.min(chunk.length - from, maxPieceBytes - filled);
        buffer.set(chunk.subarray(from, from + count), filled);
        from += count;
        filled += count;
        if (filled === maxPieceBytes) yield take();
      }
    }
  } catch (cause) {
    throw systemError(`cannot read ${name} at byte ${start + filled}`, cause);
  }
  if (filled > 0) yield take();
}

function pieceUnit(maxPieceBytes: number): number {
  if (!Number.isSafeInteger(maxPieceBytes) || maxPieceBytes < 1)
    throw new VsimgError('internal', `bad piece length ${maxPieceBytes}`);
  return maxPieceBytes % PIECE_ALIGNMENT_BYTES === 0 ? PIECE_ALIGNMENT_BYTES : maxPieceBytes;
}

/** What other kinds of disk images begin with. */
const FOREIGN_MAGICS: readonly (readonly [magic: string, format: string])[] = [
  ['QFI\xfb', 'qcow2'],
  ['KDMV', 'VMDK'],
  ['vhdxfile', 'VHDX'],
  ['conectix', 'VHD'],
];

/** The kind of disk image that a file begins like, if it is one whose bytes are not those of its disk. */
export function foreignFormat({ file }: DataSource): string | undefined {
  if (file === undefined) return undefined;
  const bytes = Buffer.alloc(8);
  const start = bytes.toString('latin1', 0, readAt(file.descriptor, bytes, 0));
  return FOREIGN_MAGICS.find(([magic]) => start.startsWith(magic))?.[1];
}
