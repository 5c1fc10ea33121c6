import { expect } from 'vitest';
import { SLOT_BYTES } from '../../src/format/layout.ts';
import { readSlot } from '../../src/format/slot.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { expectClean, openDisk, openStorage } from './image.ts';
import { type Fate, PowerCutStorage } from './power-cut.ts';
import { SeededRandom } from './random.ts';
import { randomStep, stateOf } from './script.ts';

/** How many random histories are cut, a few hundred times each. */
const STEPS = 40;
/** Subsets of so few changes are all tried. */
const ALL_SUBSETS = 3;

interface History {
  readonly storage: PowerCutStorage;
  /** What was visible after the first `eventCount` changes, for each step that changed it. */
  readonly states: readonly { readonly eventCount: number; readonly step: string; readonly state: string }[];
}

/** Goes on to record after a container on it was closed. */
class StayingStorage extends PowerCutStorage {
  override close(): void {}
}

async function record(seed: number): Promise<History> {
  const random = new SeededRandom(seed);
  const created = new MemoryDisk();
  const compression = random.below(2) === 0 ? ({ codec: 'none' } as const) : ({ codec: 'zstd', level: 1 } as const);
  const blockSizeBytes = [512, 512, 4096, 65_536][random.below(4)] as number;
  Container.create(new MemoryStorage(created), {
    sizeBytes: random.below(50_000),
    blockSizeBytes,
    compression,
  }).close();
  const storage = new StayingStorage(created);
  let image = openStorage(storage);
  const published = async (step: string): Promise<History['states'][number]> => ({
    eventCount: storage.events.length,
    step,
    state: await stateOf(openDisk(storage.disk, { readOnly: true })),
  });
  const states = [await published('create')];
  for (let step = 0; step < STEPS; step++) {
    const name = await randomStep(image, random);
    const entry = await published(name);
    if (entry.state !== states.at(-1)?.state) states.push(entry);
    // As every command does: end, without what was not published, and open again.
    if (random.below(3) > 0) continue;
    image.close();
    image = openStorage(storage);
  }
  return { storage, states };
}

/** The states that a cut after `eventCount` changes may leave: the last finished one and the one in the making. */
function allowedAfter({ states }: History, eventCount: number): string[] {
  const last = states.findLastIndex((entry) => entry.eventCount <= eventCount);
  const next = states[last + 1];
  const current = states[last] as History['states'][number];
  return next === undefined || current.eventCount === eventCount ? [current.state] : [current.state, next.state];
}

async function expectWhole(disk: MemoryDisk, allowed: readonly string[], what: string): Promise<void> {
  await expectClean(disk);
  const state = await stateOf(openDisk(disk, { readOnly: true }));
  if (!allowed.includes(state)) expect(state, `${what} left another state`).toBe(allowed[0]);
}

/** Both slots are whole, so that one of them may be lost besides. */
function wholeSlots(disk: MemoryDisk): boolean {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  disk.read(bytes, 0);
  return readSlot(bytes.subarray(0, SLOT_BYTES)) !== undefined && readSlot(bytes.subarray(SLOT_BYTES)) !== undefined;
}

function* fatesOf(pending: readonly number[], seed: number): Generator<Fate> {
  yield 'all-kept';
  // Nothing pending: all fates are the same.
  if (pending.length === 0) return;
  yield 'all-lost';
  if (pending.length <= ALL_SUBSETS) {
    for (let subset = 1; subset < 2 ** pending.length - 1; subset++)
      yield { keep: new Set(pending.filter((_, index) => ((subset >>> index) & 1) === 1)) };
  } else {
    yield { seed, tearing: 'none' };
  }
  yield { seed: seed + 1, tearing: 'sector' };
  yield { seed: seed + 2, tearing: 'byte' };
}

/** What was tried, and what came out wrong. */
export interface CutReport {
  readonly cuts: number;
  /** Cuts after which one of the two headers was damaged besides. */
  readonly slotsLost: number;
  readonly losses: readonly string[];
}

/**
 * Takes a random history and cuts the power after each of its changes, with every fate of what was not synced;
 * each must leave a whole container with the state before or after the step, and every version.
 */
export async function cutEverywhere(seed: number): Promise<CutReport> {
  const history = await record(seed);
  const { storage, states } = history;
  const random = new SeededRandom(seed + 1000);
  const losses: string[] = [];
  let cuts = 0;
  let slotsLost = 0;
  const attempt = async (what: string, action: () => Promise<void>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      losses.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  for (let eventCount = 0; eventCount <= storage.events.length; eventCount++) {
    const step = states.find((entry) => entry.eventCount > eventCount)?.step ?? 'the end';
    for (const fate of fatesOf(storage.pending(eventCount), random.below(1e9))) {
      const told = typeof fate === 'object' && 'keep' in fate ? { keep: [...fate.keep] } : fate;
      const what = `seed ${seed}, cut after ${eventCount} changes in ${step}, ${JSON.stringify(told)}`;
      const disk = storage.afterCut(eventCount, fate);
      await attempt(what, () => expectWhole(disk, allowedAfter(history, eventCount), what));
      cuts++;
      if (random.below(20) !== 0) continue;
      await attempt(what, () => survive(disk, random, what));
      const other = storage.afterCut(eventCount, fate);
      if (!wholeSlots(other)) continue;
      slotsLost++;
      await attempt(`${what}, one header damaged`, () => loseSlot(other, random, history, eventCount));
    }
  }
  return { cuts, slotsLost, losses };
}

/** Work goes on after the cut, and may be cut again, as often as it likes. */
async function survive(disk: MemoryDisk, random: SeededRandom, what: string): Promise<void> {
  const storage = new PowerCutStorage(disk);
  const image = openStorage(storage);
  const before = await stateOf(image);
  const start = storage.events.length;
  await image.write(0, new Uint8Array(Math.min(1, image.info().sizeBytes)).fill(1 + random.below(255)));
  await image.setTag('after-the-cut', 'HEAD').catch(() => image.zero(0, image.info().sizeBytes));
  await image.publish();
  const after = await stateOf(openDisk(storage.disk, { readOnly: true }));
  for (let eventCount = start; eventCount <= storage.events.length; eventCount++) {
    await expectWhole(
      storage.afterCut(eventCount, { seed: random.below(1e9), tearing: 'byte' }),
      [before, after],
      `${what}, and again after ${eventCount}`,
    );
  }
  expect(wholeSlots(storage.disk)).toBe(true);
}

/**
 * One slot rots after the cut. What a command that has ended left is in both slots; only of a publication after
 * which nothing was synced yet may the state before come back.
 */
async function loseSlot(disk: MemoryDisk, random: SeededRandom, history: History, eventCount: number): Promise<void> {
  disk.write(new Uint8Array(16).fill(0xff), random.below(2) * SLOT_BYTES + random.below(100));
  await expectClean(disk);
  const last = history.states.findLastIndex((entry) => entry.eventCount <= eventCount);
  const since = history.storage.events.slice(history.states[last]?.eventCount, eventCount);
  const isSettled = since.some(({ kind }) => kind === 'sync');
  const allowed = history.states.slice(Math.max(0, isSettled ? last : last - 1), last + 2).map(({ state }) => state);
  const image = new Image(Container.open(new MemoryStorage(disk, { readOnly: true })));
  expect(allowed).toContain(await stateOf(image));
}
