import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { SLOT_A_OFFSET } from '../../src/format/layout.ts';
import { Container } from '../../src/image/container.ts';
import { lookSource } from '../../src/image/file.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { commit, expectBytes, noise, openStorage, readRange } from '../support/image.ts';
import { SeededRandom } from '../support/random.ts';
import { WrappedStorage } from '../support/storages.ts';

const KIB = 1024;
const SIZE = 256 * KIB;

/** One call of a writer that changes the file. */
type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly lengthBytes: number };

class RecordingStorage extends WrappedStorage {
  readonly changes: Change[] = [];

  override write(buffer: Uint8Array, position: number): void {
    this.changes.push({ kind: 'write', position, bytes: buffer.slice() });
    super.write(buffer, position);
  }

  override truncate(lengthBytes: number): void {
    this.changes.push({ kind: 'truncate', lengthBytes });
    super.truncate(lengthBytes);
  }
}

/** A file that another process goes on changing, between any two reads and in the middle of a write. */
class MovingStorage extends WrappedStorage {
  readonly disk: MemoryDisk;
  readonly changes: readonly Change[];
  readonly locks: 'work' | 'unsupported';
  beforeRead: () => void = () => undefined;
  pins = 0;
  next = 0;

  constructor(disk: MemoryDisk, changes: readonly Change[], locks: 'work' | 'unsupported') {
    super(new MemoryStorage(disk, { name: 'moving.vsi', readOnly: true }));
    this.disk = disk;
    this.changes = changes;
    this.locks = locks;
  }

  /** Makes the next `count` changes; `half` of the one behind them too. */
  advance(count: number, half: 'half' | 'none' = 'none'): void {
    // Whoever holds a state keeps its space; this writer waits.
    if (this.pins > 0) return;
    for (const change of this.changes.slice(this.next, this.next + count)) {
      if (change.kind === 'write') this.disk.write(change.bytes, change.position);
      else this.disk.truncate(change.lengthBytes);
    }
    this.next = Math.min(this.changes.length, this.next + count);
    const torn = this.changes[this.next];
    if (half === 'half' && torn?.kind === 'write')
      this.disk.write(torn.bytes.subarray(0, torn.bytes.length >>> 1), torn.position);
  }

  override read(buffer: Uint8Array, position: number): number {
    this.beforeRead();
    return super.read(buffer, position);
  }

  override tryLock(): boolean {
    if (this.locks === 'unsupported') throw new VsimgError('unsupported', 'no locks here');
    this.pins++;
    return true;
  }

  override unlock(): void {
    this.pins--;
  }
}

interface History {
  readonly start: MemoryDisk;
  readonly changes: readonly Change[];
  /** The file after each publication. */
  readonly states: readonly MemoryDisk[];
}

/** Everything that gives space up: rewriting, checking out, deleting, moving names, collecting, cutting the file. */
async function history(): Promise<History> {
  const disk = new MemoryDisk();
  const storage = new RecordingStorage(new MemoryStorage(disk, { name: 'moving.vsi' }));
  const writer = new Image(
    Container.create(storage, {
      sizeBytes: SIZE,
      compression: { codec: 'none' },
      imageId: new Uint8Array(16).fill(7),
    }),
  );
  for (let number = 1; number <= 8; number++) {
    await writer.write(0, noise(128 * KIB, number));
    await commit(writer, `first ${number}`, { tag: `v${number}` });
  }
  const start = disk.clone();
  storage.changes.length = 0;
  for (let round = 0; round < 8; round++) {
    await writer.write(round * 4 * KIB, noise(48 * KIB, 100 + round));
    await writer.publish();
    await commit(writer, `round ${round}`, { tag: `r${round}` });
    await writer.deleteVersions([`v${round + 1}`]);
    await writer.setTag('moving', 'HEAD', { force: true });
    await writer.setBranch(`b${round}`, 'HEAD');
    await writer.gc();
  }
  const { changes } = storage;
  const replay = new MovingStorage(start.clone(), changes, 'work');
  const states = [start];
  for (const change of changes) {
    replay.advance(1);
    if (change.kind === 'write' && change.position === SLOT_A_OFFSET) states.push(replay.disk.clone());
  }
  return { start, changes, states };
}

type Command = (image: Image) => unknown;

const COMMANDS: { readonly [name: string]: Command } = {
  info: (image) => image.inOneState(() => ({ info: withoutFile(image), versions: take(image, 10) })),
  'log of a tag': (image) =>
    image.inOneState(() => {
      const found = [];
      for (let at: string | number | null = 'moving'; at !== null; ) {
        const version = image.version(at);
        found.push(version);
        at = version.parent;
      }
      return found;
    }),
  'all tags': (image) => image.inOneState(() => image.refs().map((ref) => [ref, image.version(ref.version)])),
  'one version': (image) => image.version('r2'),
  'a version that goes': (image) => image.version('v3'),
  'all versions': (image) => [...image.versions()],
  'a range of the working state': (image) => readRange(image, null, 0, 64 * KIB),
  'a range of a tag that moves': (image) => readRange(image, 'moving', 8 * KIB, SIZE),
};

function take(image: Image, count: number): unknown[] {
  const found = [];
  for (const version of image.versions()) {
    found.push(version);
    if (found.length === count) break;
  }
  return found;
}

/** The length of the file is what it is at the moment. */
function withoutFile(image: Image): unknown {
  const { space, ...info } = image.info();
  expect(space.dataBytes + space.metadataBytes + space.freeBytes).toBe(space.fileBytes);
  return { ...info, dataBytes: space.dataBytes, metadataBytes: space.metadataBytes };
}

async function outcome(command: Command, open: () => Image): Promise<string> {
  try {
    const result = await command(open());
    return result instanceof Uint8Array ? Buffer.from(result).toString('base64') : JSON.stringify(result);
  } catch (error) {
    if (error instanceof VsimgError) return error.code;
    throw error;
  }
}

describe('a look beside a writer', async () => {
  const { start, changes, states } = await history();

  function moving(locks: 'work' | 'unsupported'): { readonly storage: MovingStorage; readonly open: () => Image } {
    const storage = new MovingStorage(start.clone(), changes, locks);
    return { storage, open: () => new Image(Container.open(storage), lookSource(storage)) };
  }

  describe.each(Object.entries(COMMANDS))('%s', async (_name, command) => {
    const expected = new Set<string>();
    for (const state of states)
      expected.add(await outcome(command, () => openStorage(new MemoryStorage(state, { name: 'moving.vsi' }))));

    it('has different answers in different states', () => {
      expect(expected.size).toBeGreaterThan(1);
    });

    it('sees one state, whatever happens between two reads', async () => {
      for (let at = 1; ; at++) {
        // All that is left happens at once, or just so much that the space of the first state is in use again.
        const { storage, open } = moving('work');
        let reads = 0;
        storage.beforeRead = () => {
          reads++;
          if (reads === at) storage.advance(changes.length / 2);
          if (reads > at) storage.advance(3, reads % 2 === 0 ? 'half' : 'none');
        };
        expect(expected).toContain(await outcome(command, open));
        if (reads < at) break;
      }
    });

    it.each(['work', 'unsupported'] as const)('sees one state at any speed of the writer; locks %s', async (locks) => {
      for (let seed = 1; seed <= 60; seed++) {
        const random = new SeededRandom(seed);
        const fastest = 1 + random.below(changes.length >>> random.below(8));
        const { storage, open } = moving(locks);
        storage.beforeRead = () => {
          if (random.below(3) === 0) storage.advance(random.below(fastest), random.below(2) === 0 ? 'half' : 'none');
        };
        const answer = await outcome(command, open);
        // Without locks a listing that goes on for many looks may have to give up, and says so.
        if (!(locks === 'unsupported' && answer === 'locked')) expect(expected, `seed ${seed}`).toContain(answer);
        expect(storage.pins, 'locks that are left').toBe(0);
      }
    });
  });

  it('may be closed before it has ended', () => {
    const { storage, open } = moving('work');
    const image = open();
    for (const { number } of image.versions()) {
      expect(number).toBe(8);
      expect(storage.pins).toBe(1);
      image.close();
      break;
    }
  });

  const last = openStorage(new MemoryStorage(states[states.length - 1] as MemoryDisk));

  it('lets go of a state that it held, and goes on with the newest when that is gone', async () => {
    const { storage, open } = moving('work');
    const image = open();
    const held = await image.whileHeld(async () => {
      storage.advance(changes.length);
      return readRange(image, 'v1', 0, SIZE);
    });
    expectBytes(held.subarray(0, 128 * KIB), noise(128 * KIB, 1));
    expect(storage.pins).toBe(0);
    storage.advance(changes.length);
    expectBytes(await readRange(image, null, 0, SIZE), await readRange(last, null, 0, SIZE));
    expect(image.version('r5').message).toBe('round 5');
  });

  it('fails rather than tell of two states where there are no locks', async () => {
    const { storage, open } = moving('unsupported');
    const image = open();
    const reading = image.whileHeld(async () => {
      storage.advance(changes.length);
      await readRange(image, null, 0, SIZE);
    });
    await expect(reading).rejects.toMatchObject({ code: 'locked', message: expect.stringMatching('changed while') });
    expectBytes(await readRange(image, null, 0, SIZE), await readRange(last, null, 0, SIZE));
    await expect(image.check()).rejects.toMatchObject({ code: 'unsupported' });
  });
});
