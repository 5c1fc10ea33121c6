import type { Output } from '../cli/output.ts';
import { parseSize } from '../cli/size.ts';
import { VsimgError } from '../errors.ts';
import type { VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';

/** `OFF:LEN` as the user writes it. Errors: 'usage'. */
export function parseRange(text: string): ByteRange {
  const [offset, length, ...more] = text.split(':');
  if (offset === undefined || length === undefined || more.length > 0) {
    throw new VsimgError('usage', `--range '${text}' is not a range`, { hint: 'write OFFSET:LENGTH, such as 1M:64k' });
  }
  const start = parseSize(offset, 'the offset of --range');
  const lengthBytes = parseSize(length, 'the length of --range');
  if (lengthBytes === 0) throw new VsimgError('usage', `--range '${text}' is empty`, { hint: 'give a longer one' });
  return { start, end: start + lengthBytes };
}

/** Versions that changed something in given parts of the disk. */
export class RangeFilter {
  readonly #image: Image;
  readonly #ranges: readonly ByteRange[];
  readonly #known = new Map<number, boolean>();
  readonly #giveTurn = turnGiver();

  constructor(image: Image, ranges: readonly ByteRange[]) {
    this.#image = image;
    this.#ranges = ranges;
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
