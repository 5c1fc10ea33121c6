import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Descriptor, readAt, writeAt } from './descriptor.ts';
import { systemError } from './system-error.ts';

/** A file without a name, for data that need not fit into memory and that nobody else may see; it goes with the process. */
export class ScratchFile {
  readonly #descriptor: Descriptor;
  #isOpen = true;

  private constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** In the directory for temporary files. Errors: 'permission', 'no-space', 'io'. */
  static open(): ScratchFile {
    const random = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex');
    const path = join(tmpdir(), `vsimg-scratch-${random}`);
    try {
      const fd = fs.openSync(path, 'wx+', 0o600);
      fs.unlinkSync(path);
      return new ScratchFile({ fd, name: path });
    } catch (cause) {
      throw systemError(`cannot create '${path}'`, cause, { path });
    }
  }

  /** Fills `into` from `position` on, with zeros behind what was written. Errors: 'io'. */
  read(into: Uint8Array, position: number): void {
    into.fill(0, readAt(this.#descriptor, into, position));
  }

  /** Errors: 'no-space', 'io'. */
  write(bytes: Uint8Array, position: number): void {
    writeAt(this.#descriptor, bytes, position);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    fs.closeSync(this.#descriptor.fd);
  }
}
