import { platform } from 'node:process';
import { type Descriptor, writeAt } from './descriptor.ts';
import { nativeFs } from './native-fs.ts';
import { turnGiver } from './turns.ts';
import { zeroBytes } from './zero.ts';

/** One call for a whole disk could hold up signals for minutes. */
const MAX_PUNCH_BYTES = 1_073_741_824;

/**
 * Holes begin and end at multiples of this. For a device: at least the logical block size of every device and the page size
 * of most kernels. For a file: what most file systems allocate by.
 */
const PUNCH_ALIGNMENT_BYTES = { device: 65_536, file: 4096 } as const;

/** Makes parts of an open file or device read as zeros: by holes where that works, else by writing zeros. */
export class Zeroing {
  readonly #descriptor: Descriptor;
  readonly #alignmentBytes: number;
  readonly #giveTurn = turnGiver();
  #canPunch: boolean;

  constructor(descriptor: Descriptor, kind: 'file' | 'device') {
    this.#descriptor = descriptor;
    this.#alignmentBytes = PUNCH_ALIGNMENT_BYTES[kind];
    // Linux defines punching a hole in a block device as making it read as zeros, or refusing (`blkdev_fallocate`, since
    // 4.9); elsewhere it may leave the old bytes. In a file a hole reads as zeros everywhere.
    this.#canPunch = kind === 'file' || platform === 'linux';
  }

  /** Errors: as `writeAt`. */
  async zero(start: number, end: number): Promise<void> {
    for (let at = start; at < end; ) {
      const punchStart = Math.ceil(at / this.#alignmentBytes) * this.#alignmentBytes;
      const punchEnd = Math.min(
        Math.floor(end / this.#alignmentBytes) * this.#alignmentBytes,
        punchStart + MAX_PUNCH_BYTES,
      );
      if (punchStart === at && punchStart < punchEnd && this.#punch(punchStart, punchEnd)) {
        at = punchEnd;
      } else {
        const zeros = zeroBytes((punchStart > at ? Math.min(punchStart, end) : end) - at);
        writeAt(this.#descriptor, zeros, at);
        at += zeros.length;
      }
      await this.#giveTurn();
    }
  }

  #punch(start: number, end: number): boolean {
    if (!this.#canPunch) return false;
    const native = nativeFs();
    try {
      if ('failure' in native) this.#canPunch = false;
      else native.module.trimSync(this.#descriptor.fd, start, end - start);
    } catch {
      this.#canPunch = false;
    }
    return this.#canPunch;
  }
}
