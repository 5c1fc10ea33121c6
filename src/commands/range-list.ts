import type { JsonObject } from '../cli/json.ts';
import { parseCount, plural } from '../cli/number.ts';
import type { Output, OutputFormat } from '../cli/output.ts';
import { formatSize } from '../cli/size.ts';
import { pad } from '../cli/table.ts';
import type { DiffRange } from '../image/api.ts';
import { turnGiver } from '../storage/turns.ts';

/** What ranges come to. */
export interface Totals {
  rangeCount: number;
  readonly bytes: Record<DiffRange['kind'], number>;
}

/** So many ranges are listed in text beside other things; 'vsimg diff' lists all. */
export const SHOWN_RANGES = 20;

/** How many ranges `-n` says to list. Errors: 'usage'. */
export function listLimit(maxCount: string | undefined, format: OutputFormat): number {
  if (maxCount !== undefined) return parseCount(maxCount, '-n');
  return format === 'json' ? Number.POSITIVE_INFINITY : SHOWN_RANGES;
}

/** Counts the ranges and shows each to `visit`, until that returns false. */
export async function eachRange(
  ranges: Iterable<DiffRange>,
  visit: (range: DiffRange) => Promise<boolean>,
): Promise<Totals> {
  const totals: Totals = { rangeCount: 0, bytes: { data: 0, zero: 0, hole: 0 } };
  const giveTurn = turnGiver();
  for (const range of ranges) {
    totals.rangeCount += 1;
    totals.bytes[range.kind] += range.length;
    if (!(await visit(range))) break;
    const turn = giveTurn();
    if (turn !== undefined) await turn;
  }
  return totals;
}

/** `2 ranges, 20 KiB: 8 KiB data, 12 KiB zero, 0 B hole`. */
export function totalsLine({ rangeCount, bytes }: Totals): string {
  const sum = bytes.data + bytes.zero + bytes.hole;
  const kinds = (['data', 'zero', 'hole'] as const).map((kind) => `${formatSize(bytes[kind])} ${kind}`);
  return rangeCount === 0
    ? 'no differences'
    : `${plural(rangeCount, 'range')}, ${formatSize(sum)}: ${kinds.join(', ')}`;
}

function describeTotals({ rangeCount, bytes }: Totals): JsonObject {
  return { 'range-count': rangeCount, 'data-bytes': bytes.data, 'zero-bytes': bytes.zero, 'hole-bytes': bytes.hole };
}

export interface RangeListing {
  /** Ranges that are listed; all are counted. */
  readonly limit: number;
  /** No range ends behind it. */
  readonly sizeBytes: number;
}

/** The first ranges as a table, and how many more there are. */
export async function printRanges(
  output: Output,
  ranges: Iterable<DiffRange>,
  { limit, sizeBytes }: RangeListing,
): Promise<Totals> {
  const table = new RangeTable(output, sizeBytes);
  let seen = 0;
  const totals = await eachRange(ranges, async (range) => {
    if (seen < limit) await table.row(range);
    seen += 1;
    return !output.closed;
  });
  const more = totals.rangeCount - limit;
  if (limit > 0 && more > 0) await output.line(`... and ${plural(more, 'more range')} (-n N lists N)`);
  return totals;
}

/** A document that ends in the first ranges and what all come to; without a list for `limit` 0. */
export async function printJsonRanges(
  output: Output,
  head: JsonObject,
  ranges: Iterable<DiffRange>,
  { limit }: { readonly limit: number },
): Promise<Totals> {
  if (limit === 0) {
    const totals = await eachRange(ranges, async () => !output.closed);
    await output.document({ ...head, ...describeTotals(totals) });
    return totals;
  }
  const list = output.list();
  await list.open(head, 'ranges');
  let seen = 0;
  const totals = await eachRange(ranges, async ({ start, length, kind }) => {
    if (seen < limit) await list.item({ start, length, kind });
    seen += 1;
    return !output.closed;
  });
  await list.close(describeTotals(totals));
  return totals;
}

/** Ranges as a table, printed as they come; its title only if there are any. */
export class RangeTable {
  private readonly output: Output;
  private readonly width: number;
  private rows = 0;

  /** `sizeBytes`: no range ends behind it. */
  constructor(output: Output, sizeBytes: number) {
    this.output = output;
    this.width = Math.max(6, String(sizeBytes).length);
  }

  async row({ start, length, kind }: DiffRange): Promise<void> {
    if (this.rows === 0) await this.line('Offset', 'Length', 'Kind');
    await this.line(String(start), String(length), kind);
    this.rows += 1;
  }

  private line(offset: string, length: string, kind: string): Promise<void> {
    return this.output.line(`${pad(offset, this.width, 'right')}  ${pad(length, this.width, 'right')}  ${kind}`);
  }
}
