import { unusedSpace } from '../space/space.ts';
import type { HeldSpace, ReclaimReport } from './api.ts';
import type { Container } from './container.ts';
import { deleteVersions } from './delete.ts';
import { collectGarbage } from './gc.ts';
import { rehearse } from './rehearsal.ts';
import { refuseUnpublished } from './transaction.ts';

/**
 * What gc gives back once these versions are deleted, which need not be allowed: to the byte, because it is deleted and
 * collected in a draft. Errors: as of both.
 */
export async function measureReclaim(container: Container, numbers: readonly number[]): Promise<ReclaimReport> {
  refuseUnpublished(container, 'the space of versions');
  const now = heldBy(container);
  const collected = async (without: readonly number[]) =>
    rehearse(container, async (open) => {
      const deleting = open();
      if (without.length > 0) {
        await deleteVersions(deleting, without);
        await deleting.publish();
      }
      // As the next command would find it.
      const collecting = open();
      const { fileBytesAfter } = await collectGarbage(collecting, {});
      return { freed: difference(now, heldBy(collecting)), fileBytesAfter };
    });
  const reclaimable = await collected([]);
  const reclaimed = numbers.length === 0 ? reclaimable : await collected(numbers);
  return {
    versions: numbers,
    reclaimed: reclaimed.freed,
    reclaimable: reclaimable.freed,
    fileBytesBefore: container.storage.size(),
    fileBytesAfter: reclaimed.fileBytesAfter,
  };
}

function heldBy({ header }: Container): HeldSpace {
  const { space, log } = header;
  const { dataBytes } = log;
  return { dataBytes, metadataBytes: space.end - unusedSpace(space) - dataBytes };
}

function difference(before: HeldSpace, after: HeldSpace): HeldSpace {
  return {
    dataBytes: Math.max(0, before.dataBytes - after.dataBytes),
    metadataBytes: Math.max(0, before.metadataBytes - after.metadataBytes),
  };
}
