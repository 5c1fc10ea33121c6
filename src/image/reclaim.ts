import type { Segment } from '../log/tables.ts';
import { turnGiver } from '../storage/turns.ts';
import type { HeldSpace, ReclaimReport } from './api.ts';
import type { Container } from './container.ts';
import { findGarbage } from './gc.ts';
import { type Survey, surveyContainer } from './survey.ts';
import { dataFreedBy, planSegments } from './thin.ts';
import { refuseUnpublished } from './transaction.ts';

/**
 * What gc would give back once these versions were deleted, by the plan that it would follow then: chunks that it would
 * write again are packed as it would pack them. Errors: 'corrupt' as gc.
 */
export async function measureReclaim(container: Container, numbers: readonly number[]): Promise<ReclaimReport> {
  refuseUnpublished(container, 'the space of versions');
  const now = surveyed(container, new Set());
  const usedBytes = now.survey.used.totalBytes;
  const later = surveyed(container, new Set(numbers));
  const mapBytes = usedBytes - later.survey.used.totalBytes;
  const garbage = findGarbage(container, now.survey).reduce((total, { start, end }) => total + end - start, 0);
  const reclaimable = await planned(container, now, garbage);
  const reclaimed = await planned(container, later, garbage + mapBytes);
  return { versions: numbers, reclaimed, reclaimable };
}

interface Surveyed {
  readonly survey: Survey;
  readonly segments: readonly Segment[];
}

function surveyed(container: Container, without: ReadonlySet<number>): Surveyed {
  const segments: Segment[] = [];
  const survey = surveyContainer(container, { without, segment: (segment) => segments.push(segment) });
  return { survey, segments };
}

/** `pageBytes`: of pages that go. */
async function planned(container: Container, { survey, segments }: Surveyed, pageBytes: number): Promise<HeldSpace> {
  let dataBytes = 0;
  let metadataBytes = pageBytes;
  const giveTurn = turnGiver();
  for (const plan of planSegments(container, survey, segments)) {
    dataBytes += dataFreedBy(container, plan);
    if (plan.isDead) metadataBytes += plan.segment.entry.lengthBytes;
    await giveTurn();
  }
  return { dataBytes, metadataBytes };
}
