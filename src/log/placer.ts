import { VsimgError } from '../errors.ts';
import type { HostRange } from '../format/header.ts';

/** Gives chunks their places in ranges of the container, always in the same way: whoever plays it again gets the same places. */
export class ChunkPlacer {
  readonly #left: HostRange[];

  constructor(spans: readonly HostRange[]) {
    this.#left = spans.map(({ start, end }) => ({ start, end }));
  }

  /** Errors: 'internal' when no range has room. */
  place(lengthBytes: number): number {
    const index = this.#left.findIndex(({ start, end }) => end - start >= lengthBytes);
    const range = this.#left[index];
    if (range === undefined) throw new VsimgError('internal', `no room for a chunk of ${lengthBytes} bytes`);
    this.#left[index] = { start: range.start + lengthBytes, end: range.end };
    return range.start;
  }

  /** What no chunk has taken. */
  get left(): HostRange[] {
    return this.#left.filter(({ start, end }) => end > start);
  }
}
