export type Unit = 'x' | 's' | 'ms' | 's/GiB' | 'GB/s' | 'MiB' | 'B' | 'B per GiB' | 'B per extent' | '1/s';

export interface Quantity {
  readonly value: number;
  readonly unit: Unit;
}

/** One measured figure beside its bar. */
export interface Figure extends Quantity {
  readonly what: string;
  /** The bar: the largest allowed value, or the smallest one. */
  readonly atMost?: number;
  readonly atLeast?: number;
  /** What a ratio was reckoned from: medians, or lengths of files. */
  readonly ours?: Quantity;
  readonly peer?: Quantity;
  /** The highest peak of our processes. */
  readonly peakMiB?: number;
}

/** What a group of measurements found. */
export interface Report {
  readonly title: string;
  readonly figures: readonly Figure[];
  /** A Markdown table of another kind. */
  readonly table?: string;
  /** How it was measured, as far as it is not the same for all groups. */
  readonly notes?: readonly string[];
  /** What could not be measured, and why. */
  readonly failures?: readonly string[];
}

export interface Limits {
  readonly atMost?: number;
  readonly atLeast?: number;
}

function number(value: number): string {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}

export function formatQuantity({ value, unit }: Quantity): string {
  return `${number(value)} ${unit}`;
}

export function bytesQuantity(bytes: number): Quantity {
  return { value: bytes / 2 ** 20, unit: 'MiB' };
}

/** Undefined for a figure without a bar. */
export function isMet({ value, atMost, atLeast }: Figure): boolean | undefined {
  if (atMost === undefined && atLeast === undefined) return undefined;
  return value <= (atMost ?? Number.POSITIVE_INFINITY) && value >= (atLeast ?? Number.NEGATIVE_INFINITY);
}

/** `at most 0.35 x: met`, or nothing. */
function formatBar(figure: Figure): string {
  const { atMost, atLeast, unit } = figure;
  const limit = atMost ?? atLeast;
  if (limit === undefined) return '';
  const words = `${atMost === undefined ? 'at least' : 'at most'} ${formatQuantity({ value: limit, unit })}`;
  return `${words}: ${isMet(figure) === true ? 'met' : '**missed**'}`;
}

/** A ratio of two quantities of the same unit. */
export function ratio(
  what: string,
  ours: Quantity,
  peer: Quantity,
  limits: Limits & { peakMiB?: number } = {},
): Figure {
  return { what, value: ours.value / peer.value, unit: 'x', ours, peer, ...limits };
}

/** A Markdown table, as it stands in the README. */
export function formatReport({ title, figures, table, notes = [], failures = [] }: Report): string {
  const columns: readonly (readonly [string, (figure: Figure) => string])[] = [
    ['what', ({ what }) => what],
    ['measured', formatQuantity],
    ['bar', formatBar],
    ['ours', ({ ours }) => (ours === undefined ? '' : formatQuantity(ours))],
    ['peer', ({ peer }) => (peer === undefined ? '' : formatQuantity(peer))],
    ['peak memory', ({ peakMiB }) => (peakMiB === undefined ? '' : formatQuantity({ value: peakMiB, unit: 'MiB' }))],
  ];
  // What no figure of the group has takes no column.
  const used = columns.filter(([, cell]) => figures.some((figure) => cell(figure) !== ''));
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    `\n## ${title}\n`,
    ...(figures.length === 0 ? [] : [line(used.map(([name]) => name)), line(used.map(() => '---'))]),
    ...figures.map((figure) => line(used.map(([, cell]) => cell(figure)))),
    ...(table === undefined ? [] : [table]),
    ...(notes.length + failures.length === 0 ? [] : ['']),
    ...notes.map((note) => `- ${note}`),
    ...failures.map((failure) => `- **Not measured**: ${failure}`),
  ].join('\n');
}
