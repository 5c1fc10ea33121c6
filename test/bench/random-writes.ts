import { openImageFile } from '../../src/image/file.ts';
import { SeededRandom } from '../support/random.ts';
import { changedRuns } from './real-disk.ts';

const BLOCK = 4096;

interface RandomWrites {
  readonly writes: number;
  readonly commits: number;
}

/** As many as issue and README speak of, or few. */
export function randomWrites(size: 'full' | 'small'): RandomWrites {
  return size === 'full' ? { writes: 10_000, commits: 100 } : { writes: 500, commits: 5 };
}

/**
 * Overwrites random blocks of 4 KiB with random data in commits of equal numbers of them, each by a process of its own
 * as far as the container can tell. Only blocks that `disk`, the state it begins with, has data in: a guest rewrites its
 * files.
 */
export async function writeRandomly(path: string, disk: string, { writes, commits }: RandomWrites): Promise<void> {
  const random = new SeededRandom(41);
  const blocks = changedRuns(null, disk).flatMap(({ start, length }) =>
    Array.from({ length: Math.floor(length / BLOCK) }, (_, block) => start / BLOCK + block),
  );
  for (let commit = 1; commit <= commits; commit++) {
    const image = await openImageFile(path, { mode: 'write', sync: 'off' });
    for (let write = 0; write < writes / commits; write++) {
      await image.write((blocks[random.below(blocks.length)] as number) * BLOCK, random.bytes(BLOCK));
    }
    await image.commit({ message: `random writes ${commit}`, timeSeconds: commit });
    image.close();
  }
}
