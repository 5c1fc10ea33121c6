import { Session } from 'node:inspector/promises';

/** Which ranges of the program were run so far, as the engine counts them. */
export class Coverage {
  private readonly session: Session;
  private known = new Set<string>();
  private last: string[] = [];
  private isOn = true;

  private constructor(session: Session) {
    this.session = session;
  }

  static async start(): Promise<Coverage> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    await session.post('Profiler.takePreciseCoverage');
    return new Coverage(session);
  }

  get size(): number {
    return this.known.size;
  }

  /** True if something ran since the last call that had never run before. */
  async hasGrown(): Promise<boolean> {
    const { result } = await this.session.post('Profiler.takePreciseCoverage');
    this.last = [];
    for (const { functions } of result) {
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          // Counts in steps of doubling, as a loop that runs much longer is news too.
          const key = count === 0 ? undefined : `${startOffset}-${endOffset}`;
          if (key === undefined || this.known.has(key)) continue;
          this.known.add(key);
          this.last.push(key);
        }
      }
    }
    return this.last.length > 0;
  }

  /** What the last call found new counts as new once more. */
  forgetLast(): void {
    for (const key of this.last) this.known.delete(key);
  }

  async stop(): Promise<void> {
    if (!this.isOn) return;
    this.isOn = false;
    await this.session.post('Profiler.stopPreciseCoverage');
    this.session.disconnect();
  }
}
