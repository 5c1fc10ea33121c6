import { parseCalendarSpan } from '../cli/calendar-span.ts';
import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { inSmallHeap } from '../cli/heap.ts';
import type { Invocation } from '../cli/invocation.ts';
import type { JsonObject } from '../cli/json.ts';
import { parseCount, plural } from '../cli/number.ts';
import { formatSize } from '../cli/size.ts';
import { displayWidth, fitWidth, pad, subject } from '../cli/table.ts';
import { parseImage } from '../cli/target.ts';
import { formatTime, stampSeconds } from '../cli/time.ts';
import { describeVersion } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { ForgetReport, GcReport, KeepPolicy, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { turnGiver } from '../storage/turns.ts';
import { withImage } from './opening.ts';
import { lostTagLines } from './removal.ts';

const COUNTS = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
/** Longer reasons move what is behind them. */
const MAX_REASONS_COLUMNS = 36;

export const definition: CommandDefinition = {
  description: 'Removes all versions that no rule keeps and nothing protects, as restic forget does.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [
    { name: 'keep-last', value: 'N', description: "keep the newest N versions ('unlimited': all)" },
    { name: 'keep-hourly', value: 'N', description: 'for the last N hours with versions, keep the newest of each' },
    { name: 'keep-daily', value: 'N', description: 'the same for days' },
    { name: 'keep-weekly', value: 'N', description: 'the same for weeks, which begin on Mondays' },
    { name: 'keep-monthly', value: 'N', description: 'the same for months' },
    { name: 'keep-yearly', value: 'N', description: 'the same for years' },
    {
      name: 'keep-within',
      value: 'SPAN',
      description: 'keep all that are less than so much older than the newest one, such as 1y5m7d2h',
    },
    {
      name: 'keep-tag',
      value: 'NAME',
      repeats: true,
      description: "keep versions with this tag; '*' stands for any characters, '?' for one",
    },
    { short: 'n', name: 'dry-run', description: 'only say what would be removed' },
    {
      name: 'gc',
      description: "then give the space back, as 'vsimg gc' does; with --dry-run, say how long the file would be",
    },
  ],
  access: 'writes',
  examples: [
    {
      command: 'vsimg forget disk.vsi --keep-last 3 --keep-daily 7 --keep-weekly 5 --dry-run',
      explanation: 'what would go?',
    },
    { command: 'vsimg forget disk.vsi --keep-within 1m --gc', explanation: 'a month of history, and the space back' },
    { command: "vsimg forget disk.vsi --keep-tag 'v*'", explanation: 'only releases' },
  ],
  details: [
    'A version stays if any rule keeps it; without a rule nothing is removed (status 64). Whatever the rules say, the version ' +
      "checked out stays, and the newest of each branch, and those that are locked with 'vsimg tag --lock'. They count for the " +
      'rules as all others do. Tags of a version that is removed go with it.',
    'Rules go by the date of a version, from the newest to the oldest, in UTC. While a rule has not found as many versions as ' +
      "it may keep, it also keeps the oldest one ('oldest daily'). --keep-within measures from the newest version that is not " +
      'in the future; SOURCE_DATE_EPOCH stands for the present if it is set.',
    'Either all versions of the list are removed or, after an error, none. A version whose parent is gone then comes from the ' +
      "nearest one before it that stayed. The space comes back with 'vsimg gc'.",
  ],
  statuses: [
    { status: EXIT_STATUS.usage, meaning: 'no rule is given, or a bad one' },
    { status: EXIT_STATUS['not-found'], meaning: 'there is no tag of the name to keep' },
    { status: EXIT_STATUS.locked, meaning: 'another process writes the image' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, io, output, progress } = context;
  const path = parseImage(args.operand(0));
  const policy = parsePolicy(args);
  const dryRun = args.has('dry-run');
  const nowSeconds = stampSeconds(io.env, io.now());
  return withImage(context, { path, mode: dryRun ? 'read-long' : 'write' }, async (image) => {
    const { fileBytes } = image.info().space;
    const report = await image.edits.forget(policy, { dryRun, nowSeconds });
    const numbers = report.removed.map(({ number }) => String(number));
    const collect = async (): Promise<FileLength> => {
      if (dryRun) return image.reclaim(numbers);
      const { fileBytesAfter } = await inSmallHeap(() => image.gc({ onProgress: progress.start('gc') }));
      return { fileBytesBefore: fileBytes, fileBytesAfter };
    };
    const length = args.has('gc') ? await collect() : null;
    const print = output.format === 'json' ? printJson : printText;
    await print(context, image, { path, dryRun, report, length });
    return 0;
  });
}

function parsePolicy(args: Invocation): KeepPolicy {
  const within = args.value('keep-within');
  const counts = COUNTS.flatMap((name) => {
    const text = args.value(`keep-${name}`);
    if (text === undefined) return [];
    return [[name, parseKeptCount(text, `--keep-${name}`)] as const];
  });
  return {
    ...Object.fromEntries(counts),
    tags: args.values('keep-tag'),
    ...(within === undefined ? {} : { within: parseCalendarSpan(within, '--keep-within') }),
  };
}

/** Other programs write -1 for what is 'unlimited' here. */
function parseKeptCount(text: string, what: string): number {
  if (text === 'unlimited') return Number.POSITIVE_INFINITY;
  if (/^\d/.test(text)) return parseCount(text, what);
  throw new VsimgError('usage', `${what} '${text}' is not a number`, {
    hint: "give one such as 10, or 'unlimited' to keep all",
  });
}

/** Before the versions go, and after gc. */
type FileLength = Pick<GcReport, 'fileBytesBefore' | 'fileBytesAfter'>;

interface Outcome {
  readonly path: string;
  readonly dryRun: boolean;
  readonly report: ForgetReport;
  /** Null without gc. */
  readonly length: FileLength | null;
}

async function printJson({ output }: CommandContext, image: Image, outcome: Outcome): Promise<void> {
  const { path, dryRun, report, length } = outcome;
  const giveTurn = turnGiver();
  const keep: JsonObject[] = [];
  for (const { number, reasons } of report.kept) {
    keep.push({ ...describeVersion(image.version(number)), reasons });
    await giveTurn();
  }
  const list = output.list();
  await list.open({ filename: path, 'dry-run': dryRun, keep }, 'remove');
  for (const version of report.removed) await list.item(describeVersion(version));
  await list.close({
    'deleted-tags': report.removed.flatMap(({ tags }) => tags),
    'reclaimed-bytes': length === null ? null : length.fileBytesBefore - length.fileBytesAfter,
  });
}

async function printText({ io, output }: CommandContext, image: Image, outcome: Outcome): Promise<void> {
  const { dryRun, report, length } = outcome;
  const { kept, removed } = report;
  // What a dry run would do is what was asked for; what was done is not.
  if (output.quiet && !dryRun) return;
  const giveTurn = turnGiver();
  const layout = columnsOf(report);
  const row = (version: VersionInfo, reasons: string): Promise<void> =>
    output.line(fitWidth(rowText(version, reasons, layout), io.columns));
  await output.line(`keep ${plural(kept.length, 'version')}${kept.length === 0 ? '' : ':'}`);
  for (const { number, reasons } of kept) {
    if (output.closed) return;
    await row(image.version(number), reasons.join(', '));
    await giveTurn();
  }
  await output.line(`remove ${plural(removed.length, 'version')}${removed.length === 0 ? '' : ':'}`);
  for (const version of removed) {
    if (output.closed) return;
    await row(version, version.tags.map((tag) => `(tag ${tag})`).join(', '));
    await giveTurn();
  }
  const change = length && `${formatSize(length.fileBytesBefore)} -> ${formatSize(length.fileBytesAfter)}`;
  if (dryRun) {
    await output.message(`nothing was removed: this was a dry run${change === null ? '' : ` (with gc: ${change})`}`);
    return;
  }
  for (const line of lostTagLines(removed)) await output.message(line);
  if (change !== null) {
    await output.message(`${plural(removed.length, 'version')} removed: ${change}`);
  } else if (removed.length > 0) {
    await output.message(`${plural(removed.length, 'version')} removed; 'vsimg gc' gives the space back`);
  }
}

interface Columns {
  readonly number: number;
  readonly reasons: number;
}

function columnsOf({ kept, removed }: ForgetReport): Columns {
  const widest = { number: 1, reasons: 0 };
  for (const { number, reasons } of kept) {
    widest.number = Math.max(widest.number, String(number).length);
    widest.reasons = Math.max(widest.reasons, displayWidth(reasons.join(', ')));
  }
  for (const { number } of removed) widest.number = Math.max(widest.number, String(number).length);
  return { ...widest, reasons: Math.min(widest.reasons, MAX_REASONS_COLUMNS) };
}

function rowText(version: VersionInfo, reasons: string, columns: Columns): string {
  const { number, timeSeconds, message } = version;
  const cells = [
    pad(String(number), columns.number, 'right'),
    formatTime(timeSeconds),
    pad(reasons, columns.reasons, 'left'),
    subject(message),
  ];
  return `  ${cells.join('  ')}`.trimEnd();
}
