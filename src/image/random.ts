/**
 * Numbers that look random and are the same for the same seed, on every machine: Mulberry32, whose 32 bits of state are
 * enough for places to look at and for bytes that do not compress.
 */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number in `[0, 2^32)`. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** A whole number in `[0, bound)`, for any bound up to 2^53. */
  below(bound: number): number {
    const share = (this.next() * 2 ** 21 + (this.next() >>> 11)) / 2 ** 53;
    return Math.min(bound - 1, Math.floor(share * bound));
  }
}
