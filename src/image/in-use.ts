/** Versions that somebody reads for longer than a call: they must not be removed meanwhile. */
export class InUse {
  readonly #counts = new Map<number, number>();

  add(version: number): void {
    this.#counts.set(version, (this.#counts.get(version) ?? 0) + 1);
  }

  remove(version: number): void {
    const left = (this.#counts.get(version) ?? 0) - 1;
    if (left > 0) this.#counts.set(version, left);
    else this.#counts.delete(version);
  }

  has(version: number): boolean {
    return this.#counts.has(version);
  }
}
