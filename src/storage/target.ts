import fs from 'node:fs';
import type { Writable } from 'node:stream';
import { VsimgError } from '../errors.ts';
import { closeQuietly, type Descriptor, syncData, writeAt } from './descriptor.ts';
import { type OpenDevice, openDevice } from './device.ts';
import { NewFile } from './new-file.ts';
import { systemCode, systemError } from './system-error.ts';
import type { DataTarget } from './transfer.ts';
import { turnGiver } from './turns.ts';
import { zeroBytes } from './zero.ts';
import { Zeroing } from './zeroing.ts';

export interface FileTargetOptions {
  /** Replace a regular file of that name. Default: 'exists' is thrown. */
  readonly force?: boolean;
  /** How much will come, if known: a device that is too small is refused before anything is written to it. */
  readonly sizeBytes?: number;
  /** 'off': `finish` does not wait for the disk. Default 'on'. */
  readonly sync?: 'on' | 'off';
  /** As for `FileStorage.open`. */
  readonly locking?: 'on' | 'off';
}

/**
 * Where an export goes: a new file (sparse; appears under its name when it is complete and durable), a block device (written
 * in place, even without `force`), or a named pipe or character device (written from front to back).
 * Errors: 'exists', 'not-found', 'permission', 'locked' for a device in use, 'no-space' for one too small, 'io'.
 */
export function openFileTarget(path: string, options: FileTargetOptions = {}): DataTarget {
  const old = statIfThere(path);
  if (old?.isBlockDevice()) return openDeviceTarget(path, old.rdev, options);
  if (old?.isFIFO() || old?.isCharacterDevice()) {
    const stream = fs.createWriteStream(path);
    return new StreamTarget(stream, `'${path}'`, 'close-at-end');
  }
  const { force = false, sync = 'on', locking = 'on' } = options;
  return new NewFileTarget(NewFile.begin(path, { force, sync, locking }));
}

/**
 * A stream such as standard output, written from front to back at the reader's pace, holes as zeros; it stays open.
 * `name` is for messages. Errors: 'io'; `isBrokenPipe` tells if the reader went away.
 */
export function streamTarget(writable: Writable, name = 'standard output'): DataTarget {
  return new StreamTarget(writable, name, 'leave-open');
}

class NewFileTarget implements DataTarget {
  readonly #file: NewFile;
  readonly #giveTurn = turnGiver();

  constructor(file: NewFile) {
    this.#file = file;
  }

  async data(start: number, bytes: Uint8Array): Promise<void> {
    this.#file.storage.write(bytes, start);
    await this.#giveTurn();
  }

  async direct(): Promise<Descriptor> {
    return this.#file.storage.descriptor;
  }

  async hole(): Promise<void> {
    // The file is new: what is not written is a hole.
  }

  async finish(sizeBytes: number): Promise<void> {
    this.#file.storage.truncate(sizeBytes);
    this.#file.publish();
    this.#file.storage.close();
  }

  abort(): void {
    this.#file.abort();
    this.#file.storage.close();
  }
}

class DeviceTarget implements DataTarget {
  readonly #device: Descriptor;
  readonly #sizeBytes: number;
  readonly #sync: 'on' | 'off';
  readonly #zeroing: Zeroing;
  readonly #giveTurn = turnGiver();
  #position = 0;
  #closed = false;

  constructor({ device, sizeBytes }: OpenDevice, options: Pick<FileTargetOptions, 'sync'>) {
    this.#device = device;
    this.#sizeBytes = sizeBytes;
    this.#zeroing = new Zeroing(device, 'device');
    this.#sync = options.sync ?? 'on';
  }

  async data(start: number, bytes: Uint8Array): Promise<void> {
    await this.#zeroUntil(start);
    this.#assertFits(start + bytes.length);
    writeAt(this.#device, bytes, start);
    // What others write directly is not in order.
    this.#position = Math.max(this.#position, start + bytes.length);
    await this.#giveTurn();
  }

  async direct(start: number, end: number): Promise<Descriptor> {
    await this.#zeroUntil(start);
    this.#assertFits(end);
    this.#position = end;
    return this.#device;
  }

  async hole(start: number, end: number): Promise<void> {
    await this.#zeroUntil(start);
    await this.#zeroUntil(end);
  }

  async finish(sizeBytes: number): Promise<void> {
    await this.#zeroUntil(sizeBytes);
    if (this.#sync === 'on') syncData(this.#device);
    this.abort(); // Which only closes it.
  }

  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeQuietly(this.#device.fd);
  }

  /** A gap the caller left is a hole too; old bytes must not show through. */
  async #zeroUntil(end: number): Promise<void> {
    this.#assertFits(end);
    if (this.#position >= end) return;
    await this.#zeroing.zero(this.#position, end);
    this.#position = end;
  }

  #assertFits(end: number): void {
    if (end > this.#sizeBytes) throw tooSmall(this.#device.name, this.#sizeBytes, end);
    if (this.#closed) throw new VsimgError('internal', `'${this.#device.name}' is written after it was closed`);
  }
}

class StreamTarget implements DataTarget {
  readonly #stream: Writable;
  readonly #name: string;
  readonly #end: 'leave-open' | 'close-at-end';
  #position = 0;
  /** The first failure: later ones only say that the stream is gone. */
  #failure: Error | undefined;

  constructor(stream: Writable, name: string, end: 'leave-open' | 'close-at-end') {
    this.#stream = stream;
    this.#name = name;
    this.#end = end;
    // Failures also come as events, which would end the process if nobody listened.
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  async data(start: number, bytes: Uint8Array): Promise<void> {
    if (start < this.#position) throw new VsimgError('internal', `${this.#name} cannot go back to byte ${start}`);
    await this.#zeroUntil(start);
    await this.#write(bytes);
  }

  async hole(_start: number, end: number): Promise<void> {
    await this.#zeroUntil(end);
  }

  async finish(sizeBytes: number): Promise<void> {
    await this.#zeroUntil(sizeBytes);
    if (this.#end === 'close-at-end') {
      await this.#settled((done) => this.#stream.end((error?: Error | null) => done(error)));
    }
  }

  abort(): void {
    if (this.#end === 'close-at-end') this.#stream.destroy();
  }

  async #zeroUntil(end: number): Promise<void> {
    while (this.#position < end) await this.#write(zeroBytes(end - this.#position));
  }

  /** Waits until the stream is done with the bytes, which paces us and lets the caller reuse them. */
  async #write(bytes: Uint8Array): Promise<void> {
    await this.#settled((done) => this.#stream.write(bytes, done));
    this.#position += bytes.length;
  }

  async #settled(start: (done: (error: Error | null | undefined) => void) => void): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#stream.once('error', reject);
        start((error) => {
          this.#stream.off('error', reject);
          if (error) reject(error);
          else resolve();
        });
      });
    } catch (cause) {
      throw systemError(`cannot write ${this.#name} at byte ${this.#position}`, this.#failure ?? cause);
    }
  }
}

function openDeviceTarget(path: string, deviceNumber: number, options: FileTargetOptions): DeviceTarget {
  const neededBytes = options.sizeBytes;
  const open = openDevice(path, deviceNumber);
  if (neededBytes === undefined || neededBytes <= open.sizeBytes) return new DeviceTarget(open, options);
  closeQuietly(open.device.fd);
  throw tooSmall(path, open.sizeBytes, neededBytes);
}

function tooSmall(path: string, sizeBytes: number, neededBytes: number): VsimgError {
  return new VsimgError('no-space', `the device '${path}' has ${sizeBytes} bytes, but ${neededBytes} are needed`, {
    path,
    hint: 'use a larger device',
  });
}

function statIfThere(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw systemError(`cannot write '${path}'`, cause, { path });
  }
}
