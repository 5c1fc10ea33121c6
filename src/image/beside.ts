import { ExtentMap } from '../map/extent-map.ts';
import type { Piece } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import { isZeroRange } from '../storage/zero.ts';
import type { CommitOptions } from './api.ts';
import { addVersion } from './commit.ts';
import type { Container } from './container.ts';

type DataPiece = Extract<Piece, { readonly kind: 'data' }>;

export interface BesideOptions extends CommitOptions {
  /** The version that the new one is made from. */
  readonly parent: number;
}

/**
 * Makes a version from another one and `pieces`, which begin and end with blocks or at the end of the disk, and publishes it.
 * What is checked out stays as it is, and no branch moves. Returns the number of the new version.
 */
export async function commitBeside(
  container: Container,
  pieces: Iterable<DataPiece>,
  options: BesideOptions,
): Promise<number> {
  const { versions, pages, blockBytes } = container;
  const { map: root, sizeBytes } = versions.need(options.parent);
  // What is to be cleaned goes now: nothing tells a cleaner that the blocks which come next are needed.
  container.begin();
  await container.publish();
  container.begin();
  const map = new ExtentMap(pages, root);
  const giveTurn = turnGiver();
  for (const { start, bytes } of pieces) {
    const whole = new Uint8Array(Math.ceil(bytes.length / blockBytes) * blockBytes);
    whole.set(bytes);
    await putBlocks(container, map, start / blockBytes, whole);
    const turn = giveTurn();
    if (turn !== undefined) await turn;
  }
  let made = 0;
  await container.publish({
    cleaning: 'later',
    makeVersion: (_working, writeMap) => {
      made = addVersion(container, options, { parent: options.parent, sizeBytes, root: writeMap(map), map });
      // Pages that only the working state has count as shared from now on: those that it gives up are left to collection.
      container.unreclaimed++;
    },
  });
  return made;
}

async function putBlocks(
  { log, blockBytes }: Container,
  map: ExtentMap,
  startBlock: number,
  bytes: Uint8Array,
): Promise<void> {
  const isZero = (block: number): boolean => isZeroRange(bytes, block * blockBytes, (block + 1) * blockBytes);
  const count = bytes.length / blockBytes;
  for (let from = 0; from < count; ) {
    const zero = isZero(from);
    let to = from + 1;
    while (to < count && isZero(to) === zero) to++;
    if (zero) map.clear(startBlock + from, startBlock + to);
    for (let at = from; !zero && at < to; ) {
      const length = Math.min(to - at, await log.room());
      map.set(
        startBlock + at,
        length,
        log.append(startBlock + at, bytes.subarray(at * blockBytes, (at + length) * blockBytes)),
      );
      at += length;
    }
    from = to;
  }
}
