import { VsimgError } from '../errors.ts';
import { CHUNK_BYTES, FORMAT_VERSION, RECORDS_OFFSET, SLOT_BYTES } from '../format/layout.ts';
import type { RefKind } from '../versions/refs.ts';
import { hex, type NumberedVersion } from '../versions/version-table.ts';
import type { HeadInfo, ImageInfo, VersionInfo } from './api.ts';
import { isDirty } from './commit.ts';
import type { Container } from './container.ts';

export function describeImage(container: Container): ImageInfo {
  // Of the space what is true now, also within a transaction.
  const { header, generation, storage, missingBytes, space, log } = container;
  const sizeBytes = storage.size();
  // Collection may have cut the file of a state that is looked at.
  const fileBytes = missingBytes > 0 ? sizeBytes : Math.max(sizeBytes, space.end);
  // What an interrupted command left behind the end is as good as free.
  const tailBytes = Math.max(0, fileBytes - space.end);
  const { dataBytes } = log.state;
  return {
    sizeBytes: container.workingSizeBytes,
    imageId: hex(header.imageId),
    formatVersion: FORMAT_VERSION,
    features: header.features,
    blockSizeBytes: header.blockBytes,
    chunkSizeBytes: CHUNK_BYTES,
    compression: header.compression,
    generation,
    versionCount: container.versions.count,
    head: describeHead(container),
    space: {
      fileBytes,
      allocatedBytes: storage.allocatedBytes?.() ?? fileBytes,
      dataBytes,
      metadataBytes: 2 * SLOT_BYTES + space.end - RECORDS_OFFSET - space.unusedBytes - dataBytes,
      freeBytes: space.unusedBytes + tailBytes,
      missingBytes,
    },
  };
}

export function describeHead(container: Container): HeadInfo {
  const { head, workingSizeBytes } = container;
  return { branch: head.branch, version: head.version, dirty: dirtyUnlessDamaged(container), workingSizeBytes };
}

/** A list of versions must not fail because of a damaged working state. */
function dirtyUnlessDamaged(container: Container): boolean | null {
  try {
    return isDirty(container);
  } catch (error) {
    // What only seems to be damage beside a writer is for the caller to look at again.
    if (!(error instanceof VsimgError) || error.code !== 'corrupt' || container.isStale()) throw error;
    return null;
  }
}

/** `next` is the number of the next version in time order, if it is known already. */
export function describeVersion(container: Container, version: NumberedVersion, next?: number | null): VersionInfo {
  const { versions, refs, head } = container;
  const parent = version.parent === null ? undefined : versions.need(version.parent);
  const names = refs.of(version.number);
  const named = (kind: RefKind): string[] => names.filter((ref) => ref.kind === kind).map((ref) => ref.name);
  return {
    number: version.number,
    id: hex(version.id),
    parent: version.parent,
    parentId: parent === undefined ? null : hex(parent.id),
    next: next === undefined ? (versions.after(version.number) ?? null) : next,
    sizeBytes: version.sizeBytes,
    timeSeconds: version.timeSeconds,
    message: version.amended ?? version.message,
    firstMessage: version.amended === undefined ? null : version.message,
    isLocked: version.locked === true,
    tags: named('tag'),
    branches: named('branch'),
    isHead: head.version === version.number,
  };
}

/** At most `count` versions, newest first, below `above` (null: from the newest on). */
export function describeVersionsBelow(container: Container, above: number | null, count: number): VersionInfo[] {
  const page: VersionInfo[] = [];
  let next = above;
  for (const version of container.versions.newestFirst(above === null ? undefined : above - 1)) {
    page.push(describeVersion(container, version, next));
    if (page.length === count) break;
    next = version.number;
  }
  return page;
}
