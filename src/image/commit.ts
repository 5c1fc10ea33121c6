import { VsimgError } from '../errors.ts';
import { ByteWriter } from '../format/cursor.ts';
import { EXTENT_KIND } from '../format/extent-page.ts';
import type { TreeRoot } from '../format/page.ts';
import { MAX_MESSAGE_BYTES } from '../format/version-record.ts';
import { createHasher } from '../log/hash.ts';
import { compareMaps } from '../map/compare.ts';
import { ExtentMap } from '../map/extent-map.ts';
import { checkRefName } from '../versions/refs.ts';
import type { CommitOptions } from './api.ts';
import type { Container } from './container.ts';
import { diffViews } from './diff.ts';
import { type View, versionView } from './view.ts';

/** Hashed at a time. */
const DIGEST_BYTES = 16 * 1024;

/** The version that HEAD stands for as a view; an empty disk of the same size before the first one. */
export function headView(container: Container): View {
  const { head, pages, workingSizeBytes: sizeBytes } = container;
  return head.version === null ? { map: new ExtentMap(pages, null), sizeBytes } : versionView(container, head.version);
}

export function workingView(container: Container): View {
  return { map: container.map, sizeBytes: container.workingSizeBytes };
}

/** True if the working state differs from the version of HEAD. */
export function isDirty(container: Container): boolean {
  return diffViews(headView(container), workingView(container), container.blockBytes).next().done !== true;
}

/** Makes the working state a version and publishes it, after `checkCommit`; returns its number. */
export async function commitWorking(container: Container, options: CommitOptions): Promise<number> {
  container.begin();
  let made = 0;
  await container.publish({
    makeVersion: (map) => {
      made = addWorking(container, options, map);
    },
  });
  return made;
}

/** Errors: 'refused' when nothing changed, 'usage' for a bad message or tag, 'exists' for a taken tag. */
export function checkCommit(container: Container, options: CommitOptions): void {
  checkMessage(options.message, MAX_MESSAGE_BYTES);
  if (!Number.isSafeInteger(options.timeSeconds) || options.timeSeconds < 0)
    throw new VsimgError('usage', `time ${options.timeSeconds} is not a number of seconds since 1970`);
  if (options.tag !== undefined) refuseTaken(container, options.tag);
  if (options.allowEmpty !== true && container.head.version !== null && !isDirty(container)) {
    throw new VsimgError('refused', 'nothing to commit: the working state equals the version checked out', {
      hint: 'give --allow-empty to make a version all the same',
    });
  }
}

/** Errors: 'usage'. */
export function checkMessage(message: string, maxBytes: number): void {
  if (Buffer.byteLength(message, 'utf8') > maxBytes)
    throw new VsimgError('usage', `the message is longer than ${maxBytes} bytes`, { hint: 'give a shorter one' });
  if (!message.isWellFormed())
    throw new VsimgError('usage', 'the message is not valid Unicode', { hint: 'give it in UTF-8' });
}

/** Errors: 'usage' for a bad name, 'exists'. */
export function refuseTaken(container: Container, tag: string): void {
  checkRefName(tag);
  const taken = container.refs.get(tag);
  if (taken !== undefined)
    throw new VsimgError('exists', `${taken.kind} '${tag}' exists already, at version ${taken.version}`, {
      hint: 'choose another name, or delete it first',
    });
}

/** What a new version holds. */
export interface NewVersion {
  readonly parent: number | null;
  readonly sizeBytes: number;
  readonly map: ExtentMap;
  /** Of `map`, as it was written. */
  readonly root: TreeRoot;
}

/** The version is what was checked out, with what was changed: HEAD and its branch move to it. */
function addWorking(container: Container, options: CommitOptions, root: TreeRoot): number {
  const { head, map, workingSizeBytes: sizeBytes, refs } = container;
  const number = addVersion(container, options, { parent: head.version, sizeBytes, map, root });
  container.head = { branch: head.branch, version: number };
  if (head.branch !== null) refs.set({ name: head.branch, kind: 'branch', version: number });
  return number;
}

/** Enters a version, whose map and data are written; returns its number. */
export function addVersion(
  container: Container,
  { timeSeconds, message, tag }: CommitOptions,
  { parent, sizeBytes, map, root }: NewVersion,
): number {
  const { versions, refs, log } = container;
  const record = { parent, sizeBytes, timeSeconds, message, map: root };
  const { number } = versions.add({ ...record, id: versionId(container, record, map) });
  log.growUp();
  if (tag !== undefined) refs.set({ name: tag, kind: 'tag', version: number });
  return number;
}

/**
 * BLAKE3, cut to 16 bytes, over: parent id, number, size, time, message, and for every range that differs
 * from the parent its place and the raw hashes of the chunks that hold it. Never over places in the file.
 */
function versionId(
  container: Container,
  record: { parent: number | null; sizeBytes: number; timeSeconds: number; message: string },
  map: ExtentMap,
): Uint8Array {
  const digest = new Digest();
  const { writer } = digest;
  const parent = record.parent === null ? undefined : container.versions.need(record.parent);
  writer.byte(parent === undefined ? 0 : 1);
  if (parent !== undefined) writer.raw(parent.id);
  else writer.raw(container.header.imageId);
  writer.varint(container.versions.next);
  writer.varint(record.sizeBytes);
  writer.varint(container.blockBytes);
  writer.varint(record.timeSeconds);
  const message = Buffer.from(record.message, 'utf8');
  writer.varint(message.length);
  writer.raw(message);
  const parentMap = new ExtentMap(container.pages, parent?.map ?? null);
  for (const { start, end, b } of compareMaps(parentMap, map)) {
    if (b) digestData(container, map, { start, end, digest });
    else digest.range(0, start, end);
  }
  return digest.finish();
}

/** Gathers what is hashed, because small updates cost more than hashing. */
class Digest {
  readonly writer = new ByteWriter(DIGEST_BYTES + 256);
  readonly #hasher = createHasher();

  range(kind: number, start: number, end: number): void {
    this.writer.byte(kind);
    this.writer.varint(start);
    this.writer.varint(end - start);
    this.next();
  }

  /** To be called now and then. */
  next(): void {
    if (this.writer.length >= DIGEST_BYTES) this.#hasher.update(this.writer.takeAll());
  }

  finish(): Uint8Array {
    this.#hasher.update(this.writer.takeAll());
    return this.#hasher.finish();
  }
}

function digestData(
  container: Container,
  map: ExtentMap,
  { start, end, digest }: { readonly start: number; readonly end: number; readonly digest: Digest },
): void {
  const { writer } = digest;
  for (const extent of map.extents(start, end)) {
    const isLost = extent.kind === EXTENT_KIND.lost;
    digest.range(isLost ? 2 : 1, extent.start, extent.start + extent.length);
    if (isLost) continue;
    for (const part of container.reader.partsAndLost(extent.log, extent.length)) {
      if ('lost' in part) {
        digest.range(2, 0, part.lost);
        continue;
      }
      writer.varint(part.first);
      writer.varint(part.count);
      writer.raw(part.chunk.hash);
      digest.next();
    }
  }
}
