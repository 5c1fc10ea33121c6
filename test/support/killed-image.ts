import { createHash } from 'node:crypto';
import type { CheckReport } from '../../src/image/api.ts';
import type { Image } from '../../src/image/image.ts';
import type { SeededRandom } from './random.ts';

/** What an image must hold: the messages of its versions are the SHA-256 of what they read as. */
export interface KnownState {
  readonly next: number;
  /** Contents by number. */
  readonly versions: ReadonlyMap<number, Buffer>;
  readonly tags: ReadonlyMap<string, number>;
  readonly branches: ReadonlyMap<string, number>;
  readonly head: { readonly branch: string | null; readonly version: number | null };
  readonly working: Buffer;
  readonly dirty: boolean;
}

export function emptyState(sizeBytes: number): KnownState {
  return {
    next: 1,
    versions: new Map(),
    tags: new Map(),
    branches: new Map(),
    head: { branch: 'main', version: null },
    working: Buffer.alloc(sizeBytes),
    dirty: false,
  };
}

const hashes = new WeakMap<Uint8Array, string>();

/** Of bytes that do not change any more. */
export function sha256(bytes: Uint8Array): string {
  const known = hashes.get(bytes);
  if (known !== undefined) return known;
  const hash = createHash('sha256').update(bytes).digest('hex');
  hashes.set(bytes, hash);
  return hash;
}

/** Random data with runs of zeros, of numbers and of text, so that there is something to compress and to skip. */
export function someContent(random: SeededRandom, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; ) {
    const length = Math.min(sizeBytes - at, 1 + random.below(256 * 1024));
    const part = bytes.subarray(at, at + length);
    const kind = random.below(4);
    if (kind === 1) part.fill(`text ${random.below(1000)}, `);
    if (kind >= 2) {
      const words = new Uint32Array(Math.ceil(length / 4));
      let word = random.below(2 ** 31) | 1;
      for (let index = 0; index < words.length; index++) {
        word ^= word << 13;
        word ^= word >>> 17;
        word ^= word << 5;
        words[index] = word;
      }
      part.set(new Uint8Array(words.buffer, 0, length));
    }
    at += length;
  }
  return bytes;
}

/** The state after a version of `working` was made. */
export function committed(state: KnownState, working: Buffer, tag?: string): KnownState {
  const { next, head } = state;
  return {
    next: next + 1,
    versions: new Map(state.versions).set(next, working),
    tags: tag === undefined ? state.tags : new Map(state.tags).set(tag, next),
    branches: head.branch === null ? state.branches : new Map(state.branches).set(head.branch, next),
    head: { ...head, version: next },
    working,
    dirty: false,
  };
}

export async function contentOf(image: Image, rev: string | null): Promise<Buffer> {
  const bytes = Buffer.alloc(image.sizeOf(rev));
  for await (const piece of image.pieces(rev, 0, bytes.length))
    if (piece.kind === 'data') bytes.set(piece.bytes, piece.start);
  return bytes;
}

/** One line that is equal for equal states. */
export function describeState(state: KnownState): string {
  return line({
    versions: [...state.versions].map(([number, bytes]) => [number, sha256(bytes)] as const),
    refs: [
      ...[...state.tags].map(([name, version]) => `tag ${name} ${version}`),
      ...[...state.branches].map(([name, version]) => `branch ${name} ${version}`),
    ],
    head: state.head,
    working: sha256(state.working),
  });
}

/** The same of an image. Whatever is wrong with the image itself goes to `wrong`. */
export async function describeImage(image: Image, wrong: (what: string) => void): Promise<string> {
  const report = await image.check({ data: true });
  for (const finding of findings(report)) wrong(finding);
  const versions: (readonly [number, string])[] = [];
  for (const { number, message } of image.versions()) {
    versions.push([number, message]);
    const actual = sha256(await contentOf(image, String(number)));
    if (actual !== message) wrong(`version ${number} reads as ${actual} and should as ${message}`);
  }
  const { branch, version } = image.info().head;
  return line({
    versions: versions.reverse(),
    refs: image.refs().map((ref) => `${ref.kind} ${ref.name} ${ref.version}`),
    head: { branch, version },
    working: sha256(await contentOf(image, null)),
  });
}

export function findings(report: CheckReport): string[] {
  const found = report.errors.map(({ message }) => `check: ${message}`);
  if (report.leakedBytes > 0) found.push(`check: ${report.leakedBytes} bytes are leaked`);
  return found;
}

function line(state: {
  readonly versions: readonly (readonly [number, string])[];
  readonly refs: readonly string[];
  readonly head: KnownState['head'];
  readonly working: string;
}): string {
  const { branch, version } = state.head;
  return JSON.stringify([state.versions, [...state.refs].sort(), branch, version, state.working]);
}
