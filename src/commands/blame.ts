import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import { PART_OPTIONS, parsePart } from '../cli/disk-part.ts';
import { inSmallHeap } from '../cli/heap.ts';
import { fitWidth, pad, subject } from '../cli/table.ts';
import { parseTarget } from '../cli/target.ts';
import { formatTime } from '../cli/time.ts';
import { describeVersion, shortId } from '../cli/version-view.ts';
import { EXIT_STATUS } from '../errors.ts';
import type { DiskPart } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Shows for each range of the disk which version changed it last.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image and, if not its working state, a version' },
  ],
  options: [REVISION_OPTION, ...PART_OPTIONS],
  access: 'reads',
  examples: [
    { command: 'vsimg blame disk.vsi', explanation: 'who wrote what' },
    { command: 'vsimg blame disk.vsi@v2 --offset 1M --length 64k', explanation: 'the same of a part of version v2' },
    {
      command: "vsimg blame disk.vsi --json | jq '.ranges[] | select(.version == null)'",
      explanation: 'what is not committed yet',
    },
  ],
  details: [
    'Each line is the beginning of an id, the number of the version, its date, an offset and a length in bytes, and the message. ' +
      "What is not committed yet has the id 00000000 and no version. Ranges that read as zeros are marked with 'zero'; what " +
      'was never written is left out.',
    'Ranges are found by comparing the maps of versions, as diff does: the newest version that diff shows a range for is ' +
      'the one. Growing the disk counts as a change of what it grew by. For what a deleted version changed, it is its next ' +
      'descendant that still exists.',
    "With --json 'version' is null for what is not committed yet and 0 for what was never written; 'versions' describes all " +
      'others.',
  ],
  statuses: [{ status: EXIT_STATUS.refused, meaning: 'the range reaches beyond the end of the disk' }],
};

/** Of the descriptions that are kept: there may be many versions, each with a long line as its message. */
const KEPT_CHARACTERS = 4 * 1024 * 1024;
const NOT_COMMITTED: VersionTexts = { id: '00000000', version: '-', date: '-', message: 'not committed yet' };

export async function run(context: CommandContext): Promise<number> {
  const { path, rev } = parseTarget(context.args.operand(0), context.args.value('revision'));
  const part = { rev, ...parsePart(context.args) };
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const print = context.output.format === 'json' ? printJson : printText;
    await inSmallHeap(() => print(context, image, part));
    return 0;
  });
}

async function printJson({ output }: CommandContext, image: Image, part: DiskPart): Promise<void> {
  const { rev } = part;
  const list = output.list();
  const numbers = new Set<number>();
  // What fails does so before anything is printed.
  const ranges = image.history.blame(part);
  let next = await ranges.next();
  const version = rev === null ? null : image.resolve(rev);
  await list.open({ filename: image.path, version, 'virtual-size': image.sizeOf(rev) }, 'ranges');
  for (; next.done !== true && !output.closed; next = await ranges.next()) {
    const { start, length, kind, version } = next.value;
    await list.item({ start, length, kind, version });
    if (version !== null && version !== 0) numbers.add(version);
  }
  await list.openAnother('versions');
  const giveTurn = turnGiver();
  for (const number of [...numbers].sort((a, b) => a - b)) {
    if (output.closed) break;
    await list.item(describeVersion(image.version(number)));
    await giveTurn();
  }
  await list.close();
}

async function printText({ output, io }: CommandContext, image: Image, part: DiskPart): Promise<void> {
  const paint = await output.paint();
  const { start: first, end = image.sizeOf(part.rev) } = part;
  const newest = part.rev === null ? image.info().head.version : image.resolve(part.rev);
  const width = (greatest: number): number => String(greatest).length;
  const widths = { version: width(newest ?? 0), offset: width(end), length: width(Math.max(0, end - first)) };
  const known = new KnownVersions(image);
  for await (const { start, length, kind, version } of image.history.blame(part)) {
    if (output.closed) return;
    if (version === 0) continue;
    const { id, ...what } = version === null ? NOT_COMMITTED : known.texts(version);
    const place = `${pad(String(start), widths.offset, 'right')} ${pad(String(length), widths.length, 'right')}`;
    const who = `${pad(what.version, widths.version, 'right')} ${pad(what.date, 20, 'left')}`;
    const line = `${id} ${who} ${place} ${kind === 'zero' ? 'zero: ' : ''}${what.message}`.trimEnd();
    const shown = io.stdoutIsTerminal ? fitWidth(line, io.columns) : line;
    await output.line(paint.version(shown.slice(0, id.length)) + shown.slice(id.length));
  }
}

interface VersionTexts {
  readonly id: string;
  readonly version: string;
  readonly date: string;
  readonly message: string;
}

/** What lines say of versions, most of which own many ranges. */
class KnownVersions {
  readonly #image: Image;
  readonly #texts = new Map<number, VersionTexts>();
  #characters = 0;

  constructor(image: Image) {
    this.#image = image;
  }

  texts(number: number): VersionTexts {
    const known = this.#texts.get(number);
    if (known !== undefined) return known;
    const { id, timeSeconds, message } = this.#image.version(number);
    const texts = {
      id: shortId(id),
      version: String(number),
      date: formatTime(timeSeconds),
      message: subject(message),
    };
    if (this.#characters > KEPT_CHARACTERS) {
      this.#texts.clear();
      this.#characters = 0;
    }
    this.#texts.set(number, texts);
    this.#characters += texts.message.length;
    return texts;
  }
}
