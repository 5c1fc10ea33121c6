import { ByteReader, ByteWriter } from '../format/cursor.ts';
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

/** The length that a record of a space tree says. */
export function lengthOf(value: Uint8Array): number {
  return new ByteReader(value, 'free space').varint();
}

export function encodeLength(length: number): Uint8Array {
  const writer = new ByteWriter(9);
  writer.varint(length);
  return writer.finish();
}
