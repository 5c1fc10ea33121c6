import type { Row } from '../part.ts';

const MAX_TOLD = 10;

/** Counts trials and losses of one kind, and tells the first losses. */
export class Tally {
  private readonly what: string;
  private readonly log: (line: string) => void;
  private count = 0;
  private losses = 0;

  constructor(what: string, log: (line: string) => void) {
    this.what = what;
    this.log = log;
  }

  tried(): void {
    this.count++;
  }

  lost(where: string): void {
    if (++this.losses <= MAX_TOLD) this.log(`LOST, ${this.what}: ${where}`);
  }

  /** Counts a loss unless `actual` is one of `allowed`. */
  expect(actual: string, allowed: readonly string[], where: string): void {
    if (!allowed.includes(actual)) this.lost(`${where}: ${actual} instead of ${allowed.join(' or ')}`);
  }

  row(): Row {
    return { what: this.what, count: this.count, losses: this.losses };
  }
}
