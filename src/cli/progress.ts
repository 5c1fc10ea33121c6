import type { OnProgress } from '../image/api.ts';
import { monotonicMilliseconds } from '../storage/clock.ts';
import type { Bar } from './bar.ts';
import type { Io } from './io.ts';
import type { JsonObject } from './json.ts';
import { formatSize } from './size.ts';
import { formatDuration } from './time.ts';

/** Shorter work shows no progress. */
const PATIENCE_MILLISECONDS = 1000;
/** Between two lines of JSON. */
const INTERVAL_MILLISECONDS = 500;

export interface ProgressSettings {
  /** 'automatic' is for terminals; 'always' is `-p`; 'never' is `-q`. */
  readonly show: 'automatic' | 'always' | 'never';
  /** 'json' are lines for programs, from the beginning of the work on. */
  readonly form?: 'bar' | 'json';
  /** Where lines of JSON go; stderr where none is named. */
  readonly descriptor?: number;
}

/** A line on stderr with share, rate and time left, for work that takes over a second; or lines of JSON. */
export class Progress {
  readonly #io: Io;
  readonly #show: ProgressSettings['show'];
  readonly #form: 'bar' | 'json';
  readonly #descriptor: number | undefined;
  #title = '';
  #startedMilliseconds = 0;
  #doneBytes = 0;
  #totalBytes: number | undefined;
  #bar: Bar | undefined;
  #decided = false;
  #finished = false;
  /** When the last line of JSON was written; undefined before the first of each phase. */
  #toldMilliseconds: number | undefined;
  #isTold = true;
  #bearsClosed = false;

  constructor(io: Io, settings: ProgressSettings) {
    this.#io = io;
    this.#show = settings.show;
    this.#form = settings.form ?? 'bar';
    this.#descriptor = settings.descriptor;
  }

  /** Begins to measure; call the result with how far the work is. */
  start(title: string): OnProgress {
    this.#tellLast();
    if (this.#finished) this.#decided = false;
    this.#finished = false;
    this.#toldMilliseconds = undefined;
    this.#doneBytes = 0;
    this.#totalBytes = undefined;
    this.#title = title;
    this.#startedMilliseconds = monotonicMilliseconds();
    return (doneBytes, totalBytes) => this.#update(doneBytes, totalBytes);
  }

  /** Leaves the terminal as it was. */
  stop(): void {
    this.#tellLast();
    this.#finished = true;
    this.#bar?.stop();
    this.#bar = undefined;
  }

  /** One line now, for whoever asked; nothing where a bar shows it already or no work is measured. */
  tell(): void {
    if (this.#finished || this.#title === '' || this.#bar !== undefined) return;
    if (this.#form === 'json') this.#tellProgram();
    else this.#writeLine(formatProgress(this.#state(), this.#io.columns));
  }

  #update(doneBytes: number, totalBytes: number | undefined): void {
    this.#doneBytes = doneBytes;
    this.#totalBytes = totalBytes;
    if (this.#show === 'never' || this.#finished) return;
    if (this.#form === 'json') {
      this.#isTold = false;
      const now = monotonicMilliseconds();
      if (now - (this.#toldMilliseconds ?? Number.NEGATIVE_INFINITY) >= INTERVAL_MILLISECONDS) this.#tellProgram();
      return;
    }
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
    this.#bearClosedStderr();
    this.#bar = createBar(this.#io.stderr, () => this.#line());
    this.#bar.start(this.#totalBytes ?? 0, this.#doneBytes);
  }

  /** Nobody is left to be shown anything if stderr is closed, or to be told. */
  #bearClosedStderr(): void {
    if (!this.#bearsClosed) this.#io.stderr.on('error', () => undefined);
    this.#bearsClosed = true;
  }

  #line(): string {
    return formatProgress(this.#state(), this.#io.columns);
  }

  #state(): ProgressState {
    const seconds = (monotonicMilliseconds() - this.#startedMilliseconds) / 1000;
    return { title: this.#title, doneBytes: this.#doneBytes, totalBytes: this.#totalBytes, seconds };
  }

  /** How far a phase came must not be lost because it ended soon after the line before. */
  #tellLast(): void {
    if (!this.#isTold && !this.#finished) this.#tellProgram();
  }

  #tellProgram(): void {
    this.#toldMilliseconds = monotonicMilliseconds();
    this.#isTold = true;
    this.#writeLine(JSON.stringify(describeProgress(this.#state())));
  }

  #writeLine(line: string): void {
    if (this.#descriptor === undefined) {
      this.#bearClosedStderr();
      this.#io.stderr.write(`${line}\n`);
      return;
    }
    try {
      this.#io.writeTo(this.#descriptor, `${line}\n`);
    } catch {
      // Nobody listens any more; the work is worth finishing all the same.
      this.#finished = true;
    }
  }
}

export interface ProgressState {
  readonly title: string;
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
  /** Since the start. */
  readonly seconds: number;
}

/** One line of `--progress=json`. */
export function describeProgress({ title, doneBytes, totalBytes, seconds }: ProgressState): JsonObject {
  const rate = seconds > 0 ? Math.round(doneBytes / seconds) : 0;
  const left = totalBytes === undefined ? undefined : Math.max(0, totalBytes - doneBytes);
  return {
    phase: title,
    done: doneBytes,
    total: totalBytes ?? null,
    rate,
    eta: left === 0 ? 0 : left === undefined || rate === 0 ? null : Math.ceil(left / rate),
  };
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
