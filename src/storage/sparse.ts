import { arch, platform } from 'node:process';
import { koffi } from './koffi.ts';

/** A run of bytes of one kind: from the position asked about to `end`. */
export interface Run {
  readonly kind: 'data' | 'hole';
  readonly end: number;
}

/** What lies at `position`, cut off at `limit`; undefined if the file system cannot tell. */
export type RunFinder = (position: number, limit: number) => Run | undefined;

/** lseek(2). Linux, FreeBSD and Solaris number them so; macOS the other way round. */
const SEEK = platform === 'darwin' ? { data: 4, hole: 3 } : { data: 3, hole: 4 };

type Seek = (fd: number, position: number, whence: number) => number | 'nothing-behind' | 'unsupported';

let loadedSeek: Seek | 'unsupported' | undefined;

/**
 * Tells holes from data of the open file `fd` by SEEK_DATA and SEEK_HOLE, about 1 microsecond a question.
 * Undefined where that is impossible (no koffi, Windows): then everything must be read and compared with zeros.
 */
export function runFinder(fd: number): RunFinder | undefined {
  loadedSeek ??= loadSeek();
  if (loadedSeek === 'unsupported') return undefined;
  const seek = loadedSeek;
  return (position, limit) => {
    const dataStart = seek(fd, position, SEEK.data);
    if (dataStart === 'unsupported') return undefined;
    // The hole reaches the end of the file, or the file has become shorter; the caller knows its length.
    if (dataStart === 'nothing-behind') return { kind: 'hole', end: limit };
    if (dataStart > position) return { kind: 'hole', end: Math.min(dataStart, limit) };
    const dataEnd = seek(fd, position, SEEK.hole);
    // A file that shrinks between the two questions: let the read find out.
    if (typeof dataEnd === 'string' || dataEnd <= position) return { kind: 'data', end: limit };
    return { kind: 'data', end: Math.min(dataEnd, limit) };
  };
}

function loadSeek(): Seek | 'unsupported' {
  // Elsewhere off_t may be 32 bits wide, and a wrong prototype reads garbage.
  const has64BitOffsets =
    arch === 'x64' ||
    arch === 'arm64' ||
    arch === 'ppc64' ||
    arch === 's390x' ||
    arch === 'riscv64' ||
    arch === 'loong64';
  if (platform === 'win32' || !has64BitOffsets) return 'unsupported';
  const loaded = koffi();
  if ('failure' in loaded) return 'unsupported';
  const { module } = loaded;
  try {
    const lseek = module.load(null).func('int64_t lseek(int fd, int64_t offset, int whence)');
    const nothingBehind = module.os.errno.ENXIO;
    return (fd, position, whence) => {
      const result = Number(lseek(fd, position, whence));
      if (result >= 0) return result;
      return module.errno() === nothingBehind ? 'nothing-behind' : 'unsupported';
    };
  } catch {
    return 'unsupported';
  }
}
