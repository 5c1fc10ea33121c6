import { join } from 'node:path';
import { FileStorage } from '../../src/storage/file.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import type { LockableStorage } from '../../src/storage/storage.ts';
import { PowerCutStorage } from '../support/power-cut.ts';
import { scratchDirectory } from '../support/scratch.ts';
import { CountingStorage, FailingStorage, WrappedStorage } from '../support/storages.ts';
import { type StorageSubject, storageContract } from './contract.ts';

function memorySubject(wrap: (storage: LockableStorage) => LockableStorage): StorageSubject {
  const disk = new MemoryDisk();
  return {
    open: () => wrap(new MemoryStorage(disk)),
    openReadOnly: () => wrap(new MemoryStorage(disk, { readOnly: true })),
  };
}

function fileSubject(wrap: (storage: LockableStorage) => LockableStorage): StorageSubject {
  const path = join(scratchDirectory(), 'storage');
  FileStorage.open(path, { mode: 'create-exclusive' }).close();
  return {
    open: () => wrap(FileStorage.open(path, { mode: 'write' })),
    openReadOnly: () => wrap(FileStorage.open(path, { mode: 'read' })),
  };
}

storageContract('FileStorage', () => fileSubject((storage) => storage));
storageContract('MemoryStorage', () => memorySubject((storage) => storage));
storageContract('CountingStorage', () => memorySubject((storage) => new CountingStorage(storage)));
storageContract('FailingStorage before its time', () =>
  memorySubject((storage) => new FailingStorage(storage, { kind: 'any', call: 1000, code: 'io' })),
);
storageContract('PowerCutStorage', () => {
  // It keeps a disk of its own, so further handles are opened over that one.
  const first = new PowerCutStorage(new MemoryDisk());
  let opened = false;
  return {
    open: () => {
      if (opened) return new MemoryStorage(first.disk);
      opened = true;
      return new WrappedStorage(first);
    },
    openReadOnly: () => new MemoryStorage(first.disk, { readOnly: true }),
  };
});
