/** A value is told apart from others that differ by this part of it. */
const STEPS_BITS = 7;
const STEPS = 2 ** STEPS_BITS;
const LARGEST_BITS = 53;

/** Any number of durations in the memory of some thousand counters: each is kept to within 1 %. */
export class Latencies {
  readonly #counts = new Float64Array((LARGEST_BITS - STEPS_BITS + 1) * STEPS);
  #count = 0;
  #sum = 0;
  #least = Number.POSITIVE_INFINITY;
  #greatest = 0;

  add(nanoseconds: number): void {
    const value = Math.max(0, Math.round(nanoseconds));
    const index = indexOf(value);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#count++;
    this.#sum += value;
    this.#least = Math.min(this.#least, value);
    this.#greatest = Math.max(this.#greatest, value);
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get greatest(): number {
    return this.#greatest;
  }

  get least(): number {
    return this.#count === 0 ? 0 : this.#least;
  }

  /** What `share` of all durations, such as 0.99, do not exceed; in nanoseconds. */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#count));
    for (let index = 0; index < this.#counts.length; index++) {
      left -= this.#counts[index] as number;
      if (left <= 0) return Math.min(this.#greatest, greatestAt(index));
    }
    return this.#greatest;
  }
}

/** Small values have a counter each, and then every power of two has as many steps. */
function indexOf(value: number): number {
  if (value < STEPS) return value;
  const power = Math.floor(Math.log2(value)) - STEPS_BITS;
  return (power + 1) * STEPS + Math.floor(value / 2 ** power) - STEPS;
}

function greatestAt(index: number): number {
  if (index < STEPS) return index;
  const power = Math.floor(index / STEPS) - 1;
  return ((index % STEPS) + STEPS + 1) * 2 ** power - 1;
}
