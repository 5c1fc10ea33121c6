import type { Output } from '../cli/output.ts';
import { streamTarget } from '../storage/target.ts';
import type { DataTarget } from '../storage/transfer.ts';
import { zeroBytes } from '../storage/zero.ts';

/** What a pipe takes before anybody reads from it: writing so much at once keeps no signal waiting. */
const PIPE_BYTES = 65_536;

/** Standard output for `lengthBytes` of data. For few bytes Node's stream, which takes 2.5 ms to build, is not needed. */
export function standardOutput(output: Output, lengthBytes: number): DataTarget {
  return lengthBytes <= PIPE_BYTES ? new ShortOutput(output) : streamTarget(output.stream);
}

/** For pieces without gaps. */
class ShortOutput implements DataTarget {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  async data(_start: number, bytes: Uint8Array): Promise<void> {
    await this.#output.bytes(bytes);
  }

  async hole(start: number, end: number): Promise<void> {
    await this.#output.bytes(zeroBytes(end - start));
  }

  async finish(): Promise<void> {
    // It stays open.
  }

  abort(): void {
    // What is written is written.
  }
}
