import { VsimgError } from '../errors.ts';
import { Queue } from './queue.ts';

/** Changes of one image, one after the other: two at a time would see each other's halves. */
export class ChangeQueue {
  readonly #queue = new Queue();
  readonly #path: () => string;
  /** Why a change stopped half-way; then this image takes no more of them. */
  #spoiled: unknown;

  constructor(path: () => string) {
    this.#path = path;
  }

  /** A change stopped half-way. */
  get isSpoiled(): boolean {
    return this.#spoiled !== undefined;
  }

  /** What the change that stopped left behind is gone. */
  heal(): void {
    this.#spoiled = undefined;
  }

  /** For checks and the change that they allow, which goes through `carryOut`. */
  run<T>(action: () => Promise<T>): Promise<T> {
    return this.#queue.run(action);
  }

  /**
   * Every change goes through here, alone and after the checks that may refuse it: what a change leaves behind that fails
   * half-way must never be published, not even by a later change that goes well.
   */
  async carryOut<T>(action: () => Promise<T>): Promise<T> {
    if (this.#spoiled !== undefined) {
      const path = this.#path();
      throw new VsimgError('refused', `'${path}' cannot be changed after a change that failed half-way`, {
        path,
        hint: 'open it again: all that was published is there',
        cause: this.#spoiled,
      });
    }
    try {
      return await action();
    } catch (error) {
      this.#spoiled = error;
      throw error;
    }
  }
}
