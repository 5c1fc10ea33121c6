import type { SeededRandom } from '../../support/random.ts';

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

/** Head of a block: 0 raw, 1 one byte repeated, 2 compressed, 3 reserved. */
function block(type: number, size: number, last: boolean): number[] {
  const word = (size << 3) | (type << 1) | (last ? 1 : 0);
  return [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff];
}

/** `count` blocks that each repeat one byte `size` times: a few bytes that become many. */
export function repeatFrame(count: number, size: number): Uint8Array {
  const blocks = Array.from({ length: count }, (_, index) => [...block(1, size, index === count - 1), 0x41]);
  return Uint8Array.from([...MAGIC, 0x00, 0x58, ...blocks.flat()]);
}

/** A frame that says it holds 4 GiB less a byte. */
export function hugeFrame(): Uint8Array {
  return Uint8Array.from([...MAGIC, 0xa0, 0xff, 0xff, 0xff, 0xff, ...block(1, 100, true), 0x41]);
}

/** Frames as an attacker makes them. */
export function hostileFrame(random: SeededRandom, rawBytes: number): Uint8Array {
  switch (random.below(8)) {
    case 0:
      return repeatFrame(1 + random.below(1000), 0x1fffff);
    case 1:
      return repeatFrame(1 + random.below(20), 128 * 1024);
    case 2:
      return repeatFrame(1, rawBytes);
    case 3:
      return hugeFrame();
    // The largest window there is, without a size.
    case 4:
      return Uint8Array.from([...MAGIC, 0x00, 0xff, ...block(1, rawBytes, true), 0x41]);
    // A frame to be skipped, then nothing.
    case 5:
      return Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff);
    // A compressed block of nonsense.
    case 6:
      return Uint8Array.from([...MAGIC, 0x00, 0x58, ...block(2, 40, true), ...random.bytes(40)]);
    default:
      return Uint8Array.from([
        ...MAGIC,
        0x00,
        0x58,
        ...Array.from({ length: 60 }, () => block(0, 0, false)).flat(),
        1,
        0,
        0,
      ]);
  }
}
