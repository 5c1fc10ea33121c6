import type { StopSignal } from './io.ts';

/** What must be put away when the process is told to stop in the middle of its work. */
export class Cleanup {
  /** What a command does instead when it is told to stop, if it can end in order; a second time it is stopped like any other. */
  onStop: ((signal: StopSignal) => void) | undefined;
  readonly #actions = new Set<() => void>();

  /** Registers an action, which must be quick and must not throw; returns the way to take it back. */
  add(action: () => void): () => void {
    this.#actions.add(action);
    return () => {
      this.#actions.delete(action);
    };
  }

  /** Runs all actions, the latest first, each once. */
  run(): void {
    const actions = [...this.#actions].reverse();
    this.#actions.clear();
    for (const action of actions) {
      try {
        action();
      } catch {
        // The process is ending; the other actions still have to run.
      }
    }
  }
}
