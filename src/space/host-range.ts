import type { HostRange } from '../format/header.ts';

export type { HostRange } from '../format/header.ts';

export function totalOf(ranges: readonly HostRange[]): number {
  return ranges.reduce((total, { start, end }) => total + end - start, 0);
}

/** Sorted, with touching ranges joined that are of one kind. */
export function joinRanges<R extends HostRange>(ranges: readonly R[], kindOf: (range: R) => unknown = () => 0): R[] {
  const result: R[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = result[result.length - 1];
    if (last !== undefined && last.end === range.start && kindOf(last) === kindOf(range))
      result[result.length - 1] = { ...last, end: range.end };
    else result.push(range);
  }
  return result;
}
