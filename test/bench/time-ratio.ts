import { type Figure, type Limits, ratio } from './report.ts';
import type { Measured } from './workbench.ts';

/** The medians of both, and the peak memory of ours. */
export function timeRatio(what: string, ours: Measured, peer: Measured, limits: Limits = {}): Figure {
  const seconds = ({ seconds: value }: Measured) =>
    value < 0.2 ? ({ value: value * 1000, unit: 'ms' } as const) : ({ value, unit: 's' } as const);
  const { peakMiB } = ours;
  return {
    ...ratio(what, { value: ours.seconds, unit: 's' }, { value: peer.seconds, unit: 's' }, limits),
    ours: seconds(ours),
    peer: seconds(peer),
    ...(peakMiB > 0 ? { peakMiB } : {}),
  };
}
