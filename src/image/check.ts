import type { CheckReport } from './api.ts';
import type { Container } from './container.ts';
import { type Inspection, type InspectOptions, inspectContainer } from './inspect.ts';
import { findLosses } from './losses.ts';
import { RangeSet } from './ranges.ts';
import { refuseUnpublished } from './transaction.ts';

export type CheckOptions = InspectOptions;

/** Walks the whole container and says what is wrong with it; changes nothing. */
export async function checkContainer(container: Container, options: CheckOptions): Promise<CheckReport> {
  refuseUnpublished(container, 'a check');
  return describeInspection(container, await inspectContainer(container, options));
}

function describeInspection(container: Container, inspection: Inspection): CheckReport {
  const { survey, findings, versions, bad, missing, damaged, unlistedBytes } = inspection;
  const unreadable = new RangeSet();
  for (const set of [bad, missing]) for (const { start, end } of set.ranges()) unreadable.add(start, end);
  const isWhole = unreadable.totalBytes === 0 && !damaged.has('map') && !survey.hasLostExtents;
  const losses = isWhole ? { ranges: [], isComplete: true } : findLosses(container, versions, unreadable);
  const isGarbage = container.unreclaimed > 0;
  return {
    errors: findings.list,
    errorCount: findings.count,
    diskError: inspection.diskError?.message ?? null,
    lost: losses.ranges,
    isLostComplete: losses.isComplete,
    damagedSlot: container.damagedSlot,
    leakedBytes: isGarbage ? 0 : unlistedBytes,
    reclaimableBytes: isGarbage ? unlistedBytes : 0,
    pagesChecked: survey.pages,
    segmentsChecked: survey.segments,
    dataBytesChecked: inspection.dataBytesChecked,
    versionsChecked: survey.versions,
  };
}
