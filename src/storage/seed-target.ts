import fs from 'node:fs';
import { VsimgError } from '../errors.ts';
import { closeQuietly, type Descriptor, setLength, syncData, writeAt } from './descriptor.ts';
import { openDevice } from './device.ts';
import { systemError } from './system-error.ts';
import type { DataTarget } from './transfer.ts';
import { turnGiver } from './turns.ts';
import { Zeroing } from './zeroing.ts';

export interface SeedTargetOptions {
  /** Length of what is there: a file must have it. */
  readonly seedBytes: number;
  /** Length of what is to be there, which a file gets. */
  readonly sizeBytes: number;
  /** 'off': `finish` does not wait for the disk. Default 'on'. */
  readonly sync?: 'on' | 'off';
}

/**
 * A raw file or block device that holds one state and becomes another: only what it is given is written, in place.
 * A file may have the new length already: a run that was interrupted can have left it so.
 * Errors: 'not-found', 'permission', 'locked' for a device in use, 'refused' for anything else or of another length, 'io'.
 */
export function openSeedTarget(path: string, options: SeedTargetOptions): DataTarget {
  let stat: fs.Stats;
  try {
    stat = fs.statSync(path);
  } catch (cause) {
    throw systemError(`cannot open '${path}'`, cause, { path });
  }
  if (stat.isBlockDevice()) return openSeedDevice(path, stat.rdev, options);
  if (stat.isFile()) return openSeedFile(path, options);
  throw new VsimgError('refused', `'${path}' is neither a regular file nor a block device`, {
    path,
    hint: 'name the raw file or device that holds the version already',
  });
}

function openSeedDevice(path: string, deviceNumber: number, options: SeedTargetOptions): SeedTarget {
  const { device, sizeBytes } = openDevice(path, deviceNumber);
  const neededBytes = Math.max(options.seedBytes, options.sizeBytes);
  if (sizeBytes >= neededBytes) return new SeedTarget(device, options, undefined);
  closeQuietly(device.fd);
  throw new VsimgError('refused', `the device '${path}' has ${sizeBytes} bytes, but ${neededBytes} are needed`, {
    path,
    hint: 'use a larger device',
  });
}

function openSeedFile(path: string, options: SeedTargetOptions): SeedTarget {
  let fd: number | undefined;
  try {
    fd = fs.openSync(path, fs.constants.O_RDWR);
    const lengthBytes = fs.fstatSync(fd).size;
    if (lengthBytes === options.seedBytes || lengthBytes === options.sizeBytes)
      return new SeedTarget({ fd, name: path }, options, lengthBytes);
    throw new VsimgError(
      'refused',
      `'${path}' has ${lengthBytes} bytes, but the version it is said to hold has ${options.seedBytes}`,
      { path, hint: 'name the version that it holds, or write all of it with an export without --seed' },
    );
  } catch (cause) {
    if (fd !== undefined) closeQuietly(fd);
    throw systemError(`cannot open '${path}'`, cause, { path });
  }
}

class SeedTarget implements DataTarget {
  readonly #descriptor: Descriptor;
  readonly #sizeBytes: number;
  readonly #sync: 'on' | 'off';
  readonly #zeroing: Zeroing;
  readonly #giveTurn = turnGiver();
  /** Of a file, when it was opened; undefined for a device, whose length stays. */
  readonly #oldBytes: number | undefined;
  #begun = false;
  #closed = false;

  constructor(descriptor: Descriptor, options: SeedTargetOptions, oldBytes: number | undefined) {
    this.#descriptor = descriptor;
    this.#sizeBytes = options.sizeBytes;
    this.#sync = options.sync ?? 'on';
    this.#zeroing = new Zeroing(descriptor, oldBytes === undefined ? 'device' : 'file');
    this.#oldBytes = oldBytes;
  }

  async data(start: number, bytes: Uint8Array): Promise<void> {
    this.#begin(start + bytes.length);
    writeAt(this.#descriptor, bytes, start);
    await this.#giveTurn();
  }

  async direct(_start: number, end: number): Promise<Descriptor> {
    this.#begin(end);
    return this.#descriptor;
  }

  async hole(start: number, end: number): Promise<void> {
    this.#begin(end);
    // What a file grew by is a hole.
    await this.#zeroing.zero(start, Math.min(end, this.#oldBytes ?? end));
  }

  async finish(sizeBytes: number): Promise<void> {
    this.#begin(sizeBytes);
    if (this.#oldBytes !== undefined && this.#oldBytes > sizeBytes) setLength(this.#descriptor, sizeBytes);
    if (this.#sync === 'on') syncData(this.#descriptor);
    this.abort(); // Which only closes it.
  }

  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#descriptor.fd);
  }

  /**
   * A file gets the larger of its two lengths before all else and the smaller one after all else, so that it never has a
   * third one, by which the next run would not know it.
   */
  #begin(end: number): void {
    const { name } = this.#descriptor;
    if (this.#closed) throw new VsimgError('internal', `'${name}' is written after it was closed`);
    if (end > this.#sizeBytes) throw new VsimgError('internal', `'${name}' is written behind byte ${this.#sizeBytes}`);
    if (this.#begun) return;
    this.#begun = true;
    if (this.#oldBytes !== undefined && this.#oldBytes < this.#sizeBytes) setLength(this.#descriptor, this.#sizeBytes);
  }
}
