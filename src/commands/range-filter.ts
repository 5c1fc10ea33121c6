import type { Output } from '../cli/output.ts';
import { parseSize } from '../cli/size.ts';
import { VsimgError } from '../errors.ts';
import type { VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';

/** A part of the disk; without an end it goes to the end of the disk, which each version may have elsewhere. */
export interface OpenRange {
  readonly start: number;
  readonly end: number | undefined;
}

/** `OFF:LEN` as the user writes it; `OFF:` goes to the end, and `:LEN` begins at the start. Errors: 'usage'. */
export function parseRange(text: string): OpenRange {
  const [offset, length, ...more] = text.split(':');
  if (offset === undefined || length === undefined || more.length > 0 || text === ':') {
    throw new VsimgError('usage', `--range '${text}' is not a range`, { hint: 'write OFFSET:LENGTH, such as 1M:64k' });
  }
  const start = parseSize(offset === '' ? '0' : offset, 'the offset of --range');
  if (length === '') return { start, end: undefined };
  const lengthBytes = parseSize(length, 'the length of --range');
  if (lengthBytes === 0) throw new VsimgError('usage', `--range '${text}' is empty`, { hint: 'give a longer one' });
  return { start, end: start + lengthBytes };
}

interface Disks {
  readonly path: string;
  /** Of the state that was named. */
  readonly sizeBytes: number;
  /** Others that may be larger; asked only if that one is too small. */
  readonly versions: Iterable<VersionInfo>;
}

/** Errors: 'refused' for a range that reaches beyond the end of all disks. */
export async function requireOnDisk(ranges: readonly OpenRange[], { path, sizeBytes, versions }: Disks): Promise<void> {
  const outer = ranges.reduce((a, b) => ((a.end ?? a.start) < (b.end ?? b.start) ? b : a));
  const needed = outer.end ?? outer.start;
  if (needed <= sizeBytes) return;
  const giveTurn = turnGiver();
  for (const version of versions) {
    if (needed <= version.sizeBytes) return;
    const turn = giveTurn();
    if (turn !== undefined) await turn;
  }
  const what = outer.end === undefined ? `byte ${outer.start} lies` : `bytes ${outer.start} to ${outer.end} reach`;
  throw new VsimgError('refused', `${what} beyond the end of the disk, which has ${sizeBytes} bytes`, {
    path,
    hint: 'give a smaller offset or length',
  });
}

/** Versions that changed something in given parts of the disk. */
export class RangeFilter {
  readonly #image: Image;
  readonly #ranges: readonly ByteRange[];
  readonly #known = new Map<number, boolean>();
  readonly #giveTurn = turnGiver();

  constructor(image: Image, ranges: readonly OpenRange[]) {
    this.#image = image;
    this.#ranges = ranges.map(({ start, end = Number.MAX_SAFE_INTEGER }) => ({ start, end }));
  }

  /** At most `count` of `versions`; nothing more when the output is closed. */
  async *select(
    versions: Iterable<VersionInfo>,
    { output, count }: { readonly output: Output; readonly count: number },
  ): AsyncGenerator<VersionInfo> {
    let left = count;
    if (left <= 0) return;
    for (const version of versions) {
      if (output.closed) return;
      if (!(await this.#changed(version.number))) continue;
      yield version;
      left -= 1;
      if (left <= 0) return;
    }
  }

  /** The nearest version above that is selected: what a graph leads to. */
  async parentOf(version: VersionInfo): Promise<number | null> {
    let { parent } = version;
    while (parent !== null && !(await this.#changed(parent))) parent = this.#image.version(parent).parent;
    return parent;
  }

  async #changed(number: number): Promise<boolean> {
    const changed = this.#known.get(number) ?? this.#image.history.changed(number, this.#ranges);
    this.#known.set(number, changed);
    const turn = this.#giveTurn();
    if (turn !== undefined) await turn;
    return changed;
  }
}
