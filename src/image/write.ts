import { VsimgError } from '../errors.ts';
import { CODEC } from '../format/chunk-table.ts';
import { EXTENT_KIND, type Extent } from '../format/extent-page.ts';
import { blake3 } from '../log/hash.ts';
import type { ChunkPart } from '../log/reader.ts';
import type { MapChange, Run } from '../map/extent-map.ts';
import { turnGiver } from '../storage/turns.ts';
import { isZeroRange } from '../storage/zero.ts';
import type { WriteReport } from './api.ts';
import type { Container } from './container.ts';
import { checkRange, readBlocks, readLog } from './view.ts';

/** What happens to one block. */
const KEEP = 0;
const STORE = 1;
const CLEAR = 2;
/** Zeros where there is a hole already. */
const STAY_HOLE = 3;

export const NOTHING_WRITTEN: WriteReport = { requestedBytes: 0, storedBytes: 0, unchangedBytes: 0, zeroBytes: 0 };

export function addReports(a: WriteReport, b: WriteReport): WriteReport {
  return {
    requestedBytes: a.requestedBytes + b.requestedBytes,
    storedBytes: a.storedBytes + b.storedBytes,
    unchangedBytes: a.unchangedBytes + b.unchangedBytes,
    zeroBytes: a.zeroBytes + b.zeroBytes,
  };
}

/**
 * Writes `bytes` into the working state: blocks that hold the same already are left alone, blocks of zeros
 * become holes, the rest goes to the log. Edges that cover a part of a block are read, changed and written.
 */
export async function writeBytes(container: Container, guestOffset: number, bytes: Uint8Array): Promise<WriteReport> {
  checkRange(guestOffset, guestOffset + bytes.length, container.workingSizeBytes);
  if (bytes.length === 0) return NOTHING_WRITTEN;
  const { blockBytes } = container;
  const end = guestOffset + bytes.length;
  const firstWhole = Math.ceil(guestOffset / blockBytes);
  // The last block of the disk is whole when all of it that lies inside the disk is written.
  const lastWhole =
    end === container.workingSizeBytes && guestOffset <= Math.floor(end / blockBytes) * blockBytes
      ? Math.ceil(end / blockBytes)
      : Math.floor(end / blockBytes);
  let report: WriteReport = { ...NOTHING_WRITTEN, requestedBytes: bytes.length };
  const edge = async (block: number): Promise<void> => {
    const whole = new Uint8Array(blockBytes);
    readBlocks(container, container.map, block, whole);
    const from = Math.max(guestOffset, block * blockBytes);
    const to = Math.min(end, (block + 1) * blockBytes);
    whole.set(bytes.subarray(from - guestOffset, to - guestOffset), from - block * blockBytes);
    report = addReports(report, await writeBlocks(container, block, whole));
  };
  if (guestOffset % blockBytes !== 0) await edge(firstWhole - 1);
  if (lastWhole > firstWhole) {
    const middle = bytes.subarray(
      firstWhole * blockBytes - guestOffset,
      Math.min(bytes.length, lastWhole * blockBytes - guestOffset),
    );
    const wholeBytes = middle.length - (middle.length % blockBytes);
    report = addReports(report, await writeBlocks(container, firstWhole, middle.subarray(0, wholeBytes)));
    if (wholeBytes < middle.length) {
      const last = new Uint8Array(blockBytes);
      last.set(middle.subarray(wholeBytes));
      report = addReports(report, await writeBlocks(container, firstWhole + wholeBytes / blockBytes, last));
    }
  }
  if (end > lastWhole * blockBytes && lastWhole >= firstWhole) await edge(lastWhole);
  return report;
}

/** `[start, start + lengthBytes)` reads as zeros; whole blocks of it become holes. */
export async function zeroBytes(container: Container, start: number, lengthBytes: number): Promise<WriteReport> {
  const end = start + lengthBytes;
  checkRange(start, end, container.workingSizeBytes);
  if (lengthBytes === 0) return NOTHING_WRITTEN;
  const { blockBytes } = container;
  const firstWhole = Math.ceil(start / blockBytes);
  const lastWhole = end === container.workingSizeBytes ? Math.ceil(end / blockBytes) : Math.floor(end / blockBytes);
  if (firstWhole >= lastWhole) return writeBytes(container, start, new Uint8Array(lengthBytes));
  const edges: [number, number][] = [
    [start, Math.min(end, firstWhole * blockBytes)],
    [Math.max(start, lastWhole * blockBytes), end],
  ];
  for (const [from, to] of edges) if (from < to) await writeBytes(container, from, new Uint8Array(to - from));
  clearBlocks(container, firstWhole, lastWhole);
  return { ...NOTHING_WRITTEN, requestedBytes: lengthBytes, zeroBytes: lengthBytes };
}

/** Makes blocks `[start, end)` of the working state a hole. */
export function clearBlocks(container: Container, start: number, end: number): void {
  if (container.map.extents(start, end).next().done === true) return;
  container.begin();
  noteDead(container, start, end);
  container.map.clear(start, end);
}

/**
 * Writes whole blocks that most likely changed, in ascending order: what is there is not read to compare it, which would cost
 * more than it saves; blocks of zeros become holes.
 */
export async function writeDirty(
  container: Container,
  runs: Iterable<{ readonly startBlock: number; readonly bytes: Uint8Array }>,
): Promise<void> {
  const { map, blockBytes } = container;
  container.begin();
  const changes: MapChange[] = [];
  const giveTurn = turnGiver();
  for (const { startBlock, bytes } of runs) {
    const count = bytes.length / blockBytes;
    for (let from = 0; from < count; ) {
      const isZero = isZeroBlock(bytes, from, blockBytes);
      let to = from + 1;
      while (to < count && isZeroBlock(bytes, to, blockBytes) === isZero) to++;
      if (!isZero)
        await append(container, startBlock + from, bytes.subarray(from * blockBytes, to * blockBytes), changes);
      else if (map.extents(startBlock + from, startBlock + to).next().done !== true)
        changes.push({ start: startBlock + from, length: to - from, log: undefined });
      from = to;
    }
    const turn = giveTurn();
    if (turn !== undefined) await turn;
  }
  map.setAll(changes, (extent) => noteCovered(container, extent));
}

/** The working map does not refer to an extent any more. */
export function noteCovered({ log }: Container, extent: Extent): void {
  if (extent.kind === EXTENT_KIND.data && extent.log + extent.length > log.state.youngMark)
    log.noteDead(extent.log, extent.length);
}

/** Appends blocks to the log, and to `changes` what the map does not say yet. */
async function append(
  { log, blockBytes }: Container,
  start: number,
  bytes: Uint8Array,
  changes: MapChange[],
): Promise<void> {
  const count = bytes.length / blockBytes;
  for (let at = 0; at < count; ) {
    const length = Math.min(count - at, await log.room());
    const part = bytes.subarray(at * blockBytes, (at + length) * blockBytes);
    changes.push({ start: start + at, length, log: log.append(start + at, part) });
    at += length;
  }
}

function writeBlocks(container: Container, start: number, bytes: Uint8Array): Promise<WriteReport> {
  return carryOut(container, start, bytes, planBlocks(container, start, bytes));
}

async function carryOut(
  container: Container,
  start: number,
  bytes: Uint8Array,
  actions: Uint8Array,
): Promise<WriteReport> {
  const { blockBytes, map, log } = container;
  const totals = [0, 0, 0, 0];
  for (let from = 0; from < actions.length; ) {
    const action = actions[from] as number;
    let to = from + 1;
    while (to < actions.length && actions[to] === action) to++;
    totals[action] = (totals[action] as number) + to - from;
    if (action === CLEAR) clearBlocks(container, start + from, start + to);
    if (action === STORE) {
      container.begin();
      for (let at = from; at < to; ) {
        const count = Math.min(to - at, await log.room());
        // Not before there is room: a segment without a live block may go while others are waited for.
        noteDead(container, start + at, start + at + count);
        map.set(start + at, count, log.append(start + at, bytes.subarray(at * blockBytes, (at + count) * blockBytes)));
        at += count;
      }
    }
    from = to;
  }
  return {
    requestedBytes: 0,
    unchangedBytes: (totals[KEEP] as number) * blockBytes,
    storedBytes: (totals[STORE] as number) * blockBytes,
    zeroBytes: ((totals[CLEAR] as number) + (totals[STAY_HOLE] as number)) * blockBytes,
  };
}

function noteDead(container: Container, start: number, end: number): void {
  for (const extent of container.map.extents(start, end)) noteCovered(container, extent);
}

/** One action for each block of `bytes`. */
function planBlocks(container: Container, start: number, bytes: Uint8Array): Uint8Array {
  const { blockBytes } = container;
  const actions = new Uint8Array(bytes.length / blockBytes);
  for (const run of container.map.runs(start, start + actions.length)) {
    const first = run.start - start;
    if (run.kind === EXTENT_KIND.lost) {
      for (let block = first; block < first + run.length; block++)
        actions[block] = isZeroBlock(bytes, block, blockBytes) ? CLEAR : STORE;
    } else if (run.log === undefined) {
      for (let block = first; block < first + run.length; block++)
        actions[block] = isZeroBlock(bytes, block, blockBytes) ? STAY_HOLE : STORE;
    } else {
      planOverData(
        container,
        run,
        run.log,
        bytes.subarray(first * blockBytes, (first + run.length) * blockBytes),
        actions.subarray(first, first + run.length),
      );
    }
  }
  return actions;
}

function isZeroBlock(bytes: Uint8Array, block: number, blockBytes: number): boolean {
  return isZeroRange(bytes, block * blockBytes, (block + 1) * blockBytes);
}

function blockOf(bytes: Uint8Array, block: number, blockBytes: number): Uint8Array {
  return bytes.subarray(block * blockBytes, (block + 1) * blockBytes);
}

/** Compares new bytes with what is stored: whole chunks by their hash, parts of chunks byte by byte. */
function planOverData(container: Container, run: Run, log: number, bytes: Uint8Array, actions: Uint8Array): void {
  const { blockBytes } = container;
  const fresh = (from: number, to: number): void => {
    for (let block = from; block < to; block++) actions[block] = isZeroBlock(bytes, block, blockBytes) ? CLEAR : STORE;
  };
  let at = 0;
  while (at < run.length) {
    const segment = container.log.inMemory(log + at);
    const count = Math.min(
      run.length - at,
      segment === undefined ? Math.max(1, container.log.firstInMemory - (log + at)) : segment.endLog - (log + at),
    );
    if (segment !== undefined) {
      compareBlocks(container, run.start + at, log + at, bytes, actions, { from: at, to: at + count });
      at += count;
      continue;
    }
    const stop = at + count;
    try {
      for (const part of container.reader.partsAndLost(log + at, count)) {
        const range = { from: at, to: at + ('lost' in part ? part.lost : part.count) };
        if ('lost' in part) fresh(range.from, range.to);
        else planOverPart(container, part, { guestBlock: run.start + at, log: log + at, range, bytes, actions });
        at = range.to;
      }
    } catch (error) {
      // Where the table can not be read, nothing is known of what it says.
      if (!(error instanceof VsimgError) || error.code !== 'corrupt') throw error;
      fresh(at, stop);
      at = stop;
    }
  }
}

interface PartPlan {
  readonly guestBlock: number;
  readonly log: number;
  /** In blocks of `bytes`. */
  readonly range: { readonly from: number; readonly to: number };
  readonly bytes: Uint8Array;
  readonly actions: Uint8Array;
}

/** What can not be read any more is written anew, which heals it. */
function planOverPart(container: Container, part: ChunkPart, plan: PartPlan): void {
  const { blockBytes, reader } = container;
  const { guestBlock, log, range, bytes, actions } = plan;
  try {
    const fresh = bytes.subarray(range.from * blockBytes, range.to * blockBytes);
    // A small write most likely changes something: it is not read twice.
    if (fresh.length > blockBytes && reader.isStoredAs(part, fresh)) {
      actions.fill(KEEP, range.from, range.to);
    } else if (isSameChunk(part, fresh, blockBytes)) {
      // The hash tells what was stored, not whether it is still there.
      reader.verify(part.chunk);
      actions.fill(KEEP, range.from, range.to);
    } else {
      compareBlocks(container, guestBlock, log, bytes, actions, range);
    }
  } catch (error) {
    if (!(error instanceof VsimgError) || error.code !== 'corrupt') throw error;
    if (range.to - range.from === 1) {
      actions[range.from] = isZeroBlock(bytes, range.from, blockBytes) ? CLEAR : STORE;
      return;
    }
    for (let block = range.from; block < range.to; block++) {
      const skipped = block - range.from;
      const one = { ...part, first: part.first + skipped, count: 1 };
      const at = { guestBlock: guestBlock + skipped, log: log + skipped, range: { from: block, to: block + 1 } };
      planOverPart(container, one, { ...plan, ...at });
    }
  }
}

function isSameChunk(part: ChunkPart, bytes: Uint8Array, blockBytes: number): boolean {
  if (
    part.chunk.codec === CODEC.raw ||
    part.first !== 0 ||
    part.count !== part.chunk.blockCount ||
    part.chunk.present !== undefined
  )
    return false;
  // One block is read and compared faster than it is hashed.
  if (bytes.length === blockBytes && part.chunk.checksums.length === 1) return false;
  return Buffer.compare(blake3(bytes), part.chunk.hash) === 0;
}

function compareBlocks(
  container: Container,
  guestBlock: number,
  log: number,
  bytes: Uint8Array,
  actions: Uint8Array,
  range: { readonly from: number; readonly to: number },
): void {
  const { blockBytes } = container;
  const old = new Uint8Array((range.to - range.from) * blockBytes);
  readLog(container, log, old, guestBlock);
  for (let block = range.from; block < range.to; block++) {
    const fresh = blockOf(bytes, block, blockBytes);
    if (Buffer.compare(fresh, blockOf(old, block - range.from, blockBytes)) === 0) actions[block] = KEEP;
    else actions[block] = isZeroBlock(bytes, block, blockBytes) ? CLEAR : STORE;
  }
}
