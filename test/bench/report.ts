/** One measured figure beside its bar; `bar` is the largest allowed value. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly bar?: number;
  readonly unit: string;
}

function number(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

/** A Markdown table, as it stands in the README. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  console.log(`\n## ${title}\n\n| what | measured | bar |\n|---|---|---|`);
  for (const { what, value, bar, unit } of figures) {
    console.log(
      `| ${what} | ${number(value)} ${unit} | ${bar === undefined ? '' : `${number(bar)} ${unit}${value <= bar ? '' : ' (missed)'}`} |`,
    );
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
