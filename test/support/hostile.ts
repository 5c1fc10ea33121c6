import { expect } from 'vitest';
import { VsimgError } from '../../src/errors.ts';

/** What decoding bytes may come to: a value, or one of the two codes for bytes that can not be understood. */
export type Outcome<T> = { readonly value: T } | { readonly code: 'corrupt' | 'unsupported' };

/** Runs a decoder on bytes from an enemy; anything but a value or those two codes fails the test. */
export function decodeHostile<T>(decode: () => T): Outcome<T> {
  try {
    return { value: decode() };
  } catch (error) {
    if (!(error instanceof VsimgError)) throw error;
    if (error.code !== 'corrupt' && error.code !== 'unsupported') throw error;
    expect(error.message).not.toBe('');
    return { code: error.code };
  }
}

/** Every cut of `bytes` that is shorter. */
export function* truncations(bytes: Uint8Array): Generator<Uint8Array> {
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length);
}

/** `bytes` with each of its bits turned, one at a time. */
export function* bitFlips(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length * 8; at++) {
    const copy = bytes.slice();
    copy[at >>> 3] = (copy[at >>> 3] as number) ^ (1 << (at & 7));
    yield copy;
  }
}

/** Numbers that overflow something: as varints of 4 GiB, 2^53 - 1, too long, endless, and with needless zeros. */
const CLAIMS: readonly (readonly number[])[] = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x00],
  [0x00],
  [0x7f],
  [0xff],
];

/** `bytes` with each position replaced by a number that claims too much, or has one put before it. */
export function* claims(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at <= bytes.length; at++) {
    for (const claim of CLAIMS) {
      yield Uint8Array.from([...bytes.subarray(0, at), ...claim, ...bytes.subarray(at + 1)]);
      yield Uint8Array.from([...bytes.subarray(0, at), ...claim, ...bytes.subarray(at)]);
    }
  }
}

/** All of the above for one sample; `decode` must hold out, and whatever it accepts must be the same when encoded and decoded again. */
export function attack<T>(
  sample: Uint8Array,
  decode: (bytes: Uint8Array) => T,
  encode?: (value: T) => Uint8Array,
): void {
  for (const mutate of [truncations, bitFlips, claims]) {
    for (const bytes of mutate(sample)) {
      const outcome = decodeHostile(() => decode(bytes));
      if ('value' in outcome && encode !== undefined) expect(decode(encode(outcome.value))).toEqual(outcome.value);
    }
  }
}
