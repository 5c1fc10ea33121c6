import { corrupt, VsimgError } from '../errors.ts';
import { RECORDS_OFFSET } from '../format/layout.ts';
import type { Segment } from '../log/tables.ts';
import type { HostRange } from '../space/host-range.ts';
import { UNKNOWN_BIRTH } from '../space/pending.ts';
import { turnGiver } from '../storage/turns.ts';
import type { GcReport, OnProgress } from './api.ts';
import { compactTail, cutFile, isWorthCompacting, isWorthSliding, liftLog, settle, slideLog } from './compact.ts';
import type { Container } from './container.ts';
import { LayoutNotes } from './layout.ts';
import { RangeSet } from './ranges.ts';
import { rehearse } from './rehearsal.ts';
import { relog } from './relog.ts';
import { type Survey, surveyContainer } from './survey.ts';
import { planSegments, type SegmentPlan } from './thin.ts';
import { SegmentThinner } from './thin-segment.ts';

export interface GcOptions {
  /** Write the log and all maps anew where that makes the file smaller or its newest version faster to read. */
  readonly compact?: boolean;
  readonly onProgress?: OnProgress;
}

/** Each but the last one made the file shorter. */
const MAX_ROUNDS = 8;
/** To give back so much of the log is worth the pages that it takes, whatever becomes of the end of the file. */
const SURE_BYTES = 128 * 1024;
/** What is written of the log in one publication. */
const BATCH_BYTES = 8 * 1024 * 1024;
/** Up to this length of the file, all data is moved where gaps between it are too small for what lies behind them. */
const LIFT_BYTES = 16 * 1024 * 1024;

/**
 * Gives back everything that neither a version nor the working state needs, and makes the file shorter: until
 * another round gains nothing.
 *
 * A round is several publications: the first drops and thins what is dead, or with `compact` replaces the whole log; once
 * that space is free, records from the end of the file move into it; then the file is cut. A cut of power at any moment
 * leaves a whole container. Errors: 'corrupt' when what must be read is damaged.
 */
export async function collectGarbage(container: Container, options: GcOptions): Promise<GcReport> {
  const fileBytesBefore = container.storage.size();
  for (let round = 0; round < MAX_ROUNDS; round++) if (!(await collect(container, options, round))) break;
  cutFile(container);
  return report(fileBytesBefore, container.storage.size());
}

/** What `collectGarbage` would do; changes nothing. */
export function rehearseGc(container: Container, options: GcOptions): Promise<GcReport> {
  return rehearse(container, async (open) => {
    const { fileBytesAfter } = await collectGarbage(open(), options);
    return { ...report(container.storage.size(), fileBytesAfter), dryRun: true };
  });
}

/** One round; false if another one would be in vain. */
async function collect(container: Container, options: GcOptions, round: number): Promise<boolean> {
  const segments: Segment[] = [];
  const maps = new RangeSet();
  const layout = new LayoutNotes();
  const { compact = false, onProgress } = options;
  const survey = await surveyContainer(container, {
    ...(compact ? { held: 'wanted' } : {}),
    segment: (segment, table) => {
      segments.push(segment);
      layout.segment(segment, table);
    },
    mapPage: ({ place, lengthBytes }) => maps.add(place, place + lengthBytes),
  });
  const usedBytes = survey.used.totalBytes;
  const isRelogged = compact && round === 0 && !layout.isGood(container, survey);
  const plans = isRelogged ? [] : await planSegments(container, survey, segments);
  const garbage = findGarbage(container, survey);
  if (isRelogged) {
    container.begin();
    const givenUp = [...maps.ranges(), ...garbage];
    const liveBytes = survey.live.totalBytes * container.blockBytes;
    await relog(container, { segments, givenUp, liveBytes }, onProgress).catch(refuseDamage);
    await container.publish();
    await slideLog(container);
    await compactTail(container, { segments: 'stay' });
    return true;
  }
  const isDirty = plans.length > 0 || garbage.length > 0 || container.unreclaimed > 0;
  const { space } = container.header;
  const isLoose = compact ? isWorthSliding(space) : isWorthCompacting(space.end, RECORDS_OFFSET + usedBytes);
  if (!isDirty && !isLoose) return false;
  const freedBytes = plans.reduce((total, plan) => total + plan.freedBytes, 0);
  const isSure = round === 0 && freedBytes >= SURE_BYTES && isWorthCompacting(space.end, space.end - freedBytes);
  const looseBytes = space.freeBytes + space.pendingBytes + freedBytes;
  const mayLift = space.end <= LIFT_BYTES && isWorthCompacting(space.end, space.end - looseBytes);
  const ways: Way[] = compact ? ['slide'] : ['move', ...(mayLift ? (['lift'] as const) : []), 'drop'];
  const least = !isDirty ? 'worth' : round === 0 ? 'none' : 'any';
  for (const way of ways) {
    const step = { survey, plans, garbage, way };
    if (way === 'drop' && !isDirty) continue;
    if (!isSure && !(await isGain(container, step, least))) continue;
    await carryOutRound(container, step, onProgress);
    return true;
  }
  return false;
}

/** What follows when nothing is in use any more that need not be: its end moves down, all data moves down,
 * all data moves away and comes back without gaps, or nothing: moving may cost more pages than it gives back. */
type Way = 'move' | 'slide' | 'lift' | 'drop';

interface Round {
  readonly survey: Survey;
  readonly plans: readonly SegmentPlan[];
  readonly garbage: readonly HostRange[];
  readonly way: Way;
}

async function carryOutRound(container: Container, round: Round, onProgress?: OnProgress): Promise<void> {
  const { way } = round;
  const { end } = container.header.space;
  await dropAndThin(container, round, onProgress);
  if (way === 'lift') await liftLog(container);
  if (way === 'lift' || way === 'slide') await slideLog(container);
  const segments = way === 'slide' ? 'stay' : 'move';
  if (way !== 'drop') await compactTail(container, { segments });
  // Pages that say what is free now, and chunks that found no hole, may have made the file longer.
  if (container.header.space.end > end) await compactTail(container, { segments, end });
}

/** What the file must become shorter by: nothing at all, if it only does not become longer; anything; or what is worth the work. */
type LeastGain = 'none' | 'any' | 'worth';

async function isGain(container: Container, round: Round, least: LeastGain): Promise<boolean> {
  const before = container.header.space.end;
  const after = await rehearse(container, async (open) => {
    const draft = open();
    await carryOutRound(draft, round);
    return draft.storage.size();
  }).catch(withoutRoom);
  if (after === undefined) return false;
  // To move everything costs as much as the file is long.
  if (round.way === 'lift' || least === 'worth') return isWorthCompacting(before, after);
  return least === 'any' ? after < before : after <= before;
}

/** Where nothing more can be written, what is left is left for another time: space was given back as far as it surely could. */
function withoutRoom(error: unknown): undefined {
  if (!(error instanceof VsimgError) || (error.code !== 'no-space' && error.code !== 'permission')) throw error;
  return undefined;
}

/**
 * Drops what is dead and thins the rest, with a publication whenever so much was written that what it replaces is better
 * given back first: the file would be longer by all of it.
 */
async function dropAndThin(
  container: Container,
  { survey, plans, garbage }: Round,
  onProgress?: OnProgress,
): Promise<void> {
  if (plans.length > 0 || garbage.length > 0) container.begin();
  for (const { start, end } of garbage) container.space.release(start, end - start, UNKNOWN_BIRTH);
  const freedBytes = plans.reduce((total, plan) => total + plan.freedBytes, 0);
  let doneBytes = 0;
  let droppedBytes = 0;
  let writtenBytes = 0;
  const thinner = new SegmentThinner(container, survey);
  const giveTurn = turnGiver();
  for (const plan of dropsFirst(plans)) {
    if (plan.thinnedBytes === 0) droppedBytes += plan.freedBytes;
    else if (droppedBytes >= SURE_BYTES) {
      // What follows finds its room there, also where the file system has none left.
      await container.publish();
      await settle(container);
      container.begin();
      droppedBytes = 0;
    }
    if (writtenBytes >= BATCH_BYTES) {
      await container.publish();
      container.begin();
      writtenBytes = 0;
    }
    writtenBytes += thinner.carryOut(plan);
    await giveTurn();
    doneBytes += plan.freedBytes;
    onProgress?.(doneBytes, freedBytes);
  }
  container.unreclaimed = 0;
  if (plans.length > 0 || garbage.length > 0) await container.publish();
}

function dropsFirst(plans: readonly SegmentPlan[]): SegmentPlan[] {
  return [...plans.filter((plan) => plan.thinnedBytes === 0), ...plans.filter((plan) => plan.thinnedBytes > 0)];
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

function report(fileBytesBefore: number, fileBytesAfter: number): GcReport {
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
