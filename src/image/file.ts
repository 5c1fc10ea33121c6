import { VsimgError } from '../errors.ts';
import { MAGIC, READER_LOCKS_OFFSET, SLOT_A_OFFSET, SLOT_B_OFFSET, WRITER_LOCK_OFFSET } from '../format/layout.ts';
import { readAt } from '../storage/descriptor.ts';
import { FileStorage } from '../storage/file.ts';
import type { LockHolder } from '../storage/lock-holder.ts';
import { NewFile } from '../storage/new-file.ts';
import type { LockableStorage } from '../storage/storage.ts';
import type { DataSource } from '../storage/transfer.ts';
import type { CreateOptions } from './api.ts';
import { Container } from './container.ts';
import type { ContainerOptions } from './container-options.ts';
import { heldGenerations } from './held.ts';
import { Image } from './image.ts';
import type { LookSource } from './looks.ts';

export interface OpenFileOptions {
  /**
   * 'write' takes the writer lock; 'repair' too, and opens what writers refuse; 'read' is a short look; 'read-long'
   * pins the generation for a long read.
   */
  readonly mode: 'read' | 'read-long' | 'write' | 'repair';
  /** How long to wait for another writer, in seconds. Default 0. */
  readonly waitSeconds?: number;
  /** 'off' for file systems without byte-range locks, when no other process can be there. Default 'on'. */
  readonly locking?: 'on' | 'off';
  /** 'off': changes do not wait for the disk, so a power cut may damage the container. For throw-away work. Default 'on'. */
  readonly sync?: 'on' | 'off';
  /** 'large' for whoever reads anywhere for long: some tens of MiB more. Default 'small'. */
  readonly caches?: 'small' | 'large';
}

/** A waiting writer asks again after pauses that grow from the first to the longest. */
const FIRST_PAUSE_MILLISECONDS = 1;
const LONGEST_PAUSE_MILLISECONDS = 8;
/** A writer that looks for readers holds their bytes for microseconds. */
const MAX_PIN_TRIES = 100;

/** Opens the container at `path`. Errors: 'not-found', 'permission', 'locked', 'corrupt', 'unsupported', 'io'. */
export async function openImageFile(path: string, options: OpenFileOptions): Promise<Image> {
  const locking = options.locking ?? 'on';
  const deadline = Date.now() + (options.waitSeconds ?? 0) * 1000;
  for (;;) {
    const isReader = options.mode === 'read' || options.mode === 'read-long';
    const storage = FileStorage.open(path, { mode: isReader ? 'read' : 'write', locking });
    try {
      const { caches = 'small' } = options;
      if (options.mode === 'read') return new Image(Container.open(storage, { caches }), lookSource(storage, caches));
      if (options.mode === 'read-long') return new Image(await openPinned(storage, caches));
      await lockForWriting(storage, deadline);
      // While this process waited, the file may have been replaced: what is written to the old one is lost.
      if (storage.isCurrent()) {
        const damage = options.mode === 'repair' ? ({ damage: 'accept' } as const) : {};
        return new Image(
          Container.open(storage, { ...writerOptions(storage, options.sync ?? 'on'), ...damage, caches }),
        );
      }
      storage.close();
    } catch (error) {
      storage.close();
      throw error;
    }
  }
}

/**
 * Makes a new container at `path`; `fill` may write to it before it appears under its name, complete and
 * durable. Errors: 'exists' without `force`, and all of `openImageFile`.
 */
export async function createImageFile<T>(
  path: string,
  options: CreateOptions,
  more: {
    /** 'if-empty' replaces nothing but a file without a byte. */
    readonly force?: boolean | 'if-empty';
    readonly fill?: (image: Image) => Promise<T>;
    readonly locking?: 'on' | 'off';
    /** As for `openImageFile`. */
    readonly sync?: 'on' | 'off';
  } = {},
): Promise<T | undefined> {
  const locking = more.locking ?? 'on';
  const force = more.force !== undefined && more.force !== false;
  const guard = force ? await lockExisting(path, locking) : undefined;
  try {
    // Another process may have filled it before it was locked here.
    const isFilled = more.force === 'if-empty' && guard !== undefined && guard.size() > 0;
    const file = NewFile.begin(path, { force: force && !isFilled, locking, sync: more.sync ?? 'on' });
    try {
      // Nobody else can see the file yet: it becomes durable once, when it gets its name.
      const image = new Image(Container.create(file.storage, options, { sync: 'off' }));
      const result = await more.fill?.(image);
      await image.publish();
      file.publish();
      image.close();
      return result;
    } catch (error) {
      file.abort();
      // An abort leaves alone what has its name already.
      file.storage.close();
      throw error;
    }
  } finally {
    guard?.close();
  }
}

/** For a file that is to be written in place. Errors: 'refused' for a container, and all of `FileStorage.open`. */
export function refuseContainer(path: string): void {
  const storage = FileStorage.open(path, { mode: 'read', locking: 'off' });
  try {
    if (!hasMagic((into, position) => storage.read(into, position))) return;
  } finally {
    storage.close();
  }
  throw new VsimgError('refused', `'${path}' is an image of versions, which raw data would destroy`, {
    path,
    hint: 'name a raw file or a device',
  });
}

/** True for a container, also for one with a damaged slot. What is read from front to back is never taken for one. */
export function isContainer({ file }: DataSource): boolean {
  return file !== undefined && hasMagic((into, position) => readAt(file.descriptor, into, position));
}

function hasMagic(read: (into: Uint8Array, position: number) => number): boolean {
  const start = new Uint8Array(MAGIC.length);
  return [SLOT_A_OFFSET, SLOT_B_OFFSET].some(
    (position) => read(start, position) === start.length && Buffer.compare(start, MAGIC) === 0,
  );
}

/** A container that is replaced must not have a writer at work. */
async function lockExisting(path: string, locking: 'on' | 'off'): Promise<FileStorage | undefined> {
  for (;;) {
    let storage: FileStorage;
    try {
      storage = FileStorage.open(path, { mode: 'write', locking });
    } catch (error) {
      if (error instanceof VsimgError && error.code === 'not-found') return undefined;
      throw error;
    }
    try {
      await lockForWriting(storage, Date.now());
      // What has the name by now may have a writer of its own.
      if (storage.isCurrent()) return storage;
    } catch (error) {
      storage.close();
      throw error;
    }
    storage.close();
  }
}

/** Errors: 'locked', with the holder where the system tells who it is. */
async function lockForWriting(storage: FileStorage, deadline: number): Promise<void> {
  const isLocked = (): boolean => storage.tryLock(WRITER_LOCK_OFFSET, 1, 'exclusive');
  for (let pause = FIRST_PAUSE_MILLISECONDS; !isLocked(); pause = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS)) {
    const left = deadline - Date.now();
    if (left <= 0) {
      const holder = storage.lockHolder(WRITER_LOCK_OFFSET);
      // A lock that nobody is seen to hold may be free by now.
      if (holder === undefined && isLocked()) return;
      throw lockedBy(holder, storage.name);
    }
    // Pauses differ, so that no rhythm of the other process's hides the moments when it lets go.
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, pause * (0.5 + Math.random()))));
  }
}

function lockedBy(holder: LockHolder | undefined, path: string): VsimgError {
  const who =
    holder === undefined
      ? '; which one can not be seen from here (it may be of another user, in another container or on another host)'
      : `: pid ${holder.pid}, '${holder.command}'`;
  return new VsimgError('locked', `${path}: another process is writing it${who}`, {
    path,
    holder: holder ?? null,
    hint: 'try again later, or give --wait SECONDS',
  });
}

function writerOptions(storage: LockableStorage, sync: 'on' | 'off'): ContainerOptions {
  return { sync, heldGenerations: (limit) => heldGenerations(storage, limit) };
}

/** Looks into `storage`, which is open for reading. */
export function lookSource(storage: LockableStorage, caches: 'small' | 'large' = 'small'): LookSource {
  return {
    open: () => Container.open(storage, { caches }),
    pin: (container) => pin(storage, container),
    unpin: ({ generation }) => storage.unlock(READER_LOCKS_OFFSET + generation, 1),
  };
}

/** The lock on a generation's byte keeps its space from being used again, if it is not in use already. */
function pin(storage: LockableStorage, container: Container): boolean {
  const at = READER_LOCKS_OFFSET + container.generation;
  if (!storage.tryLock(at, 1, 'shared')) return false;
  if (!container.isStale()) return true;
  storage.unlock(at, 1);
  return false;
}

/** Opens for a long read. */
async function openPinned(storage: LockableStorage, caches: 'small' | 'large'): Promise<Container> {
  for (let attempt = 0; attempt < MAX_PIN_TRIES; attempt++) {
    const container = Container.open(storage, { caches });
    if (pin(storage, container)) return container;
    await new Promise((resolve) => setTimeout(resolve, attempt === 0 ? 0 : 1));
  }
  throw new VsimgError('locked', `${storage.name}: a writer publishes faster than it can be read`, {
    path: storage.name,
    hint: 'try again',
  });
}
