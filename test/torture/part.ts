/** One line of the summary: how much was tried, and how often it came out wrong. */
export interface Row {
  /** 'power cuts', 'kills', 'injected faults' and the like. */
  readonly what: string;
  readonly count: number;
  /** States lost, wrong bytes returned, wrong errors, crashes: anything that must not happen. */
  readonly losses: number;
}

export interface PartOptions {
  /** Share of the full run: 1 is all of it, 0.01 a hundredth. */
  readonly scale: number;
  readonly seed: number;
  /** Tells how far it is, and what was found. */
  log(line: string): void;
}

/** What each part of the torture run exports as `run`. Losses are counted and told, not thrown. */
export type RunPart = (options: PartOptions) => Promise<readonly Row[]>;
