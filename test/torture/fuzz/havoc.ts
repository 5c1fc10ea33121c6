import type { SeededRandom } from '../../support/random.ts';

const BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x45, 0x52, 0x53, 0x54];
const MAX_BYTES = 256 * 1024;

/** Bytes changed without any idea of what they mean: a copy. */
export function havoc(bytes: Uint8Array, random: SeededRandom, other?: Uint8Array): Uint8Array {
  let result = Uint8Array.from(bytes);
  for (let count = 1 + Math.floor(random.next() ** 3 * 16); count > 0; count--) result = change(result, random, other);
  return result;
}

function change(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
  other: Uint8Array | undefined,
): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  const length = Math.min(1 + Math.floor(random.next() ** 3 * 64), bytes.length - at);
  switch (random.below(other === undefined ? 8 : 10)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = BYTES[random.below(BYTES.length)] as number;
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) + random.below(17) - 8;
      return bytes;
    case 3:
      bytes.fill(random.below(2) * 255, at, at + length);
      return bytes;
    case 4:
      bytes.copyWithin(at, random.below(bytes.length + 1), random.below(bytes.length + 1));
      return bytes;
    case 5:
      return join(bytes.subarray(0, at), bytes.subarray(at + length));
    case 6:
      if (bytes.length > MAX_BYTES) return bytes;
      return join(bytes.subarray(0, at), random.bytes(random.below(12)), bytes.subarray(at));
    case 7:
      bytes.set(random.bytes(length), at);
      return bytes;
    default: {
      // A block of another container, at the same place or anywhere.
      const source = other ?? bytes;
      const from = random.below(2) === 0 ? Math.min(at, source.length) : random.below(source.length + 1);
      const block = source.subarray(from, from + [16, 128, 512, 4096][random.below(4)]!);
      bytes.set(block.subarray(0, bytes.length - at), at);
      return bytes;
    }
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
