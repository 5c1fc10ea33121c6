import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';

const BLOCK = 4096;
const PIECE = 2 ** 20;

/** A range of the disk that holds other data than before, or zeros now. */
export interface Run {
  readonly start: number;
  readonly length: number;
  readonly kind: 'data' | 'zero';
}

/** Paths of six states of one real ext4 disk, made once and kept (see real-image.sh). */
export function realDisks(size: 'full' | 'small'): string[] {
  const [virtualSize, dataMib] = size === 'full' ? ['4G', '1000'] : ['1G', '150'];
  const lines = execFileSync('bash', ['test/support/real-image.sh', virtualSize, dataMib, '6'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return lines
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0] as string)
    .filter((path) => path.includes('disk'));
}

/** What differs between two raw files, block by block; between nothing and a file, all that is not zero. */
export function changedRuns(before: string | null, after: string): Run[] {
  const runs: Run[] = [];
  const add = (start: number, length: number, kind: Run['kind']): void => {
    const last = runs.at(-1);
    if (last !== undefined && last.kind === kind && last.start + last.length === start)
      runs[runs.length - 1] = { ...last, length: last.length + length };
    else runs.push({ start, length, kind });
  };
  const zeros = Buffer.alloc(PIECE);
  const oldPiece = Buffer.alloc(PIECE);
  const newPiece = Buffer.alloc(PIECE);
  const oldFile = before === null ? undefined : openSync(before, 'r');
  const newFile = openSync(after, 'r');
  const sizeBytes = statSync(after).size;
  for (let offset = 0; offset < sizeBytes; offset += PIECE) {
    const length = readSync(newFile, newPiece, 0, PIECE, offset);
    if (oldFile !== undefined) readSync(oldFile, oldPiece, 0, PIECE, offset);
    if (newPiece.compare(oldPiece, 0, length, 0, length) === 0) continue;
    for (let at = 0; at < length; at += BLOCK) {
      const end = Math.min(at + BLOCK, length);
      if (newPiece.compare(oldPiece, at, end, at, end) === 0) continue;
      add(offset + at, end - at, newPiece.compare(zeros, at, end, at, end) === 0 ? 'zero' : 'data');
    }
  }
  closeSync(newFile);
  if (oldFile !== undefined) closeSync(oldFile);
  return runs;
}

export function bytesOf(runs: readonly Run[]): number {
  return runs.reduce((sum, { length }) => sum + length, 0);
}
