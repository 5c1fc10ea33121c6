import { VsimgError } from '../errors.ts';
import type { VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { CHANGED_SINCE, DIRTY_BITMAP, revisionIn } from './block-status.ts';
import type { Contexts, Export, Exports, Opened } from './exports.ts';
import { MAX_PAYLOAD_BYTES, TRANSMISSION_FLAG } from './protocol.ts';

/** What follows the name of a version for a private disk that begins as it. */
export const SCRATCH_SUFFIX = '+scratch';

export interface ImageExportsOptions {
  readonly image: Image;
  readonly access: 'read' | 'write';
  /** Names that may be used; undefined for all. */
  readonly only?: ReadonlySet<string>;
  /** Opens the image once more, for somebody who looks at the working state for long. */
  readonly openPinned: () => Promise<Image>;
  /** Called with an error that a client can not have been told: what it wrote, and took for written, is lost. */
  readonly onLoss?: (error: VsimgError) => void;
  /** Called with what a scratch disk holds when its user is gone. */
  readonly keepScratch?: (scratch: ScratchEnd) => Promise<void>;
}

export interface ScratchEnd {
  /** The version that it began as. */
  readonly base: number;
  readonly commit: (options: { readonly message: string; readonly timeSeconds: number }) => Promise<number>;
}

/** Versions in a list of exports, newest first: each of them can be asked for all the same. */
const LISTED_VERSIONS = 1000;
/** Names in the list of contexts, which clients ask for with each export of a list: branches and tags, then the newest versions. */
const LISTED_CONTEXTS = 32;

const {
  hasFlags,
  readOnly,
  sendFlush,
  sendFua,
  sendTrim,
  sendWriteZeroes,
  sendDf,
  canMultiConn,
  sendCache,
  sendFastZero,
} = TRANSMISSION_FLAG;
const READ_FLAGS = hasFlags | sendFlush | sendDf | sendCache;
const WRITE_FLAGS = READ_FLAGS | sendFua | sendTrim | sendWriteZeroes | sendFastZero;

/** The working state under the empty name, and every version under each of its names. */
export class ImageExports implements Exports {
  readonly #options: ImageExportsOptions;
  readonly #blockBytes: number;
  /** One client writes at a time; the others may look. */
  #hasWriter = false;
  /** While what the last writer wrote is made lasting, after which another one may come. */
  #leaving: Promise<void> | undefined;

  constructor(options: ImageExportsOptions) {
    this.#options = options;
    this.#blockBytes = options.image.info().blockSizeBytes;
  }

  /** Keeps clients from writing the working state until it is given back; undefined if one does already. */
  takeWriter(): (() => void) | undefined {
    if (this.#hasWriter) return undefined;
    this.#hasWriter = true;
    return () => {
      this.#hasWriter = false;
    };
  }

  /** After something that failed: the image can be changed again, unless a client may count on what is not published. Never fails. */
  async recover(): Promise<void> {
    const release = this.takeWriter();
    if (release === undefined) return;
    try {
      await this.#options.image.recover().catch(notYet);
    } finally {
      release();
    }
  }

  *list(): Generator<{ readonly name: string; readonly description: string }> {
    const { image, only } = this.#options;
    image.refresh();
    if (only !== undefined) {
      for (const name of only) yield { name, description: this.find(name)?.description ?? 'not there any more' };
      return;
    }
    yield { name: '', description: 'the working state' };
    for (const { name, kind, version } of image.refs())
      yield { name, description: describe(image.version(version), { name, kind }) };
    let count = 0;
    for (const version of image.versions()) {
      if (++count > LISTED_VERSIONS) return;
      yield { name: String(version.number), description: describe(version) };
    }
  }

  find(name: string): Export | undefined {
    const { image, only } = this.#options;
    if (only !== undefined && !only.has(name)) {
      // Clients that name nothing get what there is.
      const [single] = only;
      return name === '' && only.size === 1 && single !== undefined ? this.find(single) : undefined;
    }
    image.refresh();
    if (name === '') return this.#working();
    const isRef = image.refs(name).some((ref) => ref.name === name);
    const rev = !isRef && name.endsWith(SCRATCH_SUFFIX) ? name.slice(0, -SCRATCH_SUFFIX.length) : undefined;
    const version = versionOf(image, rev ?? name);
    if (version === undefined) return undefined;
    if (rev !== undefined) return this.#scratch(name, version);
    return this.#version(name, version);
  }

  #working(): Export {
    const { image, access, openPinned } = this.#options;
    const sizeBytes = image.sizeOf(null);
    const isWritable = access === 'write' && (!this.#hasWriter || this.#leaving !== undefined);
    const flags = isWritable ? WRITE_FLAGS : READ_FLAGS | readOnly;
    const open = async (): Promise<Opened> => {
      if (access === 'read') {
        const pinned = await openPinned();
        const disks = await pinned.disks();
        return { disk: disks.state(), flags, close: async () => pinned.close() };
      }
      const disk = (await image.disks()).working();
      await this.#leaving;
      // Somebody else may have come first since it was looked for.
      const release = isWritable ? this.takeWriter() : undefined;
      if (release === undefined) return { disk, flags: READ_FLAGS | readOnly, close: async () => {} };
      const close = async (requests: 'answered' | 'failed'): Promise<void> => {
        const flushed = disk
          .reconcile()
          .then(() => disk.flush())
          .catch(async (error: unknown) => {
            await image.recover().catch(notYet);
            const loss = lost('what the client of the working state wrote and did not flush is lost', error);
            if (requests === 'answered') this.#options.onLoss?.(loss);
            throw loss;
          })
          .finally(() => {
            this.#leaving = undefined;
            release();
          });
        this.#leaving = flushed.catch(() => undefined);
        await flushed;
      };
      return { disk, flags, close };
    };
    return this.#export({ name: '', description: 'the working state', sizeBytes, flags, open });
  }

  #version(name: string, version: VersionInfo): Export {
    const { image } = this.#options;
    // A client that opens a branch twice may get two versions.
    const flags = READ_FLAGS | readOnly | (isFixed(image, name) ? canMultiConn : 0);
    const { sizeBytes } = version;
    const open = async (): Promise<Opened> => {
      const disks = await image.disks();
      return { ...disks.version(String(version.number)), flags };
    };
    return this.#export({ name, description: describe(version), sizeBytes, flags, open });
  }

  #scratch(name: string, version: VersionInfo): Export {
    const { image, keepScratch } = this.#options;
    const { sizeBytes, number } = version;
    const open = async (): Promise<Opened> => {
      const disks = await image.disks();
      const scratch = disks.scratch(String(number));
      const { disk } = scratch;
      const keep = async (requests: 'answered' | 'failed'): Promise<void> => {
        if (!disk.isChanged || keepScratch === undefined) return;
        if (requests === 'failed')
          throw new VsimgError('refused', 'a write of its client failed', { hint: 'what it wrote is not whole' });
        await keepScratch({ base: number, commit: (options) => disks.commit(scratch, options) });
      };
      const close = async (requests: 'answered' | 'failed'): Promise<void> => {
        try {
          await keep(requests);
        } catch (error) {
          await this.recover();
          const loss = lost(`no version was made of '${name}'`, error);
          this.#options.onLoss?.(loss);
          throw loss;
        } finally {
          await scratch.close();
        }
      };
      return { disk, flags: WRITE_FLAGS, close };
    };
    const description = `a private copy of version ${number}`;
    return this.#export({ name, description, sizeBytes, flags: WRITE_FLAGS, open });
  }

  #export(facts: Pick<Export, 'name' | 'description' | 'sizeBytes' | 'flags' | 'open'>): Export {
    const blockSizes = { minimum: 1, preferred: this.#blockBytes, maximum: MAX_PAYLOAD_BYTES };
    return { ...facts, blockSizes, contexts: new ImageContexts(this.#options.image) };
  }
}

function lost(what: string, cause: unknown): VsimgError {
  if (!(cause instanceof VsimgError)) return new VsimgError('internal', `${what}: ${String(cause)}`, { cause });
  return new VsimgError(cause.code, `${what}: ${cause.message}`, { cause });
}

/** Then changes go on to fail as before, and tell why. */
function notYet(): void {}

/** What was changed since any version that there is. */
class ImageContexts implements Contexts {
  readonly #image: Image;

  constructor(image: Image) {
    this.#image = image;
  }

  *list(): Generator<string> {
    const names = this.#image.refs().map(({ name }) => name);
    for (const { number } of this.#image.versions()) {
      if (names.length >= LISTED_CONTEXTS) break;
      names.push(String(number));
    }
    for (const prefix of [CHANGED_SINCE, DIRTY_BITMAP])
      for (const name of names.slice(0, LISTED_CONTEXTS)) yield `${prefix}${name}`;
  }

  has(name: string): boolean {
    const rev = revisionIn(name);
    return rev !== undefined && versionOf(this.#image, rev) !== undefined;
  }
}

function versionOf(image: Image, rev: string): VersionInfo | undefined {
  try {
    return rev === '' ? undefined : image.version(rev);
  } catch (error) {
    if (error instanceof VsimgError && (error.code === 'not-found' || error.code === 'usage')) return undefined;
    throw error;
  }
}

/** False for what may name another version a moment later. */
function isFixed(image: Image, name: string): boolean {
  const ref = image.refs(name).find((each) => each.name === name);
  return ref === undefined ? /^[0-9a-f]+$/.test(name) : ref.kind === 'tag';
}

function describe({ number, message }: VersionInfo, ref?: { readonly name: string; readonly kind: string }): string {
  const [firstLine = ''] = message.split('\n');
  const what = ref === undefined ? `version ${number}` : `${ref.kind}, version ${number}`;
  return firstLine === '' ? what : `${what}: ${firstLine}`;
}
