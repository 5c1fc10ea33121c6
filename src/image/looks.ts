import { type ErrorCode, VsimgError } from '../errors.ts';
import type { Container } from './container.ts';

/** Beside a writer that publishes without a pause; each look is then taken again. */
const MAX_LOOKS = 20;
/** After so many a lock costs less than another try. */
const LOOKS_WITHOUT_LOCK = 3;
/** A writer that looks for readers holds their bytes for microseconds, but may be stopped just then. */
const MAX_PIN_TRIES = 100;

/** A look does without a lock as long as it can. */
const NO_LOCK: ReadonlySet<ErrorCode> = new Set(['unsupported', 'locked']);

/** The container that is looked into: by whoever holds no lock. */
export interface LookSource {
  /** The newest state. */
  open(): Container;
  /**
   * Keeps the state of `container` readable; false if another one was published, or a writer looks for readers just now.
   * Errors: 'unsupported' where locks do not work.
   */
  pin(container: Container): boolean;
  unpin(container: Container): void;
}

/**
 * Reads a state that may be given up at any moment. A look takes no lock: all it reads is verified, so that it fails as
 * 'corrupt' once a writer has used the space again, which a newer header tells from damage; then the look is
 * taken again at the newest state. What takes longer than a look holds the state it began with.
 */
export class Looks {
  #container: Container;
  /** Undefined if the state can not change: its lock is held from opening to closing. */
  readonly #source: LookSource | undefined;
  #isLooking = false;
  #isPinned = false;
  #holds = 0;

  constructor(container: Container, source?: LookSource) {
    this.#container = container;
    this.#source = source;
  }

  get container(): Container {
    return this.#container;
  }

  /** From now on another one of the same storage is looked into, which nobody else changes. */
  replace(container: Container): void {
    this.#container = container;
  }

  /** From now on the newest state is looked at, unless one is held; where nobody else can change it nothing happens. */
  refresh(): void {
    if (this.#source === undefined || this.#isPinned || this.#holds > 0 || !this.#container.isStale()) return;
    this.#container = this.#source.open();
  }

  /** True if what is read may be given up any moment. */
  get isBrief(): boolean {
    return this.#source !== undefined;
  }

  /** Everything that `action`, and looks within it, read is of one state. It may be called several times. */
  look<T>(action: () => T): T {
    if (this.#isLooking || this.#source === undefined || this.#isPinned) return action();
    const isHeld = this.#holds > 0;
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          this.#isLooking = true;
          return action();
        } catch (error) {
          if (!this.#isOutdated(error)) throw error;
          if (isHeld || attempt === MAX_LOOKS) throw this.#changed(error);
        } finally {
          this.#isLooking = false;
        }
        this.#container = this.#source.open();
        if (attempt >= LOOKS_WITHOUT_LOCK) this.#pin(this.#source, 'wanted');
      }
    } finally {
      if (this.#holds === 0) this.#unpin();
    }
  }

  /**
   * Everything that is read until the function it gives is called is of one state, for which it takes a lock. Where
   * locks do not work: 'required' fails as 'unsupported'; 'wanted' goes on, and a look at another state fails as 'locked'.
   */
  hold(lock: 'required' | 'wanted'): () => void {
    if (this.#source !== undefined && !this.#isLooking && (this.#holds === 0 || lock === 'required'))
      this.#pin(this.#source, lock);
    this.#holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (--this.#holds === 0) this.#unpin();
    };
  }

  /** What `make` gives, from the first to the last of one state. Errors: as `hold`, for a 'required' lock. */
  *held<T>(make: () => Iterable<T>): Generator<T, void, undefined> {
    const letGo = this.hold('required');
    try {
      yield* make();
    } finally {
      letGo();
    }
  }

  /** Closing the file ends its locks. */
  close(): void {
    this.#isPinned = false;
    this.#container.close();
  }

  #isOutdated(error: unknown): boolean {
    return error instanceof VsimgError && error.code === 'corrupt' && this.#container.isStale();
  }

  #changed(cause?: unknown): VsimgError {
    const path = this.#container.storage.name;
    return new VsimgError('locked', `${path}: it was changed while it was read`, { path, hint: 'try again', cause });
  }

  #pin(source: LookSource, lock: 'required' | 'wanted'): void {
    try {
      for (let attempt = 1; !this.#isPinned; attempt++) {
        this.#isPinned = source.pin(this.#container);
        if (this.#isPinned) return;
        if (attempt === MAX_PIN_TRIES) throw this.#changed();
        if (attempt > 1) pauseMillisecond();
        // Whoever holds the state already must not get another one.
        if (this.#holds > 0) throw this.#changed();
        this.#container = source.open();
      }
    } catch (error) {
      if (lock === 'required' || !(error instanceof VsimgError) || !NO_LOCK.has(error.code)) throw error;
    }
  }

  #unpin(): void {
    if (!this.#isPinned) return;
    this.#isPinned = false;
    this.#source?.unpin(this.#container);
  }
}

/** Waits without giving other work a turn, which might open the container again. */
function pauseMillisecond(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}
