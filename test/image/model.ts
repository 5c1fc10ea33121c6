import fc from 'fast-check';
import { expect } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import { Container } from '../../src/image/container.ts';
import { Image } from '../../src/image/image.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import type { DataSource, Piece } from '../../src/storage/transfer.ts';
import { SeededRandom } from '../support/random.ts';

/** One step of a random history; numbers are reduced to what is possible when the step is taken. */
export type Step =
  | { readonly kind: 'write'; readonly at: number; readonly length: number; readonly seed: number }
  | { readonly kind: 'rewrite'; readonly at: number; readonly length: number }
  | { readonly kind: 'zero'; readonly at: number; readonly length: number }
  | { readonly kind: 'commit'; readonly tag: boolean }
  | { readonly kind: 'checkout'; readonly pick: number; readonly branch: boolean }
  | { readonly kind: 'delete'; readonly pick: number }
  | {
      readonly kind: 'import';
      readonly sizeBytes: number;
      readonly seed: number;
      readonly keep: boolean;
      readonly stream: boolean;
    }
  | { readonly kind: 'gc' | 'compact' | 'publish' | 'reopen' | 'diff' | 'check' };

const position = fc.nat({ max: 2 ** 30 });
const length = fc.oneof(
  { arbitrary: fc.nat({ max: 40 }), weight: 2 },
  { arbitrary: fc.nat({ max: 3000 }), weight: 4 },
  { arbitrary: fc.nat({ max: 150_000 }), weight: 1 },
);

export const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant('write' as const), at: position, length, seed: fc.nat({ max: 255 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rewrite' as const), at: position, length }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('zero' as const), at: position, length }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit' as const), tag: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('checkout' as const), pick: position, branch: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), pick: position }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('import' as const),
      sizeBytes: fc.nat({ max: 300_000 }),
      seed: fc.nat({ max: 255 }),
      keep: fc.boolean(),
      stream: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Step>(
      { kind: 'gc' },
      { kind: 'compact' },
      { kind: 'publish' },
      { kind: 'publish' },
      { kind: 'reopen' },
      { kind: 'reopen' },
      { kind: 'diff' },
      { kind: 'check' },
    ),
  },
);

export interface Setting {
  readonly blockSizeBytes: number;
  readonly sizeBytes: number;
  readonly compression: 'none' | 'zstd';
}

export const settings: fc.Arbitrary<Setting> = fc.record({
  blockSizeBytes: fc.constantFrom(512, 512, 4096, 65536),
  sizeBytes: fc.integer({ min: 1, max: 400_000 }),
  compression: fc.constantFrom('none', 'zstd'),
});

/** A few chunks: chunks that lost blocks are written again, and may find no hole of their size to move into. */
const SLACK_BYTES = 300_000;

/** Bytes that differ by seed, compress somewhat, and hold runs of zeros. */
function pattern(lengthBytes: number, seed: number): Uint8Array {
  // A quarter does not compress, so that raw and compressed chunks lie side by side.
  if (seed % 4 === 0) return new SeededRandom(seed).bytes(lengthBytes);
  const bytes = new Uint8Array(lengthBytes);
  let state = seed * 2654435761 + 1;
  for (let index = 0; index < lengthBytes; index++) {
    if (index % 64 === 0) state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = (state & 0x700) === 0 ? 0 : (state >>> (index & 7)) & 0xff;
  }
  return bytes;
}

/** Pieces of `bytes` with holes where 512-byte runs are zero. */
function sourceOf(bytes: Uint8Array, options: { readonly stream: boolean }): DataSource {
  return {
    sizeBytes: options.stream ? undefined : bytes.length,
    async *pieces(maxPieceBytes): AsyncIterable<Piece> {
      for (let start = 0; start < bytes.length; start += maxPieceBytes) {
        const part = bytes.subarray(start, start + maxPieceBytes);
        if (part.every((byte) => byte === 0)) yield { kind: 'hole', start, end: start + part.length };
        else yield { kind: 'data', start, bytes: part };
      }
    },
    close: () => {},
  };
}

async function readAll(image: Image, rev: string | null): Promise<Uint8Array> {
  const bytes = new Uint8Array(image.sizeOf(rev));
  let at = 0;
  for await (const piece of image.pieces(rev, 0, bytes.length)) {
    expect(piece.start).toBe(at);
    if (piece.kind === 'data') bytes.set(piece.bytes, piece.start);
    at = piece.kind === 'data' ? piece.start + piece.bytes.length : piece.end;
  }
  expect(at).toBe(bytes.length);
  return bytes;
}

function expectSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((byte, index) => byte !== actual[index]);
  expect.fail(`${what}: ${actual.length} bytes for ${expected.length}, first difference at ${at}`);
}

/** Takes steps on a real image and on plain byte arrays, and compares. */
export class ModelRun {
  private readonly disk = new MemoryDisk();
  private image: Image;
  private working: Uint8Array;
  /** What a crash or close would leave of the working state. */
  private published: Uint8Array;
  private readonly versions = new Map<number, Uint8Array>();
  private head: number | null = null;
  private publishedHead: number | null = null;
  private branch: string | null = 'main';
  private readonly branchTips = new Map<string, number>();
  private names = 0;
  private clock = 1000;
  taken = 0;

  constructor(setting: Setting) {
    const storage = new MemoryStorage(this.disk);
    this.image = new Image(
      Container.create(storage, {
        sizeBytes: setting.sizeBytes,
        blockSizeBytes: setting.blockSizeBytes,
        compression: setting.compression === 'none' ? { codec: 'none' } : { codec: 'zstd', level: 1 },
      }),
    );
    this.working = new Uint8Array(setting.sizeBytes);
    this.published = this.working;
  }

  private range(at: number, lengthBytes: number): [number, number] {
    if (this.working.length === 0) return [0, 0];
    const start = at % this.working.length;
    return [start, Math.min(this.working.length, start + lengthBytes)];
  }

  private get isDirty(): boolean {
    const base = this.head === null ? undefined : (this.versions.get(this.head) as Uint8Array);
    const differs =
      base === undefined ? this.working.some((byte) => byte !== 0) : Buffer.compare(base, this.working) !== 0;
    const { dirty } = this.image.info().head;
    // Blocks that were changed and changed back are stored anew: the image may call that a change, never the reverse.
    if (differs) expect(dirty).toBe(true);
    return dirty === true;
  }

  private pick(number: number): number | undefined {
    const all = [...this.versions.keys()];
    return all.length === 0 ? undefined : all[number % all.length];
  }

  private keepPublished(): void {
    this.published = this.working.slice();
    this.publishedHead = this.head;
  }

  async take(step: Step): Promise<void> {
    this.taken++;
    switch (step.kind) {
      case 'write':
      case 'rewrite':
      case 'zero': {
        const [start, end] = this.range(step.at, step.length);
        const bytes =
          step.kind === 'write'
            ? pattern(end - start, step.seed)
            : step.kind === 'zero'
              ? new Uint8Array(end - start)
              : this.working.slice(start, end);
        this.working = this.working.slice();
        this.working.set(bytes, start);
        const report =
          step.kind === 'zero' ? await this.image.zero(start, end - start) : await this.image.write(start, bytes);
        expect(report.requestedBytes).toBe(end - start);
        if (step.kind === 'rewrite') expect(report.storedBytes).toBe(0);
        break;
      }
      case 'commit':
        await this.commit(step.tag);
        break;
      case 'checkout':
        await this.checkout(step.pick, step.branch);
        break;
      case 'delete':
        await this.deleteVersion(step.pick);
        break;
      case 'import':
        await this.importBytes(step);
        break;
      case 'gc': {
        const report = await this.image.gc();
        expect(report.fileBytesAfter).toBeLessThanOrEqual(report.fileBytesBefore + SLACK_BYTES);
        this.keepPublished();
        break;
      }
      case 'compact':
        await this.image.gc({ compact: true });
        this.keepPublished();
        break;
      case 'publish':
        await this.image.publish();
        this.keepPublished();
        break;
      case 'reopen':
        this.image.close();
        this.image = new Image(Container.open(new MemoryStorage(this.disk)));
        this.working = this.published.slice();
        this.head = this.publishedHead;
        break;
      case 'diff':
        await this.compareDiffs();
        break;
      case 'check':
        // The check looks at what is published.
        await this.image.publish();
        this.keepPublished();
        await this.expectClean();
        break;
    }
    const { head } = this.image.info();
    expect(head.version).toBe(this.head);
    expect(head.branch).toBe(this.branch);
    expect(head.workingSizeBytes).toBe(this.working.length);
  }

  private async commit(tag: boolean): Promise<void> {
    const options = {
      message: `version at ${this.clock}`,
      timeSeconds: this.clock++,
      allowEmpty: true,
      ...(tag ? { tag: `t${this.names++}` } : {}),
    };
    const version = await this.image.commit(options);
    expect(version.parent).toBe(this.head);
    this.added(version.number);
    if (options.tag !== undefined) expect(this.image.resolve(options.tag)).toBe(version.number);
    expect(this.image.resolve(version.id.slice(0, 12))).toBe(version.number);
  }

  private added(number: number): void {
    expect(this.versions.has(number)).toBe(false);
    this.versions.set(number, this.working.slice());
    this.head = number;
    if (this.branch !== null) this.branchTips.set(this.branch, number);
    this.keepPublished();
  }

  private async checkout(pick: number, branch: boolean): Promise<void> {
    const number = this.pick(pick);
    if (number === undefined) return;
    if (this.isDirty) await expect(this.image.checkout(String(number), {})).rejects.toMatchObject({ code: 'refused' });
    const name = branch ? `b${this.names++}` : undefined;
    await this.image.checkout(String(number), { force: true, ...(name === undefined ? {} : { branch: name }) });
    this.working = (this.versions.get(number) as Uint8Array).slice();
    this.head = number;
    this.branch = name ?? null;
    if (name !== undefined) this.branchTips.set(name, number);
    this.keepPublished();
  }

  private async deleteVersion(pick: number): Promise<void> {
    const number = this.pick(pick);
    if (number === undefined) return;
    if (number === this.head || [...this.branchTips.values()].includes(number)) {
      await expect(this.image.deleteVersions([String(number)])).rejects.toMatchObject({ code: 'refused' });
      return;
    }
    await this.image.deleteVersions([String(number)]);
    this.versions.delete(number);
    expect(() => this.image.resolve(String(number))).toThrow(VsimgError);
    this.keepPublished();
  }

  private async importBytes(step: Step & { kind: 'import' }): Promise<void> {
    const bytes = pattern(step.sizeBytes, step.seed);
    if (step.keep) bytes.set(this.working.subarray(0, bytes.length));
    const source = sourceOf(bytes, { stream: step.stream });
    const options = { message: 'import', timeSeconds: this.clock++ };
    if (
      this.isDirty ||
      (this.head !== null && this.working.length !== (this.versions.get(this.head) as Uint8Array).length)
    ) {
      await expect(this.image.importFrom(source, options)).rejects.toMatchObject({ code: 'refused' });
      return;
    }
    const { version } = await this.image.importFrom(source, options);
    this.working = bytes;
    this.added(version.number);
  }

  private async compareDiffs(): Promise<void> {
    const revs: (number | null)[] = [null, ...[...this.versions.keys()].slice(-3)];
    for (const a of revs) {
      for (const b of revs) {
        const before = a === null ? this.working : (this.versions.get(a) as Uint8Array);
        const after = b === null ? this.working : (this.versions.get(b) as Uint8Array);
        this.compareDiff(
          [...this.image.diff(a === null ? null : String(a), b === null ? null : String(b))],
          before,
          after,
        );
      }
    }
  }

  private compareDiff(
    ranges: readonly { start: number; length: number; kind: string }[],
    before: Uint8Array,
    after: Uint8Array,
  ): void {
    const longest = Math.max(before.length, after.length);
    let at = 0;
    const same = (end: number): void => {
      expect(end).toBeLessThanOrEqual(longest);
      expectSame(after.subarray(at, end), before.subarray(at, end), `outside the diff, from ${at}`);
    };
    for (const range of ranges) {
      expect(range.start).toBeGreaterThanOrEqual(at);
      expect(range.length).toBeGreaterThan(0);
      same(range.start);
      at = range.start + range.length;
      if (range.kind !== 'data') expect(after.subarray(range.start, at).every((byte) => byte === 0)).toBe(true);
    }
    same(longest);
  }

  private async expectClean(): Promise<void> {
    const report = await this.image.check({ data: true });
    expect(report.errors).toEqual([]);
    expect(report.leakedBytes).toBe(0);
    expect(report.versionsChecked).toBe(this.versions.size);
  }

  /** Everything reads back, the container is clean, and after gc still. */
  async finish(): Promise<void> {
    await this.compareAll();
    await this.image.publish();
    await this.expectClean();
    this.image.close();
    this.image = new Image(Container.open(new MemoryStorage(this.disk)));
    await this.compareAll();
    for (const compact of [false, true]) {
      await this.image.gc({ compact });
      await this.expectClean();
      await this.compareAll();
    }
    this.image.close();
  }

  private async compareAll(): Promise<void> {
    expectSame(await readAll(this.image, null), this.working, 'working state');
    for (const [number, bytes] of this.versions)
      expectSame(await readAll(this.image, String(number)), bytes, `version ${number}`);
    expect([...this.image.versions()].map((version) => version.number)).toEqual([...this.versions.keys()].reverse());
  }
}
