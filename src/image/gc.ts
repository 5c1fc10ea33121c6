import { corrupt, VsimgError } from '../errors.ts';
import { RECORDS_OFFSET } from '../format/layout.ts';
import type { Segment } from '../log/tables.ts';
import type { HostRange } from '../space/host-range.ts';
import { UNKNOWN_BIRTH } from '../space/pending.ts';
import { turnGiver } from '../storage/turns.ts';
import type { GcReport, OnProgress } from './api.ts';
import { compactTail, cutFile, isWorthCompacting, isWorthSliding, slideLog } from './compact.ts';
import type { Container } from './container.ts';
import { deadBytes, LayoutNotes } from './layout.ts';
import { RangeSet } from './ranges.ts';
import { relog } from './relog.ts';
import { type Survey, surveyContainer } from './survey.ts';
import { carryOut, planSegments, type SegmentPlan } from './thin.ts';

export interface GcOptions {
  readonly dryRun?: boolean;
  /** Write the log and all maps anew where that makes the file smaller or its newest version faster to read. */
  readonly compact?: boolean;
  readonly onProgress?: OnProgress;
}

/**
 * Gives back everything that neither a version nor the working state needs, and makes the file shorter.
 *
 * Several publications: the first drops and thins what is dead, or with `compact` replaces the whole log; once that
 * space is free, records from the end of the file move into it; then the file is cut. A cut of power at any moment leaves
 * a whole container. Errors: 'corrupt' when what must be read is damaged.
 */
export async function collectGarbage(container: Container, options: GcOptions): Promise<GcReport> {
  const fileBytesBefore = container.storage.size();
  const segments: Segment[] = [];
  const maps = new RangeSet();
  const layout = new LayoutNotes();
  const survey = surveyContainer(container, {
    segment: (segment, table) => {
      segments.push(segment);
      layout.segment(segment, table);
    },
    mapPage: ({ place, lengthBytes }) => maps.add(place, place + lengthBytes),
  });
  const isRelogged = options.compact === true && !layout.isGood(container, survey);
  const plans = isRelogged ? [] : planSegments(container, survey, segments);
  if (options.dryRun === true) {
    const freedBytes = isRelogged ? deadBytes(survey) : plans.reduce((total, plan) => total + plan.freedBytes, 0);
    return dryReport(container, fileBytesBefore, RECORDS_OFFSET + survey.used.totalBytes - freedBytes);
  }
  const usedBytes = survey.used.totalBytes;
  const { space } = container.header;
  const garbage = findGarbage(container, survey);
  if (isRelogged) {
    container.begin();
    const givenUp = [...maps.ranges(), ...garbage];
    const liveBytes = survey.live.totalBytes * container.blockBytes;
    await relog(container, { segments, givenUp, liveBytes }, options.onProgress).catch(refuseDamage);
    await container.publish();
  } else if (
    plans.length === 0 &&
    garbage.length === 0 &&
    container.unreclaimed === 0 &&
    !(options.compact === true ? isWorthSliding(space) : isWorthCompacting(space.end, RECORDS_OFFSET + usedBytes))
  ) {
    cutFile(container);
    return report(container, fileBytesBefore);
  } else {
    await dropAndThin(container, survey, { plans, garbage, onProgress: options.onProgress });
  }
  if (options.compact === true) await slideLog(container);
  await compactTail(container, options.compact === true ? 'stay' : 'move');
  return report(container, fileBytesBefore);
}

interface Rubbish {
  readonly plans: readonly SegmentPlan[];
  readonly garbage: readonly HostRange[];
  readonly onProgress: OnProgress | undefined;
}

async function dropAndThin(container: Container, survey: Survey, rubbish: Rubbish): Promise<void> {
  const { plans, garbage, onProgress } = rubbish;
  container.unreclaimed = 0;
  if (plans.length === 0 && garbage.length === 0) return;
  container.begin();
  for (const { start, end } of garbage) container.space.release(start, end - start, UNKNOWN_BIRTH);
  const freedBytes = plans.reduce((total, plan) => total + plan.freedBytes, 0);
  let doneBytes = 0;
  const giveTurn = turnGiver();
  for (const plan of plans) {
    carryOut(container, survey, plan);
    await giveTurn();
    doneBytes += plan.freedBytes;
    onProgress?.(doneBytes, freedBytes);
  }
  await container.publish();
}

/** What is damaged can not be told from what is not once it has a new number and a new hash. */
function refuseDamage(error: unknown): never {
  if (!(error instanceof VsimgError) || error.code !== 'corrupt') throw error;
  throw new VsimgError('corrupt', `compacting moves every block, and one is damaged: ${error.message}`, {
    ...(error.hostOffset === undefined ? {} : { hostOffset: error.hostOffset }),
    hint: "run 'vsimg check --repair' first, which keeps what can be read; 'vsimg gc' works without",
    cause: error,
  });
}

/** `least`: where the records would end without gaps. */
function dryReport(container: Container, fileBytesBefore: number, least: number): GcReport {
  const end = Math.min(fileBytesBefore, container.header.space.end);
  // Less than the slack is not worth moving records for.
  const fileBytesAfter = isWorthCompacting(end, least) ? least : end;
  return { dryRun: true, fileBytesBefore, fileBytesAfter, reclaimedBytes: fileBytesBefore - fileBytesAfter };
}

function report(container: Container, fileBytesBefore: number): GcReport {
  const fileBytesAfter = container.storage.size();
  return { dryRun: false, fileBytesBefore, fileBytesAfter, reclaimedBytes: fileBytesBefore - fileBytesAfter };
}

/** What is neither in use nor listed as free. Errors: 'corrupt' when records overlap. */
export function findGarbage(container: Container, survey: Survey): HostRange[] {
  refuseOverlaps(container, survey);
  const everything = survey.used;
  for (const range of survey.unused.ranges()) everything.add(range.start, range.end);
  return [...everything.gaps(RECORDS_OFFSET, container.header.space.end)];
}

/** What is in use twice, or in use and listed as free, can not be given back without losing data. */
function refuseOverlaps(container: Container, survey: Survey): void {
  const both = [...survey.unused.ranges()].some(
    (range) => survey.used.within(range.start, range.end).next().done !== true,
  );
  if (both || survey.used.overlap !== undefined)
    throw corrupt(`${container.storage.name}: records overlap; gc would lose data`);
}
