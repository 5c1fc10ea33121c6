import type { HostRange } from '../format/header.ts';

export function totalOf(ranges: readonly HostRange[]): number {
  return ranges.reduce((total, { start, end }) => total + end - start, 0);
}

/** Sorted, with touching ranges joined. */
export function joinRanges(ranges: readonly HostRange[]): HostRange[] {
  const result: HostRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = result[result.length - 1];
    if (last !== undefined && last.end === range.start)
      result[result.length - 1] = { start: last.start, end: range.end };
    else result.push(range);
  }
  return result;
}
