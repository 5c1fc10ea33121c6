import type { CommandContext } from '../cli/context.ts';
import type { OptionDefinition } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { plural } from '../cli/number.ts';
import { oneLine } from '../cli/table.ts';
import { VsimgError } from '../errors.ts';
import type { UnreadableRange } from '../image/api.ts';

/** More lines than anybody reads; the error at the end counts all. */
const MAX_LINES = 1000;

export const IGNORE_ERRORS_OPTION: OptionDefinition = {
  name: 'ignore-errors',
  description: 'go on where the image is damaged: zeros take the place of what can not be read',
};

/** What could not be read in a command with `--ignore-errors`: told on stderr as it comes, and at the end. */
export class Unreadable {
  readonly #context: CommandContext;
  readonly #ranges: UnreadableRange[] = [];
  #count = 0;
  #lengthBytes = 0;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  add(range: UnreadableRange): void {
    this.#count++;
    this.#lengthBytes += range.lengthBytes;
    if (this.#ranges.length === MAX_LINES) return;
    this.#ranges.push(range);
    const { output } = this.#context;
    if (output.quiet || output.format === 'json') return;
    const end = range.guestOffset + range.lengthBytes;
    output.tell(oneLine(`vsimg: bytes ${range.guestOffset} to ${end} of the disk: ${range.message}`));
  }

  describe(): JsonObject[] {
    return this.#ranges.map(({ guestOffset, lengthBytes, message }) => ({
      'guest-offset': guestOffset,
      length: lengthBytes,
      message,
    }));
  }

  /** Errors: 'corrupt' if there was anything; what is readable was written all the same. */
  finish(path: string): void {
    if (this.#count === 0) return;
    throw new VsimgError(
      'corrupt',
      `${path}: ${plural(this.#lengthBytes, 'byte')} in ${plural(this.#count, 'range')} can not be read: zeros were written in their place`,
      { path, hint: "'vsimg check --data' says which versions are damaged" },
    );
  }
}
