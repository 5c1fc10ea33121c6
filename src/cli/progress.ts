import type { OnProgress } from '../image/api.ts';
import { monotonicMilliseconds } from '../storage/clock.ts';
import type { Bar } from './bar.ts';
import type { Io } from './io.ts';
import { formatSize } from './size.ts';
import { formatDuration } from './time.ts';

/** Shorter work shows no progress. */
const PATIENCE_MILLISECONDS = 1000;

export interface ProgressSettings {
  /** 'automatic' is for terminals; 'always' is `-p`; 'never' is `-q`. */
  readonly show: 'automatic' | 'always' | 'never';
}

/** A line on stderr with share, rate and time left, for work that takes over a second. */
export class Progress {
  readonly #io: Io;
  readonly #show: ProgressSettings['show'];
  #title = '';
  #startedMilliseconds = 0;
  #doneBytes = 0;
  #totalBytes: number | undefined;
  #bar: Bar | undefined;
  #decided = false;
  #finished = false;

  constructor(io: Io, settings: ProgressSettings) {
    this.#io = io;
    this.#show = settings.show;
  }

  /** Begins to measure; call the result with how far the work is. */
  start(title: string): OnProgress {
    this.#title = title;
    this.#startedMilliseconds = monotonicMilliseconds();
    return (doneBytes, totalBytes) => this.#update(doneBytes, totalBytes);
  }

  /** Leaves the terminal as it was. */
  stop(): void {
    this.#finished = true;
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #update(doneBytes: number, totalBytes: number | undefined): void {
    this.#doneBytes = doneBytes;
    this.#totalBytes = totalBytes;
    if (this.#show === 'never' || this.#finished) return;
    if (this.#bar !== undefined) {
      if (totalBytes !== undefined) this.#bar.setTotal(totalBytes);
      this.#bar.update(doneBytes);
    } else if (!this.#decided && monotonicMilliseconds() - this.#startedMilliseconds >= PATIENCE_MILLISECONDS) {
      this.#decided = true;
      // The bar is an extra: where it cannot be loaded the work goes on without it.
      if (this.#show === 'always' || this.#io.stderrIsTerminal) this.#begin().catch(() => undefined);
    }
  }

  async #begin(): Promise<void> {
    const { createBar } = await import('./bar.ts');
    if (this.#finished) return;
    // Nobody is left to be shown anything if stderr is closed, or to be told.
    this.#io.stderr.on('error', () => undefined);
    this.#bar = createBar(this.#io.stderr, () => this.#line());
    this.#bar.start(this.#totalBytes ?? 0, this.#doneBytes);
  }

  #line(): string {
    const seconds = (monotonicMilliseconds() - this.#startedMilliseconds) / 1000;
    return formatProgress(
      { title: this.#title, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes, seconds },
      this.#io.columns,
    );
  }
}

export interface ProgressState {
  readonly title: string;
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
  /** Since the start. */
  readonly seconds: number;
}

/** One line such as `import  [=====-----]  50%  1.2 GiB of 2.4 GiB  600 MiB/s  2s left`. */
export function formatProgress(state: ProgressState, columns: number): string {
  const { title, doneBytes, totalBytes, seconds } = state;
  const rate = seconds > 0 ? doneBytes / seconds : 0;
  const speed = `${formatSize(Math.round(rate))}/s`;
  if (totalBytes === undefined || totalBytes === 0) {
    return `${title}  ${formatSize(doneBytes)}  ${speed}  ${formatDuration(seconds)}`;
  }
  const share = Math.min(1, doneBytes / totalBytes);
  const left = rate > 0 ? `${formatDuration((totalBytes - doneBytes) / rate)} left` : 'waiting';
  const percent = `${String(Math.floor(share * 100)).padStart(3)}%`;
  const figures = `${percent}  ${formatSize(doneBytes)} of ${formatSize(totalBytes)}  ${speed}  ${left}`;
  const room = Math.min(30, columns - title.length - figures.length - 7);
  if (room < 5) return `${title} ${figures}`;
  const filled = Math.round(share * room);
  return `${title}  [${'='.repeat(filled)}${'-'.repeat(room - filled)}]  ${figures}`;
}
