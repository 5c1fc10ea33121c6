import { env } from 'node:process';
import { expect, it } from 'vitest';
import { SLOT_BYTES } from '../../src/format/layout.ts';
import { readSlot } from '../../src/format/slot.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { expectClean, openDisk, openStorage } from '../support/image.ts';
import { type Fate, PowerCutStorage } from '../support/power-cut.ts';
import { SeededRandom } from '../support/random.ts';
import { randomStep, stateOf } from '../support/script.ts';

/** How many random histories are cut, a few hundred times each. */
const SCRIPTS = Number(env['VSIMG_CUT_SCRIPTS'] ?? 5);
const FIRST_SEED = Number(env['VSIMG_CUT_SEED'] ?? 1);
const STEPS = 40;

interface History {
  readonly storage: PowerCutStorage;
  /** What was visible after the first `eventCount` changes, for each step that changed it. */
  readonly states: readonly { readonly eventCount: number; readonly step: string; readonly state: string }[];
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
  const storage = new PowerCutStorage(created);
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
    // As every command does: open again, without what was not published.
    if (random.below(3) === 0) image = openStorage(storage);
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

function fatesOf(seed: number): Fate[] {
  return [
    'all-kept',
    'all-lost',
    { seed, tearing: 'none' },
    { seed: seed + 1, tearing: 'sector' },
    { seed: seed + 2, tearing: 'byte' },
  ];
}

it.each(Array.from({ length: SCRIPTS }, (_, index) => FIRST_SEED + index))(
  'a power cut at any moment leaves the state before or after the step (VSIMG_CUT_SEED=%d)',
  async (seed) => {
    const history = await record(seed);
    const { storage, states } = history;
    const random = new SeededRandom(seed + 1000);
    let cuts = 0;
    for (let eventCount = 0; eventCount <= storage.events.length; eventCount++) {
      const step = states.find((entry) => entry.eventCount > eventCount)?.step ?? 'the end';
      const pendingCount = storage.pending(eventCount).length;
      for (const fate of fatesOf(random.below(1e9))) {
        // Nothing pending: all fates are the same.
        if (pendingCount === 0 && fate !== 'all-kept') continue;
        if (pendingCount < 2 && typeof fate === 'object' && 'tearing' in fate && fate.tearing === 'none') continue;
        const what = `seed ${seed}, cut after ${eventCount} changes in ${step}, ${JSON.stringify(fate)}`;
        const disk = storage.afterCut(eventCount, fate);
        await expectWhole(disk, allowedAfter(history, eventCount), what);
        cuts++;
        if (random.below(20) !== 0) continue;
        await survive(disk, random, what);
        if (wholeSlots(disk)) await loseSlot(storage.afterCut(eventCount, fate), random, history, eventCount);
      }
    }
    expect(cuts).toBeGreaterThan(100);
  },
  120_000,
);

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

/** One slot rots after the cut: then the state before that may come back, but a whole one. */
async function loseSlot(disk: MemoryDisk, random: SeededRandom, history: History, eventCount: number): Promise<void> {
  if (!wholeSlots(disk)) return;
  disk.write(new Uint8Array(16).fill(0xff), random.below(2) * SLOT_BYTES + random.below(100));
  await expectClean(disk);
  const last = history.states.findLastIndex((entry) => entry.eventCount <= eventCount);
  const allowed = history.states.slice(Math.max(0, last - 1), last + 2).map(({ state }) => state);
  const image = new Image(Container.open(new MemoryStorage(disk, { readOnly: true })));
  expect(allowed).toContain(await stateOf(image));
}
