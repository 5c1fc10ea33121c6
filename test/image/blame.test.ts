import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlameRange, LastWriter } from '../../src/image/api.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, expectBytes, newImage, noise, openDisk, sourceOf, TIME } from '../support/image.ts';
import { all } from '../support/iterables.ts';
import { CountingStorage } from '../support/storages.ts';

const BLOCK = 512;
const BLOCKS = 40;
/** The last block is cut short. */
const SIZE = BLOCKS * BLOCK - 100;

/** What each block holds, 0 for a hole, and what made it so. */
interface State {
  readonly tokens: readonly number[];
  readonly owners: readonly LastWriter[];
}

const NOTHING: State = { tokens: new Array(BLOCKS).fill(0), owners: new Array(BLOCKS).fill(0) };

function owned(parent: State, tokens: readonly number[], owner: LastWriter): State {
  return {
    tokens,
    owners: tokens.map((token, block) => (token === parent.tokens[block] ? (parent.owners[block] ?? 0) : owner)),
  };
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constantFrom('write' as const, 'zero' as const),
        start: fc.nat({ max: BLOCKS - 1 }),
        count: fc.integer({ min: 1, max: 12 }),
      }),
    },
    { weight: 3, arbitrary: fc.constant({ kind: 'commit' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('checkout' as const), to: fc.nat({ max: 20 }) }) },
  ),
  { maxLength: 40, size: 'max' },
);
type Step = typeof steps extends fc.Arbitrary<infer T> ? (T extends readonly (infer S)[] ? S : never) : never;

/** An image with a history, and what each of its states must say. */
async function play(script: readonly Step[]): Promise<{ image: Image; states: Map<number | null, State> }> {
  const { image } = newImage({ sizeBytes: SIZE, blockSizeBytes: BLOCK });
  const states = new Map<number | null, State>();
  let head = NOTHING;
  let tokens = [...NOTHING.tokens];
  let next = 1;
  for (const step of script) {
    if (step.kind === 'commit') {
      const { number } = await commit(image);
      head = owned(head, tokens, number);
      tokens = [...tokens];
      states.set(number, head);
    } else if (step.kind === 'checkout') {
      const number = 1 + (step.to % Math.max(1, states.size));
      const state = states.get(number);
      if (state === undefined) continue;
      await image.checkout(String(number), { force: true });
      head = state;
      tokens = [...state.tokens];
    } else {
      const end = Math.min(BLOCKS, step.start + step.count);
      const bytes = Math.min(SIZE, end * BLOCK) - step.start * BLOCK;
      if (step.kind === 'zero') await image.zero(step.start * BLOCK, bytes);
      else await image.write(step.start * BLOCK, noise(bytes, next));
      for (let block = step.start; block < end; block++) tokens[block] = step.kind === 'zero' ? 0 : next++;
    }
  }
  await image.publish();
  states.set(null, owned(head, tokens, null));
  return { image, states };
}

/** The same by its definition: the newest version that diff shows a range for. */
async function byDiff(image: Image, number: number, from: number): Promise<BlameRange[]> {
  const size = image.sizeOf(String(number));
  /** Of each byte: twice the version, and one more for data. */
  const owners = new Int32Array(size);
  const lineage: number[] = [];
  for (let at: number | null = number; at !== null; at = image.version(at).parent) lineage.unshift(at);
  for (const version of lineage)
    for (const { start, length, kind } of image.changesOf(String(version)))
      owners.fill(version * 2 + (kind === 'data' ? 1 : 0), start, start + length);
  const ranges: BlameRange[] = [];
  for (let start = from; start < size; ) {
    const owner = owners[start] as number;
    let end = start + 1;
    while (end < size && owners[end] === owner) end++;
    ranges.push({ start, length: end - start, kind: owner % 2 === 1 ? 'data' : 'zero', version: owner >> 1 });
    start = end;
  }
  return ranges;
}

/** Ranges as a text for each block that they cover whole or in part; they must be in order, without gaps, and no two alike. */
function perBlock(ranges: readonly BlameRange[], start: number, end: number): string[] {
  const result: string[] = [];
  let at = start;
  let before = '';
  for (const range of ranges) {
    expect(range.start).toBe(at);
    const text = `${range.kind} ${range.version}`;
    expect(text).not.toBe(before);
    before = text;
    at += range.length;
    for (let block = Math.floor(range.start / BLOCK); block * BLOCK < at; block++) result[block] = text;
  }
  expect(at).toBe(end);
  return result.slice(Math.floor(start / BLOCK));
}

function expected({ tokens, owners }: State, start: number, end: number): string[] {
  const blocks = tokens.map((token, block) => `${token === 0 ? 'zero' : 'data'} ${owners[block]}`);
  return blocks.slice(Math.floor(start / BLOCK), Math.ceil(end / BLOCK));
}

const extracts = fc
  .tuple(fc.nat({ max: SIZE }), fc.nat({ max: SIZE }))
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));

describe('blame', () => {
  it('tells what every state of a branching history owes to whom, in any part of the disk', async () => {
    await fc.assert(
      fc.asyncProperty(steps, extracts, async (script, part) => {
        const { image, states } = await play(script);
        for (const [version, state] of states) {
          const rev = version === null ? null : String(version);
          const whole = await all(image.history.blame({ rev, start: 0 }));
          expect(perBlock(whole, 0, SIZE)).toEqual(expected(state, 0, SIZE));
          if (part.start === part.end) continue;
          const some = await all(image.history.blame({ rev, ...part }));
          expect(perBlock(some, part.start, part.end)).toEqual(expected(state, part.start, part.end));
        }
        image.close();
      }),
      { numRuns: 60 },
    );
  });

  it('agrees with diff on which versions changed a part', async () => {
    await fc.assert(
      fc.asyncProperty(steps, extracts, async (script, part) => {
        const { image } = await play(script);
        for (const { number, parent } of image.versions()) {
          if (parent === null) continue;
          const touching = [...image.diff(String(parent), String(number))].some(
            ({ start, length }) => start < part.end && start + length > part.start,
          );
          expect(image.history.changed(number, [part])).toBe(touching && part.start < part.end);
        }
        image.close();
      }),
      { numRuns: 40 },
    );
  });

  it('takes growing the disk for a change, and a first version for one of what it holds', async () => {
    const { image } = newImage({ sizeBytes: 0 });
    await image.importFrom(sourceOf(noise(8192, 1)), { message: 'small', timeSeconds: TIME });
    const grown = Buffer.concat([noise(8192, 1), Buffer.alloc(8192), noise(4096, 2)]);
    await image.importFrom(sourceOf(grown), { message: 'large', timeSeconds: TIME });
    expect(await all(image.history.blame({ rev: null, start: 0 }))).toEqual([
      { start: 0, length: 8192, kind: 'data', version: 1 },
      { start: 8192, length: 8192, kind: 'zero', version: 2 },
      { start: 16384, length: 4096, kind: 'data', version: 2 },
    ]);
    expect(image.history.changed(1, [{ start: 0, end: 1 }])).toBe(true);
    expect(image.history.changed(1, [{ start: 8192, end: 9000 }])).toBe(false);
    expect(image.history.changed(2, [{ start: 8192, end: 9000 }])).toBe(true);
    await expect(all(image.history.blame({ rev: '1', start: 8193 }))).rejects.toMatchObject({ code: 'refused' });
    await expect(all(image.history.blame({ rev: '9', start: 0 }))).rejects.toMatchObject({ code: 'not-found' });
    image.close();
  });

  it('gives what a deleted version changed to the next one, and knows of images without a version', async () => {
    const { image } = newImage();
    await image.write(0, noise(4096, 1));
    expect(await all(image.history.blame({ rev: null, start: 0, end: 8192 }))).toEqual([
      { start: 0, length: 4096, kind: 'data', version: null },
      { start: 4096, length: 4096, kind: 'zero', version: 0 },
    ]);
    for (let count = 1; count <= 3; count++) {
      await commit(image);
      await image.write(count * 4096, noise(4096, count));
    }
    await image.deleteVersions(['2']);
    const owners = (await all(image.history.blame({ rev: null, start: 0, end: 16384 }))).map(({ version }) => version);
    expect(owners).toEqual([1, 3, null]);
    image.close();
  });

  it('finds the same however few ranges it may hold, also after sizes changed and the log was written anew', async () => {
    await fc.assert(
      fc.asyncProperty(steps, extracts, fc.integer({ min: 2, max: 9 }), async (script, part, rangesAtOnce) => {
        const { image } = await play(script);
        const sizes = [SIZE - 9 * BLOCK, SIZE + 5 * BLOCK, SIZE];
        for (const size of sizes) {
          await image.resize(size, { shrink: true });
          await commit(image);
        }
        const compare = async (): Promise<void> => {
          for (const { number } of image.versions()) {
            const of = { rev: String(number), start: part.start % image.sizeOf(String(number)) };
            const whole = await all(image.history.blame(of));
            expect(whole).toEqual(await byDiff(image, number, of.start));
            expect(await all(image.history.blame(of, { rangesAtOnce }))).toEqual(whole);
            expect(await all(image.history.places(of, { rangesAtOnce }))).toEqual(await all(image.history.places(of)));
          }
        };
        await compare();
        await image.gc({ compact: true });
        await compare();
        image.close();
      }),
      { numRuns: 30 },
    );
  });

  const VERSIONS = 400;

  it('stops as soon as all is known, and passes over what other versions changed elsewhere', async () => {
    const disk = new MemoryDisk();
    const image = new Image(
      Container.create(new MemoryStorage(disk, { name: 'test.vsi' }), {
        sizeBytes: 2 ** 40,
        compression: { codec: 'none' },
      }),
    );
    for (let block = 0; block < 2000; block++) await image.write(block * 8192, noise(4096, block));
    for (let count = 1; count <= VERSIONS; count++) {
      await image.write(2 ** 39 + count * 8192, noise(4096, count));
      await commit(image);
    }
    image.close();
    const readsOf = async (start: number, end: number): Promise<number> => {
      const storage = new CountingStorage(new MemoryStorage(disk, { name: 'test.vsi', readOnly: true }));
      const reader = new Image(Container.open(storage));
      storage.reset();
      const [first] = await all(reader.history.blame({ rev: String(VERSIONS), start, end }));
      const { reads } = storage.reset();
      expect(first?.version).toBe(start >= 2 ** 39 ? (start - 2 ** 39) / 8192 : 1);
      reader.close();
      return reads;
    };
    const at = (count: number) => 2 ** 39 + count * 8192;
    expect(await readsOf(at(VERSIONS), at(VERSIONS) + 4096)).toBeLessThan(12);
    // The table of versions is read, but hardly any map.
    expect(await readsOf(0, 4096)).toBeLessThan(VERSIONS);
  });
});

describe('places', () => {
  it('says where uncompressed bytes lie in the file, to the byte', async () => {
    const { disk, image } = newImage();
    await image.write(4096, noise(12288, 1));
    await commit(image);
    await image.write(8192, noise(4096, 2));
    await image.publish();
    const file = new MemoryStorage(disk, { name: 'test.vsi', readOnly: true });
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    const found = [];
    for await (const range of image.history.places({ rev: null, start: 5000, end: 16000 })) found.push(range);
    expect(found.map(({ start, length, version }) => [start, length, version])).toEqual([
      [5000, 3192, 1],
      [8192, 4096, null],
      [12288, 3712, 1],
    ]);
    const content = Buffer.concat([noise(4096, 1), noise(4096, 2), noise(12288, 1).subarray(8192)]);
    for (const { start, length, hostOffset = -1, kind } of found) {
      expect(kind).toBe('data');
      const expected = content.subarray(start - 4096, start - 4096 + length);
      expectBytes(bytes.subarray(hostOffset, hostOffset + length), expected);
    }
    image.close();
  });

  it('has no place for what is not in the file yet, nor for what is compressed', async () => {
    const { image } = newImage({ compression: { codec: 'zstd', level: 2 } });
    const all = async () => {
      const found = [];
      for await (const { kind, isCompressed, hostOffset } of image.history.places({ rev: null, start: 0, end: 8192 }))
        found.push({ kind, isCompressed, hostOffset });
      return found;
    };
    const zeros = { kind: 'zero', isCompressed: false, hostOffset: undefined };
    await image.write(0, Buffer.alloc(4096, 'x'));
    expect(await all()).toEqual([{ kind: 'data', isCompressed: false, hostOffset: undefined }, zeros]);
    await image.publish();
    expect(await all()).toEqual([{ kind: 'data', isCompressed: true, hostOffset: undefined }, zeros]);
    image.close();
  });
});

describe('heatMap', () => {
  it('shows in each row the newest version up to it that changed anything in a stretch of the disk', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 6 }), async (script, rowCount) => {
        const { image, states } = await play(script);
        const heat = await image.history.heatMap({ rev: null, start: 0 }, { columnCount: BLOCKS, rowCount });
        const lineage: (number | null)[] = [];
        const { version: head } = image.info().head;
        if (states.get(null)?.owners.includes(null) === true) lineage.push(null);
        for (let at = head; at !== null; at = image.version(at).parent) lineage.push(at);
        expect(heat.rows.map(({ version }) => version)).toEqual(lineage.slice(0, rowCount));
        for (const { version, cells } of heat.rows) {
          const state = states.get(version) as State;
          // A column is a block here, but for the last one's missing bytes.
          for (let block = 0; block < BLOCKS; block++) {
            const [first, last] = [
              Math.floor((block * SIZE) / BLOCKS / BLOCK),
              Math.floor(((block + 1) * SIZE - 1) / BLOCKS / BLOCK),
            ];
            if (first !== last) continue;
            const [owner, token] = [state.owners[first], state.tokens[first]];
            const cell = cells[block];
            expect(cell?.version ?? 0).toBe(owner === null ? (cell?.version ?? 0) : owner);
            if (owner === null) expect(cell?.version).toBe(null);
            if (owner !== 0) expect(cell?.kind).toBe(token === 0 ? 'zero' : 'data');
          }
        }
        image.close();
      }),
      { numRuns: 60 },
    );
  });

  it('has a stretch for each block at most, and none behind the end of a smaller version', async () => {
    const { disk, image } = newImage({ sizeBytes: 0 });
    await image.importFrom(sourceOf(noise(8192, 1)), { message: 'small', timeSeconds: TIME });
    await image.importFrom(sourceOf(noise(16384, 1)), { message: 'large', timeSeconds: TIME });
    image.close();
    const reader = openDisk(disk, { readOnly: true });
    const { rows } = await reader.history.heatMap({ rev: null, start: 0 }, { columnCount: 100, rowCount: 9 });
    expect(rows.map(({ version, cells }) => [version, cells.map((cell) => cell?.version)])).toEqual([
      [2, [1, 1, 2, 2]],
      [1, [1, 1, undefined, undefined]],
    ]);
    reader.close();
  });
});
