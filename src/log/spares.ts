/**
 * Memory that is free again, to be used instead of new memory. What is not kept is used again too as long as the
 * collector has not found it: else whoever needs it just then would have it twice.
 */
export class Spares<T extends WeakKey> {
  readonly #make: () => T;
  readonly #kept: T[] = [];
  #loose: WeakRef<T>[] = [];

  constructor(make: () => T) {
    this.#make = make;
  }

  take(): T {
    const kept = this.#kept.pop();
    if (kept !== undefined) return kept;
    for (let loose = this.#loose.pop(); loose !== undefined; loose = this.#loose.pop()) {
      const found = loose.deref();
      if (found !== undefined) return found;
    }
    return this.#make();
  }

  give(spare: T): void {
    this.#kept.push(spare);
  }

  /** All but the last `count` go when memory is needed. */
  loosen(count: number): void {
    const loose = this.#kept.splice(0, Math.max(0, this.#kept.length - count));
    this.#loose = [
      ...this.#loose.filter((spare) => spare.deref() !== undefined),
      ...loose.map((spare) => new WeakRef(spare)),
    ];
  }
}
