import { ByteReader, type ByteWriter } from './cursor.ts';
import { MAX_BLOCKS } from './extent-page.ts';

/**
 * For which guest blocks the blocks of a segment were written, in the order of the log.
 *
 *     varint  number of runs, then for each
 *     signed  its first guest block as a difference to the end of the run before (first: to 0)
 *     varint  length in blocks
 */
export interface GuestRun {
  readonly start: number;
  readonly length: number;
}

export interface GuestRuns extends Iterable<GuestRun> {
  readonly length: number;
}

export function writeRuns(writer: ByteWriter, runs: GuestRuns): void {
  writer.varint(runs.length);
  let guestEnd = 0;
  for (const run of runs) {
    writer.signed(run.start - guestEnd);
    writer.varint(run.length);
    guestEnd = run.start + run.length;
  }
}

/** Verifies runs of `blockCount` blocks together, and makes objects of them only for whoever asks. Errors: 'corrupt'. */
export function readRuns(reader: ByteReader, blockCount: number): GuestRuns {
  const count = reader.varint();
  if (count * 2 > reader.remaining) reader.fail(`claims ${count} guest runs`);
  const from = reader.position;
  let end = 0;
  let total = 0;
  for (let index = 0; index < count; index++) {
    const start = end + reader.signed();
    const length = reader.varint();
    if (start < 0 || length === 0 || start + length > MAX_BLOCKS) reader.fail('guest run is out of range');
    end = start + length;
    total += length;
  }
  if (count > 0 && total !== blockCount) reader.fail('guest runs are not as long as the segment');
  return new EncodedRuns(count, reader.bytes.subarray(from, reader.position));
}

class EncodedRuns implements GuestRuns {
  readonly length: number;
  readonly #bytes: Uint8Array;

  constructor(length: number, bytes: Uint8Array) {
    this.length = length;
    this.#bytes = bytes;
  }

  *[Symbol.iterator](): Generator<GuestRun> {
    const reader = new ByteReader(this.#bytes, 'guest runs');
    let end = 0;
    for (let index = 0; index < this.length; index++) {
      const start = end + reader.signed();
      const length = reader.varint();
      yield { start, length };
      end = start + length;
    }
  }
}
